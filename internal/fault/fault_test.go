package fault_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/internal/fault"
	"github.com/lookalong/lookalong/internal/fault/disk"
	"github.com/lookalong/lookalong/internal/fault/workload"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// TestFaultNoAckWhileTheSyncRuns holds the sync of one message's transaction. The server goes on (it answers a ping on
// the same socket, in order) and sends no ack until the sync has returned.
func TestFaultNoAckWhileTheSyncRuns(t *testing.T) {
	t.Parallel()
	sc := newScene(t, disk.Options{Record: true}, false)
	c := sc.Customer(servertest.NewCustomerKey())
	conv := c.Conversation().Conversation
	c.Say(conv, "what the opening has left to write is written before this")
	defer sc.disk.Release()
	id := c.ID()
	for try := 0; ; try++ {
		sc.disk.Hold()
		marker := fmt.Sprintf("held marker %d", try)
		c.Send(protocol.ChatSend{ID: id, Conversation: conv, Text: marker})
		sc.disk.WaitHeld()
		if wrote(sc.disk.Events(), marker) {
			break
		}
		sc.disk.Release() // a write of the store's own was held: the search index, once a second the conversations
		c.WantAck(id)
		id = c.ID()
	}
	ping := c.ID()
	c.Send(protocol.Ping{ID: ping})
	for {
		msg, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := msg.(protocol.Ack); ok && a.ID == id {
			t.Fatal("the ack left before its sync returned")
		}
		if p, ok := msg.(protocol.Pong); ok && p.ID == ping {
			break
		}
	}
	sc.disk.Release()
	c.WantAck(id)
}

func wrote(events []disk.Event, text string) bool {
	return slices.ContainsFunc(events, func(e disk.Event) bool {
		return e.Op == disk.Write && e.Code == disk.OK && strings.Contains(string(e.Data), text)
	})
}

// early returns the acknowledged messages whose text was not on the disk when the ack arrived: written, and then synced
// by a sync that began after the write and returned before the ack came. The ack left earlier still than it came, so a
// sync that takes a while (SyncDelay) makes the comparison sharp.
func early(events []disk.Event, acks []workload.Sent) (out []string) {
	for _, a := range acks {
		written := slices.IndexFunc(events, func(e disk.Event) bool {
			return e.Op == disk.Write && e.Kind == disk.WAL && e.Code == disk.OK && strings.Contains(string(e.Data), a.Text)
		})
		if written < 0 {
			out = append(out, fmt.Sprintf("%q was never written", a.Text))
			continue
		}
		synced := slices.IndexFunc(events[written:], func(e disk.Event) bool {
			return e.Op == disk.Sync && e.Kind == disk.WAL && e.Real && !e.Begin.Before(events[written].End)
		})
		if synced < 0 || events[written+synced].End.After(a.AckedAt) {
			out = append(out, fmt.Sprintf("%q was acknowledged at %s, before its sync", a.Text, a.AckedAt))
		}
	}
	return out
}

// TestFaultSyncPrecedesEveryAck compares, for every ack of a run under load over real sockets, the time at which the
// sync of its message returned. A disk that only claims to sync is caught, which shows that the comparison can fail.
func TestFaultSyncPrecedesEveryAck(t *testing.T) {
	t.Parallel()
	sc := newScene(t, disk.Options{Record: true, SyncDelay: 2 * time.Millisecond}, false)
	w := sc.play(6, 2, firstSeed())
	if err := w.WaitAcked(patience(t), rounds(100, 2000)); err != nil {
		t.Fatal(err)
	}
	honest := w.Record()
	events := sc.disk.Events()
	if bad := early(events, honest.Acks()); len(bad) > 0 {
		t.Errorf("%d acks before their sync: %s", len(bad), bad[0])
	}
	t.Logf("%d acks, each after its sync; %d syncs", len(honest.Acks()), sc.disk.Syncs())
	sc.disk.Lie(true)
	n := w.Acked()
	if err := w.WaitAcked(patience(t), n+50); err != nil {
		t.Fatal(err)
	}
	if bad := early(sc.disk.Events(), w.Record().Acks()); len(bad) < 40 {
		t.Errorf("with syncs that do nothing only %d of at least 50 acks were found to be early", len(bad))
	}
	sc.disk.Lie(false)
	sc.done(w, "after a time without syncs, but with power")
}

// TestFaultPowerCut cuts the power at random moments under load. What was acknowledged or shown before is in the folder
// afterwards, once and with its number. The same with a disk that lies is caught.
func TestFaultPowerCut(t *testing.T) {
	t.Parallel()
	sc := newScene(t, disk.Options{Model: true}, false)
	seed := firstSeed()
	w := sc.play(8, 2, seed)
	cut := func(round int) workload.Report {
		t.Helper()
		if err := w.WaitAcked(patience(t), w.Acked()+1+fault.Rand(seed+uint64(round)).IntN(20)); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "cut")
		before := w.Record()
		r := fault.Rand(seed + uint64(round))
		if round%4 == 0 {
			r = nil // nothing that was not synced
		}
		if err := sc.disk.Cut(dir, r); err != nil {
			t.Fatal(err)
		}
		return check(t, dir, before.Check)
	}
	acked := 0
	for round := range rounds(20, 100) {
		report := cut(round)
		if len(report.Wrong) > 0 {
			t.Fatalf("LOOKALONG_SEED=%d, cut %d: %s", seed, round, report)
		}
		acked += report.Acked
	}
	t.Logf("%d acknowledged messages looked for after %d cuts, all there", acked, rounds(20, 100))
	sc.disk.Lie(true)
	caught := false
	for round := 0; round < 20 && !caught; round++ {
		caught = len(cut(4*round).Wrong) > 0
	}
	if !caught {
		t.Error("a disk that lies lost nothing: the check is blind")
	}
	sc.disk.Lie(false)
	sc.done(w, "after the cuts, which the server did not notice")
}

