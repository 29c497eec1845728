// Linearizability, judged by porcupine: many clients at once, crashes by loss of power in between, and a model of what
// each operation may do. An operation that was under way when the power failed has an unknown outcome: it happened
// before the restart, or never.

package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/lookalong/lookalong/internal/fault/disk"
)

// linearOps is how many operations a history has: about 10,000, in a soak 100,000.
func linearOps() int {
	if os.Getenv("LOOKALONG_SOAK") != "" {
		return 105_000
	}
	return 10_500
}

const (
	linearClients = 20
	active        = 8   // objects that are in use at a time: about 2.5 clients meet on each
	perObject     = 250 // operations on an object before others take its place
	linearCrashes = 8
)

// world is a store that loses its power now and then, and the history of what its clients saw.
type world struct {
	t     *testing.T
	seed  uint64
	clock *clock

	ticks atomic.Int64 // the history's time: each event has its own
	mu    sync.Mutex
	life  *life
	ops   []porcupine.Operation
	lost  int // operations with an unknown outcome
}

// life is the time between two losses of power.
type life struct {
	s     *Store
	disk  *disk.Disk
	stop  func()
	over  bool  // guarded by world.mu
	ended int64 // when the power failed
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, clock: newClock()}
	w.life = w.begin(filepath.Join(t.TempDir(), "first"))
	t.Cleanup(func() { w.life.stop(); w.life.disk.Close() })
	return w
}

func (w *world) begin(dir string) *life {
	w.t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	l := &life{disk: disk.New(disk.Options{Dir: dir, Model: true})}
	l.s, l.stop = run(w.t, Options{Dir: dir, Clock: w.clock.Now})
	return l
}

func (w *world) now() *life {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.life
}

// crash fails the power: whoever has no answer by now gets none. The next life begins on what is left.
func (w *world) crash(n int) {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), fmt.Sprint("life", n))
	old := w.life
	w.mu.Lock()
	var r *rand.Rand
	if n%3 != 0 {
		r = rand.New(rand.NewPCG(w.seed, uint64(n)))
	}
	err := old.disk.Cut(dir, r)
	old.over, old.ended = true, w.ticks.Add(1)
	w.mu.Unlock()
	if err != nil {
		w.t.Fatal(err)
	}
	old.stop() // what it still writes goes nowhere
	old.disk.Close()
	next := w.begin(dir)
	w.mu.Lock()
	w.life = next
	w.mu.Unlock()
}

// write does one operation that changes something and adds it to the history, with the answer or as unknown. start queues it.
func write[R any](w *world, client int, in any, start func(*Store, func(R, error)) error, answer func(R, error) any) {
	l, call := w.now(), w.ticks.Add(1)
	done := make(chan struct{})
	err := start(l.s, func(r R, err error) {
		defer close(done)
		w.mu.Lock()
		defer w.mu.Unlock()
		o := porcupine.Operation{ClientId: client, Input: in, Call: call}
		switch {
		case l.over && call > l.ended: // it was asked of a machine without power
			return
		case l.over:
			o.Output, o.Return = unknown{}, l.ended
			w.lost++
		default:
			o.Output, o.Return = answer(r, err), w.ticks.Add(1)
		}
		w.ops = append(w.ops, o)
	})
	if err == nil {
		<-done
	} // else it was not queued, and did not happen
}

// look does one read.
func look[R any](w *world, client int, in any, read func(*Store) (R, error), answer func(R) any) {
	l, call := w.now(), w.ticks.Add(1)
	r, err := read(l.s)
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.over {
		return
	}
	if err != nil {
		w.t.Errorf("%+v: %v", in, err)
		return
	}
	w.ops = append(w.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: answer(r), Return: w.ticks.Add(1)})
}

// unknown is the outcome of what was under way when the power failed.
type unknown struct{}

// play lets the clients do n operations on objects that change over time, with crashes in between. began is called at
// the start of each life but the first.
func (w *world) play(n, crashes int, step func(r *rand.Rand, client, object int), began func(l *life)) {
	for part := range crashes + 1 {
		if part > 0 {
			if began != nil {
				began(w.life)
			}
		}
		var clients sync.WaitGroup
		var count atomic.Int64
		share := n / (crashes + 1)
		tail := make(chan struct{})
		for c := range linearClients {
			clients.Go(func() {
				r := rand.New(rand.NewPCG(w.seed, uint64(part*linearClients+c)))
				for {
					i := int(count.Add(1))
					if i == share {
						close(tail)
					}
					l := w.now()
					w.mu.Lock()
					over := l.over
					w.mu.Unlock()
					if over || i > share && part == crashes {
						return
					}
					step(r, c, (part*share+min(i, share))/(active*perObject)*active+r.IntN(active))
				}
			})
		}
		if part < crashes {
			<-tail // the power fails while all of them are at work
			w.crash(part + 1)
		}
		clients.Wait()
	}
}

