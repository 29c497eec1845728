package fault_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/lookalong/lookalong/internal/fault"
	"github.com/lookalong/lookalong/internal/fault/disk"
	"github.com/lookalong/lookalong/internal/fault/workload"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	"github.com/lookalong/lookalong/signaling/servertest"
	"github.com/lookalong/lookalong/signaling/store"
)

// soak is set by "make soak": the long form of each test.
var soak = os.Getenv("LOOKALONG_SOAK") != ""

// rounds is how often a test goes round: short, long in a soak, or LOOKALONG_ROUNDS.
func rounds(short, long int) int {
	if n, err := strconv.Atoi(os.Getenv("LOOKALONG_ROUNDS")); err == nil {
		return n
	}
	if soak {
		return long
	}
	return short
}

// firstSeed is where seeds begin: LOOKALONG_SEED repeats one that failed.
func firstSeed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("LOOKALONG_SEED"), 10, 64); err == nil {
		return n
	}
	return 1
}

func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*servertest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// scene is a real server on a disk and a clock that can be hurt, behind a proxy.
type scene struct {
	*servertest.Server
	t     *testing.T
	data  string
	disk  *disk.Disk
	clock *fault.Clock
	proxy *fault.Proxy // nil: clients connect directly
}

func newScene(t *testing.T, o disk.Options, proxied bool) *scene {
	t.Helper()
	sc := &scene{t: t, clock: &fault.Clock{}, data: filepath.Join(t.TempDir(), "data")}
	o.Dir = filepath.Dir(sc.data)
	sc.disk = disk.New(o)
	t.Cleanup(sc.disk.Close)
	sc.Server = servertest.NewWith(t, func(cfg *server.Config) {
		cfg.Store.Close() // that of servertest's own folder, which does not know our disk and clock
		var err error
		if cfg.Store, err = store.Open(context.Background(), store.Options{Dir: sc.data, Clock: sc.clock.Now}); err != nil {
			t.Fatal(err)
		}
	})
	if proxied {
		var err error
		if sc.proxy, err = fault.NewProxy(fault.ProxyOptions{Target: sc.Addr, Sources: 50}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sc.proxy.Close)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log:\n%s", tail(sc.Log.String(), 4000))
		}
	})
	return sc
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// invites makes invites for n agents.
func (sc *scene) invites(n int) (out []string) {
	sc.t.Helper()
	err := store.Use(context.Background(), store.Options{Dir: sc.data}, func(ctx context.Context, s *store.Store) error {
		for i := range n {
			token, err := store.Sync(ctx, func(done func(string, error)) error {
				return s.CreateInvite(fmt.Sprint("Agent ", i), store.RoleAgent, 0, done)
			})
			if err != nil {
				return err
			}
			out = append(out, token)
		}
		return nil
	})
	if err != nil {
		sc.t.Fatal(err)
	}
	return out
}

// play starts customers and agents; they end with the test.
func (sc *scene) play(customers, agents int, seed uint64) *workload.Workload {
	sc.t.Helper()
	cfg := workload.Config{URL: sc.URL(), Customers: customers, Invites: sc.invites(agents), Seed: seed}
	if sc.proxy != nil {
		cfg.Dial = fault.Dial(sc.proxy.Addr(), 0)
	}
	w, err := workload.Start(cfg)
	if err != nil {
		sc.t.Fatal(err)
	}
	sc.t.Cleanup(w.End)
	return w
}

// done settles and ends the play and checks it against the store.
func (sc *scene) done(w *workload.Workload, what string) workload.Report {
	sc.t.Helper()
	if err := w.Settle(patience(sc.t)); err != nil {
		sc.t.Fatalf("%s: %v", what, err)
	}
	w.End()
	sc.Stop()
	report := check(sc.t, sc.data, w.Check)
	if len(report.Wrong) > 0 {
		sc.t.Errorf("%s: %s", what, report)
	}
	return report
}

// check opens a folder and compares.
func check(t *testing.T, dir string, f func(context.Context, workload.Reader) (workload.Report, error)) workload.Report {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	report, err := f(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// newAgent logs an agent in, without a proxy.
func (sc *scene) newAgent() (*servertest.Conn, servertest.Key) {
	sc.t.Helper()
	k, invite := servertest.NewAgentKey(), sc.invites(1)[0]
	c := sc.Open("agent", k, func(p *protocol.HelloProof) { p.Invite, p.Device = invite, "test" })
	c.Welcome = servertest.Want[protocol.HelloWelcome](c, nil)
	return c, k
}