// TestFaultSlowSync: the disk stalls for longer than the server waits (F04). Clients are told to send it again, the
// same id then gives one message, and others lose nothing.
func TestFaultSlowSync(t *testing.T) {
	t.Parallel()
	sc := newScene(t, disk.Options{}, false)
	w := sc.play(6, 2, firstSeed())
	c := sc.Customer(servertest.NewCustomerKey())
	conv := c.Conversation().Conversation
	for round := range rounds(1, 5) {
		if err := w.WaitAcked(patience(t), w.Acked()+40); err != nil {
			t.Fatal(err)
		}
		sc.disk.Hold()
		m := protocol.ChatSend{ID: c.ID(), Conversation: conv, Text: "during the stall"}
		c.Send(m)
		refused := c.WantError(m.ID, protocol.CodeRetry)
		sc.disk.Release()
		if refused.RetryAfterMs <= 0 {
			t.Errorf("no time is named: %+v", refused)
		}
		first, again := acked(c, m), acked(c, m)
		if first.Seq != int64(round+1) || again.Seq != first.Seq || !again.At.Equal(*first.At) {
			t.Errorf("acknowledged as %d at %s and then %d at %s", first.Seq, first.At, again.Seq, again.At)
		}
		sc.disk.SlowSync(300 * time.Millisecond)
		if err := w.WaitAcked(patience(t), w.Acked()+20); err != nil {
			t.Fatal(err)
		}
		sc.disk.SlowSync(0)
	}
	t.Log(sc.done(w, "after stalls"))
}

// acked sends a message, and sends it again for as long as the server asks for that.
func acked(c *servertest.Conn, m protocol.ChatSend) protocol.Ack {
	for {
		c.Send(m)
		for {
			msg, err := c.Next()
			if err != nil {
				return protocol.Ack{}
			}
			if a, ok := msg.(protocol.Ack); ok && a.ID == m.ID {
				return a
			}
			if e, ok := msg.(protocol.Error); ok && e.ID == m.ID {
				time.Sleep(time.Duration(e.RetryAfterMs) * time.Millisecond) // as it says
				break
			}
		}
	}
}

// TestFaultFailingSync: fsync fails once, in the middle of load. What it covered was not acknowledged; the server goes
// on; and a loss of power right after it finds all that was acknowledged.
func TestFaultFailingSync(t *testing.T) {
	t.Parallel()
	sc := newScene(t, disk.Options{Model: true}, false)
	seed := firstSeed()
	w := sc.play(6, 2, seed)
	for round := range rounds(6, 60) {
		if err := w.WaitAcked(patience(t), w.Acked()+15); err != nil {
			t.Fatal(err)
		}
		op, code := disk.Sync, disk.IOSync
		if round%3 == 2 {
			op, code = disk.Write, disk.IOWrite
		}
		sc.disk.Fail(op, 1+round%2, code)
		for sc.disk.Failing() {
			if err := w.WaitAcked(patience(t), w.Acked()+1); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.WaitAcked(patience(t), w.Acked()+5); err != nil {
			t.Fatalf("the server does not go on: %v", err)
		}
		dir := filepath.Join(t.TempDir(), "cut")
		before := w.Record()
		if err := sc.disk.Cut(dir, fault.Rand(seed+uint64(round))); err != nil {
			t.Fatal(err)
		}
		if report := check(t, dir, before.Check); len(report.Wrong) > 0 {
			t.Fatalf("LOOKALONG_SEED=%d, round %d: %s", seed, round, report)
		}
	}
	report := sc.done(w, "after failing syncs")
	if report.Refused > 0 { // what became of it is unknown, so a no for good would be a lie
		t.Errorf("refused for good: %s", report)
	}
	t.Log(report)
}

// TestFaultDiskFull: SQLite meets a full disk. Clients hear the sentence of F03 and keep their messages; once there is
// room the server takes them again by itself.
func TestFaultDiskFull(t *testing.T) {
	t.Parallel()
	sc := newScene(t, disk.Options{}, false)
	w := sc.play(6, 2, firstSeed())
	c := sc.Customer(servertest.NewCustomerKey())
	conv := c.Conversation().Conversation
	for round := range rounds(2, 10) {
		if err := w.WaitAcked(patience(t), w.Acked()+20); err != nil {
			t.Fatal(err)
		}
		sc.disk.Fill(true)
		m := protocol.ChatSend{ID: c.ID(), Conversation: conv, Text: "no room"}
		c.Send(m)
		refused := c.WantError(m.ID, protocol.CodeReadOnly)
		if refused.Text != "Messages can't be saved right now. Yours is kept here and will be sent." || refused.RetryAfterMs <= 0 {
			t.Errorf("refused with %+v", refused)
		}
		sc.disk.Fill(false)
		freed := time.Now()
		if ack := acked(c, m); ack.Seq != int64(round+1) {
			t.Errorf("stored as %d", ack.Seq)
		}
		t.Logf("round %d: stored %.1f s after there was room", round, time.Since(freed).Seconds())
	}
	t.Log(sc.done(w, "after the disk was full"))
}

// TestFaultNetwork: random scripts of the network and the clock. Whatever happens on the way, every message arrives
// once and in order.
func TestFaultNetwork(t *testing.T) {
	t.Parallel()
	for i := range rounds(3, 40) {
		seed := firstSeed() + uint64(i)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, disk.Options{}, true)
			script := fault.Random(seed, 6*time.Second, 10, append(fault.NetworkVerbs, fault.ClockJump)...)
			w := sc.play(6, 2, seed)
			s := fault.Scene{Proxy: sc.proxy, Clock: sc.clock, Disk: sc.disk, Rand: fault.Rand(seed), Log: t.Logf}
			if err := s.Run(patience(t), script); err != nil {
				t.Fatal(err)
			}
			report := sc.done(w, fmt.Sprintf("LOOKALONG_SEED=%d, script %q", seed, script))
			t.Log(report)
		})
	}
}