func (w *world) judge(name string, m porcupine.NondeterministicModel) porcupine.CheckResult {
	result, info := porcupine.CheckOperationsVerbose(m.ToModel(), w.ops, 2*time.Minute)
	if result != porcupine.Ok && os.Getenv("LOOKALONG_LINEAR_HTML") != "" {
		if f, err := os.Create(os.Getenv("LOOKALONG_LINEAR_HTML")); err == nil {
			_ = porcupine.Visualize(m.ToModel(), info, f)
			_ = f.Close()
		}
	}
	w.t.Logf("%s: %d operations by %d clients, %d with an unknown outcome: %s", name, len(w.ops), linearClients, w.lost, result)
	return result
}

func linearSeed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("LOOKALONG_SEED"), 10, 64); err == nil {
		return n
	}
	return 1
}

// byObject splits a history by its objects: what happens to one does not touch the others.
func byObject(object func(in any) int) func([]porcupine.Operation) [][]porcupine.Operation {
	return func(all []porcupine.Operation) (out [][]porcupine.Operation) {
		parts := map[int][]porcupine.Operation{}
		for _, o := range all {
			parts[object(o.Input)] = append(parts[object(o.Input)], o)
		}
		for _, part := range parts {
			out = append(out, part)
		}
		return out
	}
}

// The claim register (design 0). A conversation waits, is claimed by one agent, or is closed. A claim has a lapse: held
// (an open connection has it) or a time. Passing that time changes nothing by itself: the hub releases what has lapsed,
// in the name of its holder, so "expire" is a release. A claim of one's own again moves the lapse to the later of both,
// and held is later than any time. A server that starts turns held into a time; a customer's message reopens what is
// closed.
type claimIn struct {
	conv  int
	verb  string // claim, release, lapse, close, say (agent), write (customer), start, read
	agent string
	lapse int64 // Unix ms; 0: held
}

type register struct {
	state State
	by    string
	lapse int64
}

// claimOut is what the caller learned.
type claimOut struct {
	err   string // ok, taken, closed, notowner
	by    string // taken: by whom
	after register
}

func outcome(c Conversation, err error) any {
	if t, ok := errors.AsType[*TakenError](err); ok {
		return claimOut{err: "taken", by: t.AgentID}
	}
	return claimOut{err: verdict(err), after: registerOf(c, err)}
}

func registerOf(c Conversation, err error) (r register) {
	if err == nil {
		r = register{state: c.State, by: c.ClaimedBy}
		if c.LapsesAt != nil {
			r.lapse = c.LapsesAt.UnixMilli()
		}
	}
	return r
}

