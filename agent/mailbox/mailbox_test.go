package mailbox

import (
	"sync"
	"testing"
)

func TestBox(t *testing.T) {
	b := New[int]()
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			for n := range 100 {
				b.Post(i*100 + n)
			}
		})
	}
	wait.Wait()
	<-b.Wake
	items, lost := b.Take()
	if len(items) != 400 || lost {
		t.Fatalf("%d items, lost %v", len(items), lost)
	}
	last := map[int]int{0: -1, 1: 99, 2: 199, 3: 299}
	for _, n := range items { // each poster's items keep their order
		if n != last[n/100]+1 {
			t.Fatalf("%d came after %d", n, last[n/100])
		}
		last[n/100] = n
	}
	for range Limit + 1 {
		b.Post(1)
	}
	if items, lost := b.Take(); len(items) != Limit || !lost {
		t.Fatalf("%d items, lost %v", len(items), lost)
	}
}