// TestFaultHalfOpen: the customer's connection hangs without a close (F09). The agent sees them go, and what was written
// meanwhile arrives once.
func TestFaultHalfOpen(t *testing.T) {
	t.Parallel()
	sc := newScene(t, disk.Options{}, true)
	w := sc.play(1, 0, firstSeed())
	if err := w.WaitAcked(patience(t), 3); err != nil {
		t.Fatal(err)
	}
	agent, _ := sc.newAgent()
	conv := w.Record().Acks()[0].Conversation
	agent.Claim(conv)
	w.Mute()
	sc.proxy.Do(parse(t, "at 0s drop").Steps[0], fault.Rand(1))
	cut := time.Now()
	const text = "are you there?"
	agent.Say(conv, text)
	servertest.Want(agent, func(p protocol.PresenceCustomer) bool { return p.Presence == "offline" })
	t.Logf("the agent saw the customer go %.1f s after the connection hung", time.Since(cut).Seconds())
	if n := w.Record().Saw(text); n != 0 {
		t.Error("the connection did not hang")
	}
	sc.proxy.Do(parse(t, "at 0s resume").Steps[0], fault.Rand(1))
	servertest.Want(agent, func(p protocol.PresenceCustomer) bool { return p.Presence == "online" })
	if err := w.Settle(patience(t)); err != nil {
		t.Fatal(err)
	}
	for w.Record().Saw(text) == 0 {
		if patience(t).Err() != nil {
			t.Fatal("what was written meanwhile never came")
		}
		time.Sleep(10 * time.Millisecond)
	}
	record := w.Record()
	w.End()
	sc.Stop()
	if report := check(t, sc.data, record.Check); len(report.Wrong) > 0 || record.Saw(text) != 1 {
		t.Errorf("shown %d times, %s", record.Saw(text), report)
	}
}

func parse(t *testing.T, text string) fault.Script {
	t.Helper()
	s, err := fault.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFaultEverything: random scripts of the network, the disk and the clock together.
func TestFaultEverything(t *testing.T) {
	t.Parallel()
	seeds := []uint64{1, 9, 11} // 9 and 11 once had messages refused that were stored
	if os.Getenv("LOOKALONG_SEED") != "" || rounds(len(seeds), 40) != len(seeds) {
		seeds = nil
		for i := range rounds(1, 40) {
			seeds = append(seeds, firstSeed()+uint64(i))
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, disk.Options{Model: true}, true)
			verbs := append([]fault.Verb{fault.Fill, fault.FailSync, fault.SlowSync, fault.ClockJump}, fault.NetworkVerbs...)
			script := fault.Random(seed, 6*time.Second, 12, verbs...)
			what := fmt.Sprintf("LOOKALONG_SEED=%d, script %q", seed, script)
			w := sc.play(6, 2, seed)
			s := fault.Scene{Proxy: sc.proxy, Clock: sc.clock, Disk: sc.disk, Rand: fault.Rand(seed), Log: t.Logf}
			if err := s.Run(patience(t), script); err != nil {
				t.Fatal(err)
			}
			dir, before := filepath.Join(t.TempDir(), "cut"), w.Record()
			if err := sc.disk.Cut(dir, fault.Rand(seed)); err != nil {
				t.Fatal(err)
			}
			if report := check(t, dir, before.Check); len(report.Wrong) > 0 {
				t.Errorf("%s, and then the power went: %s", what, report)
			}
			sc.disk.SlowSync(0)
			t.Log(sc.done(w, what))
		})
	}
}
