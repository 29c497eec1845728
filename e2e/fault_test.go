package e2e

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/port"
	"github.com/lookalong/lookalong/internal/fault"
	"github.com/lookalong/lookalong/internal/fault/workload"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
	"github.com/lookalong/lookalong/signaling/servertest"
	"github.com/lookalong/lookalong/signaling/store"
)

// rounds is how often a failure test goes round: short, long in "make soak", or LOOKALONG_ROUNDS.
func rounds(short, long int) int {
	if n, err := strconv.Atoi(os.Getenv("LOOKALONG_ROUNDS")); err == nil {
		return n
	}
	if os.Getenv("LOOKALONG_SOAK") != "" {
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

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*servertest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// faultServer builds the real server on a disk that misbehaves, once.
var faultServer = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programs, "faultserver")
	out, err := exec.Command("go", "build", "-o", path, "../internal/fault/faultserver").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return path, err
})

// stage is a server process that can be hurt, its folder, and a proxy before it.
type stage struct {
	*fault.Process
	t     *testing.T
	addr  string
	data  string
	space *fault.Space // nil: an ordinary folder
	proxy *fault.Proxy
	every time.Duration // between two messages of a customer
}

// newStage prepares a server; Start starts it.
func newStage(t *testing.T, program string, space *fault.Space, flags ...string) *stage {
	t.Helper()
	s := &stage{t: t, addr: port.Free(t), data: t.TempDir() + "/data", space: space, every: 100 * time.Millisecond}
	if space != nil {
		s.data = space.Dir + "/data"
	}
	args := append([]string{"serve", "--listen", s.addr, "--no-relay", "--log-level", "info", "--data", s.data}, flags...)
	if space != nil {
		program, args = space.Command(program, args...)
	}
	s.Process = &fault.Process{Path: program, Args: args, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}}
	s.Ready = func(context.Context) error {
		resp, err := http.Get("http://" + s.addr + "/healthz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	}
	var err error
	if s.proxy, err = fault.NewProxy(fault.ProxyOptions{Target: s.addr, Sources: 200}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.proxy.Close()
		if s.Running() {
			_ = s.Kill()
		}
		if t.Failed() {
			out := s.Output()
			t.Logf("the server printed:\n%s", out[max(0, len(out)-6000):])
		}
	})
	s.up()
	return s
}

func (s *stage) up() {
	s.t.Helper()
	if err := s.Start(soon(s.t)); err != nil {
		s.t.Fatal(err)
	}
}

func signalingProgram() string { return filepath.Join(programs, "lookalong-signaling") }

// invites makes invites for n agents by the command, beside the server if one runs.
func (s *stage) invites(n int) (out []string) {
	s.t.Helper()
	for i := range n {
		line, err := exec.Command(signalingProgram(), "invite", "--name", fmt.Sprint("Agent ", i), "--data", s.data).Output()
		if err != nil {
			s.t.Fatalf("invite: %v", err)
		}
		out = append(out, strings.TrimSpace(string(line)))
	}
	return out
}

