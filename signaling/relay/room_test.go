package relay

import (
	"testing"
	"time"
)

// TestRoom: at the limit of each age, one below it and ten times above.
func TestRoom(t *testing.T) {
	const young, silent = SilentAfter - time.Nanosecond, SilentAfter
	for _, c := range []struct {
		n      int
		waited time.Duration
		full   bool
	}{
		{0, time.Hour, false}, {4, silent, false}, {5, silent, true}, {50, silent, true},
		{5, young, false}, {39, young, false}, {40, young, true}, {400, young, true},
	} {
		if got := Room(5).Full(c.n, c.waited); got != c.full {
			t.Errorf("%d that wait, the first for %s: full is %v", c.n, c.waited, got)
		}
	}
}
