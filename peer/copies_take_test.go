package peer

import (
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

func TestTakeOnceAndInOrder(t *testing.T) {
	type step struct {
		n      int64
		copied bool
		want   verdict
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"nothing is lost", []step{{1, false, taken}, {1, true, again}, {2, false, taken}, {2, true, again}}},
		{"the copy is first", []step{{1, true, taken}, {1, true, again}, {1, false, again}, {2, false, taken}}},
		{"a newer copy waits for the older", []step{{2, true, early}, {1, true, taken}, {2, true, taken}, {1, false, again}, {2, false, again}}},
		{"or for direct", []step{{3, true, early}, {1, false, taken}, {2, false, taken}, {3, false, taken}, {3, true, again}}},
		{"direct goes on behind copies", []step{{1, true, taken}, {2, true, taken}, {1, false, again}, {2, false, again}, {3, false, taken}}},
		{"a number that comes twice", []step{{1, false, taken}, {1, false, twice}, {2, true, taken}, {2, false, again}, {2, false, twice}, {1, false, twice}}},
		{"a program without numbers", []step{{0, false, taken}, {0, true, again}, {0, false, taken}}},
	} {
		var c copies
		for i, s := range tt.steps {
			if got := c.take(s.n, s.copied); got != s.want {
				t.Errorf("%s: step %d is %d, want %d", tt.name, i, got, s.want)
			}
		}
	}
}

func TestWhatIsCopied(t *testing.T) {
	for _, tt := range []struct {
		able         bool
		bytes, there int // there: messages that wait already
		want         int
	}{
		{true, protocol.MaxCopyBytes, 0, 1}, {true, protocol.MaxCopyBytes + 1, 0, 0}, {true, 10 * protocol.MaxCopyBytes, 0, 0},
		{false, 1, 0, 0},
		{true, 1, maxUnconfirmed - 1, maxUnconfirmed}, {true, 1, maxUnconfirmed, maxUnconfirmed}, {true, 1, maxUnconfirmed + 10, maxUnconfirmed + 10},
	} {
		p := &Peer{}
		p.copies.able, p.copies.waiting = tt.able, make([]toCopy, tt.there)
		directSent{"a", strings.Repeat("x", tt.bytes), time.Unix(1, 0)}.apply(p)
		if got := len(p.copies.waiting); got != tt.want {
			t.Errorf("%+v: %d wait", tt, got)
		}
	}
}