// play starts customers and agents on the stage.
func (s *stage) play(customers int, invites []string, seed uint64) *workload.Workload {
	s.t.Helper()
	w, err := workload.Start(workload.Config{
		URL: "http://" + s.addr, Customers: customers, Invites: invites, Seed: seed,
		Dial: fault.Dial(s.proxy.Addr(), 0), CustomerEvery: s.every,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(w.End)
	return w
}

// run does a script on the stage.
func (s *stage) run(script fault.Script, seed uint64) {
	s.t.Helper()
	scene := fault.Scene{Proxy: s.proxy, Server: s.Process, Rand: fault.Rand(seed), Log: s.t.Logf}
	if err := scene.Run(soon(s.t), script); err != nil {
		s.t.Fatal(err)
	}
}

// done settles and ends the play, and checks it against the store beside the running server.
func (s *stage) done(w *workload.Workload, what string) workload.Report {
	s.t.Helper()
	if err := w.Settle(soon(s.t)); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
	w.End()
	dir := s.data
	if s.space != nil { // SQLite would follow the way from outside to a wrong place: look at a copy
		if err := s.Term(soon(s.t)); err != nil {
			s.t.Fatal(err)
		}
		dir = s.t.TempDir() + "/data"
		if err := errors.Join(os.CopyFS(dir, os.DirFS(s.space.Outside("data"))), os.Chmod(dir, 0o700)); err != nil {
			s.t.Fatal(err)
		}
	}
	st, err := store.OpenShared(soon(s.t), store.Options{Dir: dir})
	if err != nil {
		s.t.Fatal(err)
	}
	defer st.Close()
	report, err := w.Check(soon(s.t), st)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(report.Wrong) > 0 {
		s.t.Errorf("%s: %s", what, report)
	}
	return report
}

func parseScript(t *testing.T, format string, args ...any) fault.Script {
	t.Helper()
	s, err := fault.Parse(fmt.Sprintf(format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFaultKill: kill -9 at random moments under load (F01).
func TestFaultKill(t *testing.T) {
	t.Parallel()
	s := newStage(t, signalingProgram(), nil)
	n, acked := rounds(8, 200), 0
	for round := range n {
		if round%50 == 49 { // another folder: what has lapsed fills the queue
			if err := s.Term(soon(t)); err != nil {
				t.Fatal(err)
			}
			s = newStage(t, signalingProgram(), nil)
		}
		seed := firstSeed() + uint64(round)
		w := s.play(5, s.invites(2), seed)
		if err := w.WaitAcked(soon(t), 10); err != nil {
			t.Fatal(err)
		}
		r := fault.Rand(seed)
		script := parseScript(t, "at %dms kill; at %dms restart", r.IntN(300), 300+r.IntN(300))
		s.run(script, seed)
		if err := w.WaitAcked(soon(t), w.Acked()+10); err != nil {
			t.Fatalf("LOOKALONG_SEED=%d, script %q: %v", seed, script, err)
		}
		report := s.done(w, fmt.Sprintf("LOOKALONG_SEED=%d, script %q", seed, script))
		acked += report.Acked
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills, %d messages acknowledged, none lost, doubled or out of order", n, acked)
}

// TestFaultPowerCutOfTheMachine: the process is gone and the disk holds what a loss of power leaves. The real program
// starts on that, and the same clients come back to it (F02).
func TestFaultPowerCutOfTheMachine(t *testing.T) {
	t.Parallel()
	program, err := faultServer()
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, program, nil)
	if err := s.Term(soon(t)); err != nil {
		t.Fatal(err)
	}
	env := s.Env
	for round := range rounds(3, 100) {
		seed := firstSeed() + uint64(round)
		after := t.TempDir() + "/after"
		s.Env = append([]string{"FAULT_CUT=" + after}, env...)
		if round%4 != 0 {
			s.Env = append(s.Env, fmt.Sprint("FAULT_SEED=", seed))
		}
		invites := s.invites(2) // before: the model does not see what another process writes
		s.up()
		w := s.play(5, invites, seed)
		if err := w.WaitAcked(soon(t), 20+fault.Rand(seed).IntN(60)); err != nil {
			t.Fatal(err)
		}
		if err := s.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		if code, err := s.Wait(soon(t)); code != 137 || err != nil {
			t.Fatalf("the machine lost its power with %d, %v", code, err)
		}
		for i, arg := range s.Args {
			if arg == s.data {
				s.Args[i] = after
			}
		}
		s.data = after
		s.Env = env
		s.up()
		if err := w.WaitAcked(soon(t), w.Acked()+10); err != nil {
			t.Fatal(err)
		}
		t.Log(s.done(w, fmt.Sprintf("LOOKALONG_SEED=%d, power cut", seed)))
		if err := s.Term(soon(t)); err != nil || t.Failed() {
			t.Fatal(err)
		}
	}
}

// TestFaultFreezeAndRestart: the process is frozen for a while, as a machine that swaps, and then updated (F06, F07).
func TestFaultFreezeAndRestart(t *testing.T) {
	t.Parallel()
	s := newStage(t, signalingProgram(), nil)
	w := s.play(5, s.invites(2), firstSeed())
	if err := w.WaitAcked(soon(t), 10); err != nil {
		t.Fatal(err)
	}
	s.run(parseScript(t, "at 100ms stop; at 1.5s cont; at 2s term; at 2.1s restart"), firstSeed())
	if err := w.WaitAcked(soon(t), w.Acked()+10); err != nil {
		t.Fatal(err)
	}
	t.Log(s.done(w, "after a freeze and a restart"))
}

// TestFaultTwoServers: a second server on the same folder says so, and the first goes on.
func TestFaultTwoServers(t *testing.T) {
	t.Parallel()
	s := newStage(t, signalingProgram(), nil)
	second := &fault.Process{
		Path: s.Path, Env: s.Env, Args: []string{"serve", "--listen", port.Free(t), "--no-relay", "--data", s.data},
		Ready: func(context.Context) error { return errors.New("it should not serve") },
	}
	err := second.Start(soon(t))
	if err == nil || !strings.Contains(err.Error(), "already runs on") || !strings.Contains(err.Error(), strconv.Itoa(s.PID())) {
		t.Errorf("the second server said %v", err)
	}
	w := s.play(1, s.invites(1), firstSeed())
	if err := w.WaitAcked(soon(t), 10); err != nil {
		t.Fatal(err)
	}
	s.done(w, "beside a second server")
}

// TestFaultNoRoom: the disk is filled to the last byte, or below the operator's limit, and has room again later (F03).
// No step by hand is needed.
func TestFaultNoRoom(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{
		"to the last byte": {"--disk-stop-new", "off", "--disk-read-only", "off"},
		"below the limit":  {"--disk-stop-new", "24MiB", "--disk-read-only", "16MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := newStage(t, signalingProgram(), nil) // a folder with an agent in it
			invites := before.invites(2)
			w := before.play(1, invites[:1], firstSeed()+1000)
			if err := w.WaitAcked(soon(t), 5); err != nil {
				t.Fatal(err)
			}
			w.End()
			space := newSpace(t)
			before.moved(space)
			s := newStage(t, signalingProgram(), space, flags...)
			s.every = time.Second / 2 // the long form takes minutes, and a customer may write 600 messages an hour
			w = s.play(4, invites[1:], firstSeed())
			me := s.someone()
			worst := time.Duration(0)
			for round := range rounds(2, 20) {
				r := fault.Rand(firstSeed() + uint64(round))
				if err := w.WaitAcked(soon(t), w.Acked()+10+r.IntN(30)); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				if err := space.Fill(int64(r.IntN(40_000))); err != nil {
					t.Fatal(err)
				}
				me.untilRefused()
				if err := space.Free(); err != nil {
					t.Fatal(err)
				}
				freed := time.Now()
				me.untilStored()
				worst = max(worst, time.Since(freed))
			}
			t.Logf("stored again at most %.1f s after there was room", worst.Seconds())
			t.Log(s.done(w, "after the disk was full"))
		})
	}
}

// newSpace is a disk of 64 MiB.
func newSpace(t *testing.T) *fault.Space {
	t.Helper()
	space, err := fault.NewSpace(t.TempDir(), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(space.Close)
	return space
}

// moved is the stage's data on another disk; its server is stopped.
func (s *stage) moved(space *fault.Space) {
	s.t.Helper()
	if err := s.Term(soon(s.t)); err != nil {
		s.t.Fatal(err)
	}
	if err := errors.Join(os.CopyFS(space.Outside("data"), os.DirFS(s.data)), os.Chmod(space.Outside("data"), 0o700)); err != nil {
		s.t.Fatal(err)
	}
}

// TestFaultStartWithoutRoom: after a clean stop the disk is full to the last byte. A start says what to do, and works
// once there is room.
func TestFaultStartWithoutRoom(t *testing.T) {
	t.Parallel()
	before := newStage(t, signalingProgram(), nil)
	invites := before.invites(1)
	space := newSpace(t)
	before.moved(space)
	s := newStage(t, signalingProgram(), space, "--disk-stop-new", "off", "--disk-read-only", "off")
	if err := s.Term(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := space.Fill(0); err != nil {
		t.Fatal(err)
	}
	err := s.Start(soon(t))
	if err == nil || !strings.Contains(err.Error(), "disk full") || !strings.Contains(err.Error(), "make room") || strings.Contains(err.Error(), "backup") {
		t.Errorf("without room it said %v", err)
	}
	if err := space.Free(); err != nil {
		t.Fatal(err)
	}
	s.up()
	w := s.play(2, invites, firstSeed())
	if err := w.WaitAcked(soon(t), 10); err != nil {
		t.Fatal(err)
	}
	s.done(w, "after a start without room")
}

// TestFaultReadOnlyFolder: commands that read say what keeps them from it, and not what the database's driver calls it.
func TestFaultReadOnlyFolder(t *testing.T) {
	t.Parallel()
	s := newStage(t, signalingProgram(), newSpace(t), "--disk-stop-new", "off", "--disk-read-only", "off")
	if err := s.Term(soon(t)); err != nil {
		t.Fatal(err)
	}
	inside := func(program string, args ...string) (int, string) {
		path, args := s.space.Command(program, args...)
		cmd := exec.Command(path, args...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	if code, out := inside("mount", "-o", "remount,ro", s.space.Dir); code != 0 {
		t.Fatalf("mount: %s", out)
	}
	for _, args := range [][]string{{"check"}, {"backup", t.TempDir() + "/x.db"}, {"config-check", "--no-relay"}} {
		code, out := inside(signalingProgram(), append(args, "--data", s.data)...)
		if code != 1 || !strings.Contains(out, s.data+" can't be written (read-only file system)") || strings.Contains(out, "unable to open") {
			t.Errorf("%s: exit code %d\n%s", args[0], code, out)
		}
	}
	if code, out := inside("mount", "-o", "remount,rw", s.space.Dir); code != 0 {
		t.Fatalf("mount: %s", out)
	}
	if code, out := inside(signalingProgram(), "check", "--data", s.data); code != 0 {
		t.Errorf("check of a folder that can be written: %d %s", code, out)
	}
}

// TestFaultNewOnASmallDisk: a new installation on a disk with less room than the limits starts, says that nothing can
// be stored, and has the first agent's invite; an operator can make another. Without the limits it serves.
func TestFaultNewOnASmallDisk(t *testing.T) {
	t.Parallel()
	s := newStage(t, signalingProgram(), newSpace(t))
	resp, err := http.Get("http://" + s.addr + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), `"disk"`) {
		t.Errorf("/readyz: %s %s %v", resp.Status, body, err)
	}
	first, err := os.ReadFile(s.space.Outside("data/first-invite"))
	if err != nil {
		t.Fatal(err)
	}
	path, args := s.space.Command(signalingProgram(), "invite", "--name", "Bea", "--data", s.data)
	second, err := exec.Command(path, args...).Output()
	if err != nil {
		t.Fatalf("invite: %v", err)
	}
	if err := s.Term(soon(t)); err != nil {
		t.Fatal(err)
	}
	s.Args = append(s.Args, "--disk-stop-new", "off", "--disk-read-only", "off")
	s.up()
	again, err := os.ReadFile(s.space.Outside("data/first-invite"))
	if err != nil || string(again) == string(first) {
		t.Errorf("the second start left the invite of the first: %v", err)
	}
	w := s.play(2, []string{strings.TrimSpace(string(again)), strings.TrimSpace(string(second))}, firstSeed())
	if err := w.WaitAcked(soon(t), 10); err != nil {
		t.Fatal(err)
	}
	s.done(w, "on a small disk")
}

// someone is a customer who writes one message at a time.
type someone struct {
	t       *testing.T
	client  *client.Client
	conv    protocol.ConversationID
	delayed chan *protocol.UserError // why the message that is under way waits; 1: the client says it at the begin of a pause
	stored  chan stored              // what came of the message that is under way; 1: there is one
	waits   bool                     // a message is under way
	seq     int64                    // of the last one that was stored
}

// stored is the end of a message.
type stored struct {
	ack protocol.Ack
	err error
}

func (s *stage) someone() *someone {
	s.t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &someone{t: s.t, delayed: make(chan *protocol.UserError, 1), stored: make(chan stored, 1)}
	p.client, err = client.New(client.Config{URL: "http://" + s.addr, Role: "native", Key: key, OnDelay: func(why *protocol.UserError) {
		select {
		case p.delayed <- why:
		default: // the same again, and nobody has looked at the first yet
		}
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { _ = p.client.Run(ctx); close(ended) }()
	s.t.Cleanup(func() { cancel(); <-ended })
	if err := p.client.WaitOnline(soon(s.t)); err != nil {
		s.t.Fatal(err)
	}
	reply, err := p.client.Request(soon(s.t), protocol.ConversationOpen{})
	state, ok := reply.(protocol.ConversationState)
	if !ok {
		s.t.Fatalf("%T, %v", reply, err)
	}
	p.conv = state.Conversation
	return p
}

// untilRefused writes until the client says that a message has to wait for a full disk.
func (p *someone) untilRefused() {
	p.t.Helper()
	for ctx := soon(p.t); ; {
		if !p.waits {
			p.waits = true
			p.client.Post(p.conv, fmt.Sprint("message ", p.seq+1), func(ack protocol.Ack, err error) { p.stored <- stored{ack, err} })
		}
		select {
		case end := <-p.stored:
			p.took(end)
		case why := <-p.delayed:
			if why.Code != protocol.CodeReadOnly {
				continue // it writes too fast, and waits as the server says
			}
			if why.Text != "Messages can't be saved right now. Yours is kept here and will be sent." || why.RetryAfterMs <= 0 {
				p.t.Errorf("refused with %+v", why)
			}
			return
		case <-ctx.Done():
			p.t.Fatal("no message was refused")
		}
	}
}

// untilStored waits until the refused message is stored: the client sends it again as often as the server asks for.
func (p *someone) untilStored() {
	p.t.Helper()
	for ctx := soon(p.t); p.waits; {
		select {
		case end := <-p.stored:
			p.took(end)
		case <-p.delayed: // once more
		case <-ctx.Done():
			p.t.Fatal("the refused message is never stored")
		}
	}
}

// took looks at the end of the message that was under way.
func (p *someone) took(end stored) {
	p.t.Helper()
	p.waits = false
	select {
	case <-p.delayed: // of this message: the next one has its own
	default:
	}
	if end.err != nil || end.ack.Seq != p.seq+1 {
		p.t.Fatalf("stored as %d after %d, %v", end.ack.Seq, p.seq, end.err)
	}
	p.seq = end.ack.Seq
}
