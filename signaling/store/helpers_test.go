// What the tests share: a running store in a fresh folder, and people in it.

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// children are processes that tests start of this binary: by the environment
// variable that names the folder. They don't return.
var children = map[string]func(dir string){}

func TestMain(m *testing.M) {
	if dir := os.Getenv("LOOKALONG_STORE_CHILD"); dir != "" {
		childMain(dir) // the process that TestKill kills
	}
	for name, child := range children {
		if dir := os.Getenv(name); dir != "" {
			child(dir)
		}
	}
	if dir := os.Getenv("LOOKALONG_MIGRATE_CHILD"); dir != "" {
		kill, _ := strconv.Atoi(os.Getenv("LOOKALONG_MIGRATE_KILL"))
		migrateChild(dir, kill) // the process that TestMigrateKilled kills
	}
	goleak.VerifyTestMain(m)
}

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// run opens a store and runs it until the returned function is called (or the test ends).
func run(t testing.TB, o Options) (*Store, func()) {
	t.Helper()
	if o.StopNewBelow == 0 && o.ReadOnlyBelow == 0 {
		o.StopNewBelow, o.ReadOnlyBelow = -1, -1 // whatever this machine has left
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s, start(t, s)
}

func start(t testing.TB, s *Store) func() {
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	stop := sync.OnceFunc(func() {
		s.Close()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func private(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fresh is a running store on a clock of its own.
func fresh(t testing.TB) (*Store, *clock) {
	t.Helper()
	c := newClock()
	s, _ := run(t, Options{Dir: private(t), Clock: c.Now})
	return s, c
}

// do waits for a write.
func do[R any](t testing.TB, write func(func(R, error)) error) (R, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return Sync(ctx, write)
}

// must waits for a write that has to work.
func must[R any](t testing.TB, write func(func(R, error)) error) R {
	t.Helper()
	r, err := do(t, write)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func newCustomer(t testing.TB, s *Store, key string) Customer {
	t.Helper()
	return must(t, func(d func(Customer, error)) error { return s.EnsureCustomer(key, "p256", []byte("pub "+key), d) })
}

func newAgent(t testing.TB, s *Store, name string, role Role) Redeemed {
	t.Helper()
	token := must(t, func(d func(string, error)) error { return s.CreateInvite(name, role, 0, d) })
	return must(t, func(d func(Redeemed, error)) error {
		return s.RedeemInvite(token, []byte("device of "+name), "laptop", d)
	})
}

func openFor(t testing.TB, s *Store, customer string) Opened {
	t.Helper()
	return must(t, func(d func(Opened, error)) error { return s.OpenConversation(customer, d) })
}

// newConversation is a waiting one of a new customer.
func newConversation(t testing.TB, s *Store, key string) (Customer, Conversation) {
	t.Helper()
	c := newCustomer(t, s, key)
	return c, openFor(t, s, c.ID).Conversation
}

func claim(t testing.TB, s *Store, id, agent string, lapses *time.Time) (Conversation, error) {
	t.Helper()
	return do(t, func(d func(Conversation, error)) error { return s.Claim(id, agent, lapses, d) })
}

func closeIt(t testing.TB, s *Store, id string) Conversation {
	t.Helper()
	return must(t, func(d func(Conversation, error)) error {
		return s.CloseConversation(id, Actor{Kind: KindSystem}, d)
	})
}

func say(t testing.TB, s *Store, m Append) (Appended, error) {
	t.Helper()
	return do(t, func(d func(Appended, error)) error { return s.Append(m, d) })
}

// fromCustomer is a message with the given id, and "text ID" as its text.
func fromCustomer(c Conversation, id string) Append {
	return Append{c.ID, id, KindCustomer, c.CustomerID, "Visitor", "text " + id}
}

func fromAgent(c Conversation, a Agent, id string) Append {
	return Append{c.ID, id, KindAgent, a.ID, a.Name, "text " + id}
}

// wantDense checks that a conversation holds the sequence 1…n without hole or repeat.
func wantDense(t testing.TB, s *Store, conversation string, n int) {
	t.Helper()
	seen, after := map[string]bool{}, int64(0)
	for {
		list, err := s.Messages(t.Context(), conversation, Range{After: after})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, m := range list {
			if m.Seq != after+1 {
				t.Fatalf("seq %d after %d", m.Seq, after)
			}
			key := fmt.Sprint(m.SenderKind, m.SenderID, m.ID)
			if seen[key] {
				t.Fatalf("message %s twice", m.ID)
			}
			seen[key], after = true, m.Seq
		}
	}
	if after != int64(n) {
		t.Fatalf("%d messages, want %d", after, n)
	}
}
