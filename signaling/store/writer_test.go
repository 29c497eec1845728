// The writer: groups, isolation, a full queue, stopping.

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
)

func setting(s *Store, key string, then error, done func(struct{}, error)) error {
	return submit(s, func(t *tx) (struct{}, error) {
		_, err := t.exec("INSERT INTO settings (key, value) VALUES (?, 'x')", key)
		return struct{}{}, errors.Join(err, then)
	}, done)
}

// TestGroupCommit queues before Run, so that what one commit takes is certain.
func TestGroupCommit(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: private(t)})
	if err != nil {
		t.Fatal(err)
	}
	const n = 300
	var order []int // on the writer's goroutine only, until all is done
	all := make(chan struct{})
	for i := range n {
		err := s.SetSetting(fmt.Sprint(i), "x", func(_ struct{}, err error) {
			if err != nil {
				t.Error(err)
			}
			if i == 0 { // the callback runs after the commit: a reader sees the whole group
				if _, err := s.Setting(context.Background(), fmt.Sprint(BatchMax-1)); err != nil {
					t.Errorf("not committed yet: %v", err)
				}
			}
			if order = append(order, i); len(order) == n {
				close(all)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	stop := start(t, s)
	<-all
	stop()
	if got := s.Stats(); got != (Stats{Commits: 2, Writes: n, Largest: BatchMax}) {
		t.Fatalf("stats %+v", got)
	}
	if !slices.IsSorted(order) {
		t.Fatalf("out of order: %v", order)
	}
}

// TestBatchBytes: long texts end a batch before its count does.
func TestBatchBytes(t *testing.T) {
	dir := private(t)
	s, stop := run(t, Options{Dir: dir})
	_, c := newConversation(t, s, "k")
	stop()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	const n, size = 40, BatchBytes / 8
	var sizes []int
	var wg sync.WaitGroup
	s.OnCommit(func(c Commit) { sizes = append(sizes, c.Size) })
	for i := range n {
		m := fromCustomer(c, fmt.Sprint(i))
		m.Text = strings.Repeat("x", size)
		wg.Add(1)
		if err := s.Append(m, func(_ Appended, err error) {
			if err != nil {
				t.Error(err)
			}
			wg.Done()
		}); err != nil {
			t.Fatal(err)
		}
	}
	stop = start(t, s)
	wg.Wait()
	stop()                                                                // after the last report
	if len(sizes) != n/8+1 || slices.Max(sizes) != 8 || sizes[n/8] != 1 { // the last one is the store's own
		t.Fatalf("batches of %v", sizes)
	}
}

// TestGroupsUnderLoad has many writers at once: fewer commits than writes.
func TestGroupsUnderLoad(t *testing.T) {
	s, _ := run(t, Options{Dir: private(t)})
	_, c := newConversation(t, s, "k")
	before := s.Stats()
	var wg sync.WaitGroup
	for w := range 100 {
		wg.Go(func() {
			for i := range 20 {
				if _, err := say(t, s, fromCustomer(c, fmt.Sprint(w, "-", i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := s.Stats()
	writes, commits := got.Writes-before.Writes, got.Commits-before.Commits
	if writes < 2000 || commits > writes/2 { // the store's own may be among them
		t.Fatalf("%d writes in %d commits", writes, commits)
	}
	t.Logf("%d writes in %d commits, largest %d", writes, commits, got.Largest)
}

func TestIsolation(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: private(t)})
	if err != nil {
		t.Fatal(err)
	}
	rule := errors.New("refused after it wrote")
	var wg sync.WaitGroup
	want := func(wanted error) func(struct{}, error) {
		wg.Add(1)
		return func(_ struct{}, err error) {
			if !errors.Is(err, wanted) {
				t.Errorf("got %v, want %v", err, wanted)
			}
			wg.Done()
		}
	}
	_ = setting(s, "a", nil, want(nil))
	_ = setting(s, "b", rule, want(rule))
	_ = setting(s, "a", nil, want(ErrConflict))
	_ = submit(s, func(t *tx) (struct{}, error) {
		_, err := t.exec("no such statement")
		return struct{}{}, err
	}, want(ErrStorage))
	_ = setting(s, "c", nil, want(nil))
	start(t, s)
	wg.Wait()
	if got := s.Stats(); got.Commits != 1 || got.Writes != 5 {
		t.Fatalf("stats %+v", got)
	}
	for key, want := range map[string]error{"a": nil, "b": ErrNotFound, "c": nil} {
		if _, err := s.Setting(t.Context(), key); !errors.Is(err, want) {
			t.Fatalf("%s: got %v, want %v", key, err, want)
		}
	}
}

// TestSpoiled loses the whole transaction in the middle of a group, as SQLite
// does when the disk is full: everybody is told, nothing is half there, and the
// next group works.
func TestSpoiled(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: private(t)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Add(1)
		done := func(_ struct{}, err error) {
			if !errors.Is(err, ErrFull) {
				t.Errorf("got %v", err)
			}
			wg.Done()
		}
		if i == 1 {
			_ = submit(s, func(t *tx) (struct{}, error) {
				return struct{}{}, &dbError{kind: ErrFull, text: "no room", spoils: true}
			}, done)
			continue
		}
		_ = setting(s, fmt.Sprint(i), nil, done)
	}
	start(t, s)
	wg.Wait()
	for i := range 3 {
		_, err := s.Setting(t.Context(), fmt.Sprint(i))
		wantErr(t, err, ErrNotFound)
		must(t, func(d func(struct{}, error)) error { return s.SetSetting(fmt.Sprint(i), "x", d) })
	}
}

func TestQueueFull(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: private(t)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range QueueLen {
		wg.Add(1)
		if err := s.SetSetting(fmt.Sprint(i), "x", func(_ struct{}, err error) {
			if err != nil {
				t.Error(err)
			}
			wg.Done()
		}); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(struct{}, error) { t.Error("done of a refused write was called") }
	wantErr(t, s.SetSetting("more", "x", refused), ErrBusy)
	stop := start(t, s)
	wg.Wait()
	must(t, func(d func(struct{}, error)) error { return s.SetSetting("more", "x", d) })
	stop()
	wantErr(t, s.SetSetting("late", "x", refused), ErrStopped)
	_, err = s.Setting(t.Context(), "more")
	wantErr(t, err, ErrStopped)
}

// TestStop cancels in mid-load: whatever was queued is committed and told.
func TestStop(t *testing.T) {
	dir := private(t)
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	accepted, told := map[string]bool{}, map[string]bool{}
	for i := 0; ; i++ {
		key := fmt.Sprint(i)
		err := s.SetSetting(key, "x", func(_ struct{}, err error) {
			if err == nil {
				told[key] = true
			}
		})
		if errors.Is(err, ErrStopped) {
			break
		}
		if err == nil {
			accepted[key] = true
		}
		if len(accepted) == 1000 {
			cancel()
		}
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	cancel()
	s.Close()
	s.Close()
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(accepted) < 1000 || len(told) != len(accepted) {
		t.Fatalf("%d accepted, %d told", len(accepted), len(told))
	}
	s, _ = run(t, Options{Dir: dir})
	for key := range told {
		if _, err := s.Setting(t.Context(), key); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
}

func TestCloseWithoutRun(t *testing.T) {
	dir := private(t)
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var told error
	if err := s.SetSetting("a", "x", func(_ struct{}, err error) { told = err }); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	wantErr(t, told, ErrStopped)
	s, _ = run(t, Options{Dir: dir}) // the folder is free again
	_, err = s.Setting(t.Context(), "a")
	wantErr(t, err, ErrNotFound)
}

// TestNoDriverErrors: what leaves the package can't be matched with the driver's types.
func TestNoDriverErrors(t *testing.T) {
	s, _ := fresh(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Overviews(ctx)
	wantErr(t, err, context.Canceled)
	_, err = do(t, func(d func(struct{}, error)) error { return setting(s, "k", nil, d) })
	if err != nil {
		t.Fatal(err)
	}
	_, err = do(t, func(d func(struct{}, error)) error { return setting(s, "k", nil, d) })
	if _, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok || !errors.Is(err, ErrConflict) {
		t.Fatalf("got %#v", err)
	}
}

// TestDiskFull limits the file's size, which SQLite reports as it does a full
// disk: refused whole, reading goes on, and writing too once there is room.
func TestDiskFull(t *testing.T) {
	s, _ := fresh(t)
	_, c := newConversation(t, s, "k")
	pages := func(n string) {
		t.Helper()
		must(t, func(d func(int64, error)) error {
			return submit(s, func(t *tx) (int64, error) {
				return first(t.query, scanOne[int64], "pages", "PRAGMA max_page_count = "+n)
			}, d)
		})
	}
	pages("1") // never below what is used: the file may not grow
	m, stored := fromCustomer(c, ""), 0
	m.Text = strings.Repeat("x", 3000)
	var err error
	for ; err == nil; stored++ {
		if stored > 100 {
			t.Fatal("the limit does nothing")
		}
		m.ID = fmt.Sprint(stored)
		_, err = say(t, s, m)
	}
	wantErr(t, err, ErrFull)
	wantDense(t, s, c.ID, stored-1)
	pages("1000000")
	if got, err := say(t, s, m); err != nil || got.Duplicate || got.Seq != int64(stored) {
		t.Fatalf("got %+v, %v", got, err)
	}
	wantDense(t, s, c.ID, stored)
}

// TestLogsNothingPrivate logs one of each private type.
func TestLogsNothingPrivate(t *testing.T) {
	for _, handler := range []func(io.Writer) slog.Handler{
		func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		var out strings.Builder
		slog.New(handler(&out)).Info("x",
			"message", Message{Text: "private", SenderName: "private"},
			"append", Append{Text: "private", SenderName: "private"},
			"session", Session{RelaySecret: "private", RelayUser: "private"},
			"err", &TakenError{AgentID: "a", AgentName: "private"})
		if strings.Contains(out.String(), "private") {
			t.Fatalf("logged: %s", out.String())
		}
	}
}