func verdict(err error) string {
	for name, kind := range map[string]error{"closed": ErrClosed, "notowner": ErrNotOwner, "used": ErrInviteUsed} {
		if errors.Is(err, kind) {
			return name
		}
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

// next is the one thing that an operation does to a conversation, and what it answers.
func (r register) next(in claimIn) (register, claimOut) {
	mine := r.state == Claimed && r.by == in.agent
	no := func(err string) (register, claimOut) { return r, claimOut{err: err} }
	yes := func(to register) (register, claimOut) { return to, claimOut{err: "ok", after: to} }
	if r.state == Closed && in.verb != "write" && in.verb != "read" && in.verb != "start" {
		return no("closed")
	}
	switch in.verb {
	case "claim":
		switch {
		case r.state == Waiting:
			return yes(register{Claimed, in.agent, in.lapse})
		case !mine:
			return r, claimOut{err: "taken", by: r.by}
		case r.lapse == 0 || in.lapse == 0:
			return yes(register{Claimed, in.agent, 0})
		}
		return yes(register{Claimed, in.agent, max(r.lapse, in.lapse)})
	case "release":
		if !mine {
			return no("notowner")
		}
		return yes(register{state: Waiting})
	case "lapse":
		if !mine {
			return no("notowner")
		}
		return yes(register{Claimed, in.agent, in.lapse})
	case "close":
		if r.state == Claimed && !mine {
			return no("notowner")
		}
		return yes(register{state: Closed})
	case "say":
		if !mine {
			return no("notowner")
		}
		return r, claimOut{err: "ok"}
	case "write":
		if r.state == Closed {
			return register{state: Waiting}, claimOut{err: "ok"}
		}
		return r, claimOut{err: "ok"}
	case "start":
		if r.state == Claimed && r.lapse == 0 {
			return register{Claimed, r.by, in.lapse}, claimOut{err: "ok"}
		}
		return r, claimOut{err: "ok"}
	}
	return yes(r)
}

var claimModel = porcupine.NondeterministicModel{
	Partition: byObject(func(in any) int { return in.(claimIn).conv }),
	Init:      func() []any { return []any{register{state: Waiting}} },
	Step: func(state, input, output any) []any {
		before, in := state.(register), input.(claimIn)
		after, want := before.next(in)
		if _, lost := output.(unknown); lost {
			return []any{before, after}
		}
		if output != want {
			return nil
		}
		return []any{after}
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v → %+v", in, out) },
}

// claims plays agents and customers on the register.
func claims(t *testing.T, n, crashes int, prepare func(*world)) *world {
	w := newWorld(t, linearSeed())
	objects := active * (n/(active*perObject) + 1)
	convs, agents := make([]Conversation, objects), make([]Agent, linearClients)
	for i := range convs {
		_, convs[i] = newConversation(t, w.life.s, fmt.Sprint("k", i))
	}
	for i := range agents {
		agents[i] = newAgent(t, w.life.s, fmt.Sprint("agent", i), RoleAgent).Agent
	}
	if prepare != nil {
		prepare(w)
	}
	plain := func(_ Appended, err error) any { return claimOut{err: verdict(err)} }
	step := func(r *rand.Rand, client, object int) {
		c, a := convs[object], agents[client]
		in := claimIn{conv: object, agent: a.ID}
		var at *time.Time
		if r.IntN(2) == 0 {
			then := w.clock.Now().Add(time.Duration(1+r.IntN(1000)) * time.Second)
			at, in.lapse = &then, then.UnixMilli()
		}
		message := Append{Conversation: c.ID, ID: newID(), SenderKind: KindAgent, SenderID: a.ID, SenderName: a.Name, Text: "x"}
		switch k := r.IntN(20); {
		case k < 7:
			in.verb = "claim"
			write(w, client, in, func(s *Store, d func(Conversation, error)) error { return s.Claim(c.ID, a.ID, at, d) }, outcome)
		case k < 9:
			in.verb, in.lapse = "release", 0
			write(w, client, in, func(s *Store, d func(Conversation, error)) error { return s.Release(c.ID, a.ID, d) }, outcome)
		case k < 11:
			in.verb = "lapse"
			write(w, client, in, func(s *Store, d func(Conversation, error)) error { return s.SetLapse(c.ID, a.ID, at, d) }, outcome)
		case k < 12: // what the hub does: it looks, and releases what has lapsed by its clock
			w.clock.add(time.Duration(r.IntN(20)) * time.Second)
			row, err := w.now().s.Conversation(context.Background(), c.ID)
			if err != nil || row.State != Claimed || row.LapsesAt == nil || w.clock.Now().Before(*row.LapsesAt) {
				return
			}
			in.verb, in.lapse, in.agent = "release", 0, row.ClaimedBy
			write(w, client, in, func(s *Store, d func(Conversation, error)) error { return s.Release(c.ID, row.ClaimedBy, d) }, outcome)
		case k < 13:
			in.verb, in.lapse = "close", 0
			write(w, client, in, func(s *Store, d func(Conversation, error)) error {
				return s.CloseConversation(c.ID, Actor{Kind: KindAgent, ID: a.ID}, d)
			}, outcome)
		case k < 15:
			in.verb, in.lapse = "say", 0
			write(w, client, in, func(s *Store, d func(Appended, error)) error { return s.Append(message, d) }, plain)
		case k < 16:
			in = claimIn{conv: object, verb: "write"}
			message.SenderKind, message.SenderID = KindCustomer, c.CustomerID
			write(w, client, in, func(s *Store, d func(Appended, error)) error { return s.Append(message, d) }, plain)
		default:
			look(w, client, claimIn{conv: object, verb: "read"}, func(s *Store) (Conversation, error) {
				return s.Conversation(context.Background(), c.ID)
			}, func(row Conversation) any { return claimOut{err: "ok", after: registerOf(row, nil)} })
		}
	}
	w.play(n, crashes, step, func(l *life) { // a server's start, which touches every conversation at once
		call, now := w.ticks.Add(1), w.clock.Now()
		must(t, func(d func(int64, error)) error { return l.s.ServerStarted(now, d) })
		back := w.ticks.Add(1)
		for i := range convs {
			w.ops = append(w.ops, porcupine.Operation{
				ClientId: linearClients, Call: call, Return: back, Output: claimOut{err: "ok"},
				Input: claimIn{conv: i, verb: "start", lapse: now.Add(RestartLapse).UnixMilli()},
			})
		}
	})
	return w
}

func TestLinearClaims(t *testing.T) {
	w := claims(t, linearOps(), linearCrashes, nil)
	if got := w.judge("claims", claimModel); got != porcupine.Ok {
		t.Fatalf("LOOKALONG_SEED=%d: not linearizable", w.seed)
	}
	verbs := map[string]int{}
	for _, o := range w.ops {
		if out, ok := o.Output.(claimOut); ok {
			verbs[o.Input.(claimIn).verb+" "+out.err]++
		}
	}
	for _, must := range []string{"claim ok", "claim taken", "claim closed", "release ok", "release notowner", "lapse ok", "close ok", "say ok", "say notowner", "write ok"} {
		if verbs[must] == 0 {
			t.Errorf("%q never happened: %v", must, verbs)
		}
	}
	// The judge can say no: a second winner, a read of the past, an answer that was another's.
	for name, mutate := range map[string]func(*porcupine.Operation) bool{
		"two winners": func(o *porcupine.Operation) bool {
			in, out := o.Input.(claimIn), o.Output
			taken, ok := out.(claimOut)
			if ok && in.verb == "claim" && taken.err == "taken" {
				o.Output = claimOut{err: "ok", after: register{Claimed, in.agent, in.lapse}}
				return true
			}
			return false
		},
		"a stranger's message": func(o *porcupine.Operation) bool {
			out, ok := o.Output.(claimOut)
			if ok && o.Input.(claimIn).verb == "say" && out.err == "notowner" {
				o.Output = claimOut{err: "ok"}
				return true
			}
			return false
		},
		"a changed read": func(o *porcupine.Operation) bool {
			out, ok := o.Output.(claimOut)
			if ok && o.Input.(claimIn).verb == "read" && out.after.state == Claimed {
				out.after.by = "nobody"
				o.Output = out
				return true
			}
			return false
		},
	} {
		ops := slices.Clone(w.ops)
		for i, n := 0, 0; i < len(ops) && n < 100; i++ { // a single one might be possible where clients met
			if mutate(&ops[i]) {
				n++
			}
		}
		if porcupine.CheckOperations(claimModel.ToModel(), ops) {
			t.Errorf("%s is judged linearizable", name)
		}
	}
}

// TestLinearNoticesALyingDisk: with syncs that do nothing, answers are forgotten at the crash, and the judge sees it.
func TestLinearNoticesALyingDisk(t *testing.T) {
	w := claims(t, 2000, 3, func(w *world) {
		if s := must(t, func(d func(struct{}, error)) error { return w.life.s.SetSetting("x", "y", d) }); s != (struct{}{}) {
			t.Fatal("never")
		}
		w.life.disk.Lie(true)
	})
	if got := w.judge("claims on a lying disk", claimModel); got != porcupine.Illegal {
		t.Errorf("judged %s", got)
	}
}

// The log of a conversation: appending gives the next number, or the old one for an id that is there; a read gives what
// follows a number, without gaps.
type logIn struct {
	conv  int
	id    string // of an append
	after int64  // of a read
	read  bool
}

var logModel = porcupine.NondeterministicModel{
	Partition: byObject(func(in any) int { return in.(logIn).conv }),
	Init:      func() []any { return []any{""} },
	// The state is all ids in order, each of idLen characters.
	Step: func(state, input, output any) []any {
		ids, in := state.(string), input.(logIn)
		n := int64(len(ids) / idLen)
		if in.read {
			if after := min(in.after, n); output != ids[after*idLen:] {
				return nil
			}
			return []any{ids}
		}
		seq, next := n+1, ids+in.id
		if at := strings.Index(ids, in.id); at >= 0 { // ids hold no part of another: random letters
			seq, next = int64(at/idLen+1), ids
		}
		if _, lost := output.(unknown); lost {
			return []any{ids, next}
		}
		if output != seq {
			return nil
		}
		return []any{next}
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v → %v", in, out) },
}

const idLen = 26

func TestLinearLog(t *testing.T) {
	w := newWorld(t, linearSeed())
	n := linearOps() * 2 / 5 // its reads are long
	convs := make([]Conversation, active*(n/(active*perObject)+1))
	for i := range convs {
		_, convs[i] = newConversation(t, w.life.s, fmt.Sprint("k", i))
	}
	var sent sync.Map // object -> the last ids, to send again
	w.play(n, linearCrashes, func(r *rand.Rand, client, object int) {
		c := convs[object]
		if r.IntN(3) == 0 {
			after := int64(r.IntN(perObject / 2))
			look(w, client, logIn{conv: object, after: after, read: true}, func(s *Store) ([]Message, error) {
				return s.Messages(context.Background(), c.ID, Range{After: after})
			}, func(rows []Message) any {
				var ids strings.Builder
				for _, m := range rows {
					ids.WriteString(m.ID)
				}
				return ids.String()
			})
			return
		}
		id := newID()
		if old, ok := sent.Load(object*4 + r.IntN(4)); ok && r.IntN(3) == 0 {
			id = old.(string) // a resend: of oneself or another tab, before or after the crash
		} else {
			sent.Store(object*4+r.IntN(4), id)
		}
		m := Append{Conversation: c.ID, ID: id, SenderKind: KindCustomer, SenderID: c.CustomerID, Text: "text " + id}
		write(w, client, logIn{conv: object, id: id}, func(s *Store, d func(Appended, error)) error { return s.Append(m, d) },
			func(a Appended, err error) any {
				if err != nil {
					t.Error(err)
				}
				return a.Seq
			})
	}, nil)
	if got := w.judge("log", logModel); got != porcupine.Ok {
		t.Fatalf("LOOKALONG_SEED=%d: not linearizable", w.seed)
	}
	ops := slices.Clone(w.ops)
	for i := range ops {
		if seq, ok := ops[i].Output.(int64); ok && i > len(ops)/2 {
			ops[i].Output = seq + 1
			break
		}
	}
	if porcupine.CheckOperations(logModel.ToModel(), ops) {
		t.Error("a wrong number is judged linearizable")
	}
}

// A single-use invite: one redeemer wins, whatever happens.
var inviteModel = porcupine.NondeterministicModel{
	Partition: byObject(func(in any) int { return in.(int) }),
	Init:      func() []any { return []any{false} },
	Step: func(state, _, output any) []any {
		used := state.(bool)
		switch {
		case output == unknown{}:
			return []any{used, true}
		case output == "ok" && !used, output == "used" && used:
			return []any{true}
		}
		return nil
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("redeem %v → %v", in, out) },
}

func TestLinearInvites(t *testing.T) {
	w := newWorld(t, linearSeed())
	n := linearOps() / 5
	tokens := make([]string, n/4+active)
	for i := range tokens {
		tokens[i] = must(t, func(d func(string, error)) error { return w.life.s.CreateInvite("Ana", RoleAgent, 0, d) })
	}
	var next atomic.Int64
	w.play(n, linearCrashes, func(r *rand.Rand, client, _ int) {
		object := min(int(next.Add(1))/4, len(tokens)-1) // four try each, at about the same time
		pub := []byte(newID())
		write(w, client, object, func(s *Store, d func(Redeemed, error)) error {
			return s.RedeemInvite(tokens[object], pub, "laptop", d)
		}, func(_ Redeemed, err error) any { return verdict(err) })
	}, nil)
	if got := w.judge("invites", inviteModel); got != porcupine.Ok {
		t.Fatalf("LOOKALONG_SEED=%d: not linearizable", w.seed)
	}
	ops := slices.Clone(w.ops)
	for i := range ops {
		if ops[i].Output == "used" { // all of them: a single one may have been the winner with the unknown outcome
			ops[i].Output = "ok"
		}
	}
	if porcupine.CheckOperations(inviteModel.ToModel(), ops) {
		t.Error("two winners are judged linearizable")
	}
}
