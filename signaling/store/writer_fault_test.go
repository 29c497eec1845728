// The writer on a disk that fails, fills up or stalls.

package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lookalong/lookalong/internal/fault/disk"
)

// until waits for a condition that has to come.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func onDisk(t testing.TB, o disk.Options) (*disk.Disk, *Store) {
	t.Helper()
	o.Dir = private(t)
	d := disk.New(o)
	t.Cleanup(d.Close)
	s, _ := run(t, Options{Dir: o.Dir})
	return d, s
}

// TestFailingDisk has a sync or a write fail, at many places: those of the batch
// are told, the next batches work, and after a loss of power everything that was
// acknowledged is there.
func TestFailingDisk(t *testing.T) {
	d, s := onDisk(t, disk.Options{Model: true})
	_, c := newConversation(t, s, "k")
	var acked []Appended
	var ids []string
	failures := 0
	for i := range 120 {
		switch {
		case i%3 == 0:
			d.Fail(disk.Sync, 1, disk.IOSync)
		case i%3 == 1:
			d.Fail(disk.Write, 1+i%5, disk.IOWrite)
		}
		m := fromCustomer(c, fmt.Sprint("m", i))
		for try := 0; ; try++ {
			got, err := say(t, s, m)
			if err == nil {
				acked, ids = append(acked, got), append(ids, m.ID)
				break
			}
			failures++
			if !errors.Is(err, ErrStorage) || try > 20 {
				t.Fatalf("message %d, try %d: %v", i, try, err)
			}
			if h := s.Health(); !errors.Is(h.Err, ErrStorage) || h.Since.IsZero() {
				t.Fatalf("health while it fails: %+v", h)
			}
		}
		if h := s.Health(); h.Err != nil {
			t.Fatalf("health afterwards: %+v", h)
		}
	}
	if failures < 60 {
		t.Fatalf("%d failures", failures)
	}
	wantDense(t, s, c.ID, 120)
	for _, random := range []*rand.Rand{nil, rand.New(rand.NewPCG(1, 2))} {
		cut := filepath.Join(private(t), "cut")
		if err := d.Cut(cut, random); err != nil {
			t.Fatal(err)
		}
		again, stop := run(t, Options{Dir: cut})
		wantDense(t, again, c.ID, 120)
		for i, id := range idsOf(t, again, c.ID) {
			if ids[i-1] != id || acked[i-1].Seq != i {
				t.Fatalf("seq %d is %s, acknowledged was %+v for %s", i, id, acked[i-1], ids[i-1])
			}
		}
		stop()
	}
}

// TestFullDisk: refused whole while the disk is full or the user's quota is used up,
// reading goes on, and it works again by itself, also when nobody writes.
func TestFullDisk(t *testing.T) {
	for name, fill := range map[string]func(*disk.Disk, bool){"no space": (*disk.Disk).Fill, "quota": (*disk.Disk).Quota} {
		t.Run(name, func(t *testing.T) { fullDisk(t, fill) })
	}
}

