// Every state and step, compared with a golden picture of the table.

package peer

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestStateTable(t *testing.T) {
	var b strings.Builder
	for s := Idle; s <= Ended; s++ {
		for e := start; e <= fail; e++ {
			to, err := move(s, e)
			if err != nil {
				fmt.Fprintf(&b, "%s + %s: refused\n", s, e)
				continue
			}
			fmt.Fprintf(&b, "%s + %s: %s\n", s, e, to)
		}
	}
	const golden = "testdata/peer_states.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("the table has changed; got\n%s\nwant\n%s", got, want)
	}
}

func TestMailboxOverflow(t *testing.T) {
	m := newMailbox()
	for range maxEvents {
		m.post(extraChannel{}, 1)
	}
	if _, overflow := m.take(); overflow {
		t.Fatal("a full mailbox is not an overflow")
	}
	m.post(extraChannel{}, maxEventBytes)
	m.post(extraChannel{}, 1)
	if items, overflow := m.take(); !overflow || len(items) != 1 {
		t.Errorf("got %d items, overflow %v; want 1 and true", len(items), overflow)
	}
}

func TestLimiter(t *testing.T) {
	now := time.Unix(1, 0)
	l := limiter{rate: 20, burst: 3}
	for i, want := range []bool{true, true, true, false} {
		if got := l.allow(now); got != want {
			t.Errorf("call %d: got %v, want %v", i, got, want)
		}
	}
	if !l.allow(now.Add(50*time.Millisecond)) || l.allow(now.Add(51*time.Millisecond)) {
		t.Error("after 50 ms one more is allowed at 20 a second")
	}
	if !l.allow(now.Add(time.Hour)) {
		t.Error("after an hour it is empty again")
	}
}