func fullDisk(t *testing.T, fill func(*disk.Disk, bool)) {
	d, s := onDisk(t, disk.Options{})
	_, c := newConversation(t, s, "k")
	if _, err := say(t, s, fromCustomer(c, "before")); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		fill(d, true)
		_, err := say(t, s, fromCustomer(c, fmt.Sprint("m", round)))
		wantErr(t, err, ErrFull)
		if h := s.Health(); !errors.Is(h.Err, ErrFull) {
			t.Fatalf("health %+v", h)
		}
		wantDense(t, s, c.ID, 1+round)
		if got, err := say(t, s, fromCustomer(c, "before")); err == nil && (!got.Duplicate || got.Seq != 1) {
			t.Fatalf("a resend got %+v", got)
		}
		fill(d, false)
		until(t, "the store finds out by itself", func() bool { return s.Health().Err == nil })
		if got, err := say(t, s, fromCustomer(c, fmt.Sprint("m", round))); err != nil || got.Duplicate || got.Seq != int64(round+2) {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
}

// TestStall holds a sync: admission stops at the limit, whatever waits is told
// once and in order, and nothing is stored twice when clients send again.
func TestStall(t *testing.T) {
	for _, more := range []int{0, 1, 9 * QueueLen} {
		t.Run(fmt.Sprint(QueueLen+more), func(t *testing.T) {
			d, s := onDisk(t, disk.Options{})
			_, c := newConversation(t, s, "k")
			var mu sync.Mutex
			told := map[string]int{}
			var order []int64
			var wg sync.WaitGroup
			send := func(id string) error {
				wg.Add(1)
				err := s.Append(fromCustomer(c, id), func(got Appended, err error) {
					defer wg.Done()
					mu.Lock()
					defer mu.Unlock()
					if told[id]++; err != nil {
						t.Errorf("%s: %v", id, err)
					}
					if !got.Duplicate {
						order = append(order, got.Seq)
					}
				})
				if err != nil {
					wg.Done()
				}
				return err
			}
			d.Hold()
			if err := send("first"); err != nil {
				t.Fatal(err)
			}
			d.WaitHeld() // the writer is in its commit: everything from now on waits
			busy := 0
			for i := range QueueLen + more {
				err := send(fmt.Sprint(i))
				if i < QueueLen && err != nil {
					t.Fatalf("write %d was refused: %v", i+1, err)
				}
				if i >= QueueLen {
					wantErr(t, err, ErrBusy)
					busy++
				}
			}
			h := s.Health()
			if busy != more || h.Waiting != QueueLen || h.Oldest <= 0 {
				t.Fatalf("%d refused, health %+v", busy, h)
			}
			until(t, "the age of the oldest write grows", func() bool { return s.Health().Oldest > h.Oldest })
			d.Release()
			wg.Wait()
			for i := range QueueLen + more { // the clients whose answer never came, or who were refused, send again
				for {
					err := send(fmt.Sprint(i))
					if err == nil {
						break
					}
					wantErr(t, err, ErrBusy)
					wg.Wait()
				}
			}
			wg.Wait()
			wantDense(t, s, c.ID, 1+QueueLen+more)
			for i, seq := range order {
				if seq != int64(i+1) {
					t.Fatalf("acknowledgement %d has seq %d", i+1, seq)
				}
			}
			if told["first"] != 1 || told["0"] != 2 || h.Err != nil {
				t.Fatalf("told %d and %d times", told["first"], told["0"])
			}
			until(t, "nothing waits", func() bool { h := s.Health(); return h.Waiting == 0 && h.Oldest == 0 })
		})
	}
}

// TestOnCommit: each batch is reported, with its failure, after its callbacks.
func TestOnCommit(t *testing.T) {
	dir := private(t)
	d := disk.New(disk.Options{Dir: dir})
	defer d.Close()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var called atomic.Int64
	type report struct {
		Commit
		called int64
	}
	reports := make(chan report, 10) // more than there are batches
	s.OnCommit(func(c Commit) { reports <- report{c, called.Load()} })
	values := 0
	write := func() { // another value each time: SQLite writes no page for the same one
		values++
		if err := s.SetSetting("a", fmt.Sprint(values), func(struct{}, error) { called.Add(1) }); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		write()
	}
	start(t, s)
	if got := <-reports; got.Size != 3 || got.Err != nil || got.Took <= 0 || got.called != 3 {
		t.Fatalf("got %+v", got)
	}
	d.Fail(disk.Sync, 1, disk.IOSync)
	write()
	if got := <-reports; got.Size != 1 || !errors.Is(got.Err, ErrStorage) || got.called != 4 {
		t.Fatalf("got %+v", got)
	}
	if got := <-reports; got.Size != 1 || got.Err != nil { // the probe
		t.Fatalf("got %+v", got)
	}
}

// TestLostAfterFailure: should what was acknowledged be gone after a failure of
// the disk, the store says so and writes no more.
func TestLostAfterFailure(t *testing.T) {
	d, s := onDisk(t, disk.Options{})
	_, c := newConversation(t, s, "k")
	if _, err := say(t, s, fromCustomer(c, "1")); err != nil {
		t.Fatal(err)
	}
	must(t, func(done func(struct{}, error)) error { // as if the disk had lost it: not by a statement that the writer knows as a deletion
		return submit(s, func(t *tx) (struct{}, error) {
			_, err1 := t.exec("WITH lost AS (SELECT 1) DELETE FROM messages")
			_, err2 := t.exec("UPDATE conversations SET last_seq = 0")
			return struct{}{}, errors.Join(err1, err2)
		}, done)
	})
	d.Fail(disk.Sync, 1, disk.IOSync)
	_, err := say(t, s, fromCustomer(c, "2"))
	wantErr(t, err, ErrStorage)
	for range 2 {
		_, err = say(t, s, fromCustomer(c, "2"))
		wantErr(t, err, ErrDamaged)
	}
	if h := s.Health(); !errors.Is(h.Err, ErrDamaged) {
		t.Fatalf("health %+v", h)
	}
}

// TestCheckpoint writes enough for the WAL to start over several times.
func TestCheckpoint(t *testing.T) {
	d, s := onDisk(t, disk.Options{Record: true})
	_, c := newConversation(t, s, "k")
	var wg sync.WaitGroup
	const n = 3 * checkpointRows / 2
	for w := range 100 {
		wg.Go(func() {
			for i := w; i < n; i += 100 {
				if _, err := say(t, s, fromCustomer(c, fmt.Sprint(i))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	until(t, "the last checkpoint", func() bool {
		over := 0
		for _, e := range d.Events() {
			if e.Op == disk.Write && e.Kind == disk.WAL && e.Offset == 0 {
				over++
			}
		}
		return over >= 2
	})
	wantDense(t, s, c.ID, n)
	if h := s.Health(); h.Err != nil {
		t.Fatal(h.Err)
	}
}
