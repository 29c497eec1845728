package server

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/relay"
)

// clock is a time that the test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func testEdge(max int, change func(*Limits)) (*edge, *clock) {
	limits := DefaultLimits()
	if change != nil {
		change(&limits)
	}
	c := &clock{time.Unix(1e9, 0)}
	return newEdge(max, &limits, newStats(), c.now), c
}

// admitted takes n sockets and returns how many got in, and the last refusal.
func admitted(e *edge, ip string, n int) (in []*ticket, last *protocol.UserError) {
	for range n {
		t, refused := e.admit(ip, func() {})
		if refused != nil {
			last = refused
			continue
		}
		t.proof()
		in = append(in, t)
	}
	return in, last
}

// TestEdgeAtItsLimits: each at the value, one above and ten times above.
func TestEdgeAtItsLimits(t *testing.T) {
	for _, c := range []struct {
		name  string
		max   int
		limit int // how many may get in
		code  protocol.Code
		ip    func(i int) string
	}{
		{"in total", 1000, 1000, protocol.CodeBusy, func(i int) string { return fmt.Sprint("ip", i) }},
		{"new from one address", 100000, 200, protocol.CodeIPLimit, func(int) string { return "ip" }},
	} {
		for _, n := range []int{c.limit, c.limit + 1, 10 * c.limit} {
			t.Run(fmt.Sprintf("%s, %d", c.name, n), func(t *testing.T) {
				e, _ := testEdge(c.max, nil)
				in, refused := 0, protocol.Code("")
				for i := range n {
					ticket, why := e.admit(c.ip(i), func() {})
					if why != nil {
						refused = why.Code
						if why.RetryAfterMs <= 0 {
							t.Errorf("nobody is told when to come back: %+v", why)
						}
						continue
					}
					ticket.proof()
					in++
				}
				if want := map[bool]protocol.Code{true: c.code}[n > c.limit]; in != c.limit || refused != want {
					t.Errorf("%d got in, refused with %q, want %d and %q", in, refused, c.limit, want)
				}
			})
		}
	}
}

// TestSocketsOfOneAddress: 1,000 at once, as fast as 200 in ten seconds allow; a place that is given back can be taken.
func TestSocketsOfOneAddress(t *testing.T) {
	e, c := testEdge(100000, nil)
	var in []*ticket
	for range 5 {
		got, _ := admitted(e, "ip", 200)
		in = append(in, got...)
		c.t = c.t.Add(ipNewWindow + time.Second)
	}
	if len(in) != 1000 {
		t.Fatalf("%d got in, want 1,000", len(in))
	}
	if got, refused := admitted(e, "ip", 1); len(got) != 0 || refused.Code != protocol.CodeIPLimit {
		t.Errorf("the next: %d, %+v", len(got), refused)
	}
	if got, _ := admitted(e, "other", 1); len(got) != 1 {
		t.Error("another address is refused")
	}
	in[0].done()
	in[0].done() // a second time gives nothing back
	if got, _ := admitted(e, "ip", 2); len(got) != 1 {
		t.Errorf("%d got the place of one", len(got))
	}
}

// TestUnprovenMakeRoom: the oldest silent socket goes, never one that has sent its proof, and never a newer one. Young
// ones stay, until there are far too many.
func TestUnprovenMakeRoom(t *testing.T) {
	for _, c := range []struct {
		extra   int
		age     time.Duration // between two
		dropped int
	}{
		{0, time.Second, 0}, {1, time.Second, 1}, {9000, time.Second, 9000}, // one after the other
		{1, 0, 0}, {7000, 0, 0}, {7001, 0, 1}, {9000, 0, 2000}, // all at once: a storm
	} {
		e, clock := testEdge(100000, func(l *Limits) { l.IPNew, l.IPSockets = 100000, 100000 })
		var dropped []int
		first, _ := e.admit("ip", func() { t.Error("one with a proof was dropped") })
		first.proof()
		for i := range 1000 + c.extra {
			if _, refused := e.admit("ip", func() { dropped = append(dropped, i) }); refused != nil {
				t.Fatal(refused)
			}
			clock.t = clock.t.Add(c.age)
		}
		if len(dropped) != c.dropped {
			t.Errorf("%+v: %d were dropped", c, len(dropped))
		}
		for i, n := range dropped {
			if n != i {
				t.Fatalf("%+v: %d went in place of %d", c, n, i)
			}
		}
		clock.t = clock.t.Add(relay.SilentAfter)
		e.admit("ip", func() {})
		if _, unproven := e.open(); unproven != 1000 && c.extra > 0 {
			t.Errorf("%+v: a second later %d are unproven", c, unproven)
		}
	}
}

// TestFailedProofsPause: the tenth within a minute; over after ten minutes; slower ones never.
func TestFailedProofsPause(t *testing.T) {
	e, c := testEdge(1000, nil)
	fail := func() {
		in, refused := admitted(e, "ip", 1)
		if refused != nil {
			t.Fatal(refused)
		}
		in[0].failedProof()
		in[0].done()
	}
	for range 30 {
		fail()
		c.t = c.t.Add(7 * time.Second)
	}
	c.t = c.t.Add(time.Minute)
	for range 10 {
		fail()
	}
	_, refused := admitted(e, "ip", 1)
	if refused == nil || refused.Code != protocol.CodeRate || refused.RetryAfterMs != (10*time.Minute).Milliseconds() {
		t.Errorf("after ten failed proofs: %+v", refused)
	}
	c.t = c.t.Add(10*time.Minute - 1)
	if in, _ := admitted(e, "ip", 1); len(in) != 0 {
		t.Error("the pause is over too soon")
	}
	c.t = c.t.Add(1)
	if in, _ := admitted(e, "ip", 1); len(in) != 1 {
		t.Error("the pause does not end")
	}
}

// TestAddressesAreForgotten: what very many addresses leave behind is bounded by those of the last ten seconds.
func TestAddressesAreForgotten(t *testing.T) {
	e, c := testEdge(1000, nil)
	for i := range 200000 {
		in, refused := admitted(e, fmt.Sprint("ip", i), 1)
		if refused != nil {
			t.Fatal(refused)
		}
		in[0].done()
		if i%100 == 0 {
			c.t = c.t.Add(time.Second)
		}
	}
	if len(e.byIP) > 5000 {
		t.Errorf("%d addresses are remembered", len(e.byIP))
	}
}

func TestSpreadIsTwoThousandASecond(t *testing.T) {
	e, _ := testEdge(100000, func(l *Limits) { l.IPNew, l.IPSockets = 100000, 100000 })
	for _, want := range []time.Duration{time.Second, 2 * time.Second} {
		admitted(e, "ip", 2000)
		if got := e.spread(); got != want {
			t.Errorf("spread %s, want %s", got, want)
		}
	}
}

// TestKnownIsBoundedAndForgets: the latest are known, there are never too many, and nothing that was read before a
// forget comes back.
func TestKnownIsBoundedAndForgets(t *testing.T) {
	k := newKnown()
	digest := func(i int) (d [sha256.Size]byte) {
		binary.BigEndian.PutUint64(d[:], uint64(i))
		return d
	}
	for i := range 3 * knownCustomers {
		_, epoch, ok := k.get(digest(i))
		if ok {
			t.Fatalf("%d is known before it came", i)
		}
		k.remember(digest(i), identity{customer: fmt.Sprint(i)}, epoch)
	}
	if n := len(k.young) + len(k.old); n > knownCustomers {
		t.Errorf("%d are kept", n)
	}
	last := 3*knownCustomers - 1
	for i := last; i > last-knownCustomers/2; i-- {
		if id, _, ok := k.get(digest(i)); !ok || id.customer != fmt.Sprint(i) {
			t.Fatalf("%d is not known: %+v", i, id)
		}
	}
	if _, _, ok := k.get(digest(0)); ok {
		t.Error("the first is still known")
	}
	_, epoch, _ := k.get(digest(last + 1))
	k.forget()
	k.remember(digest(last+1), identity{customer: "stale"}, epoch)
	for _, i := range []int{last, last + 1} {
		if _, _, ok := k.get(digest(i)); ok {
			t.Errorf("%d is known after the forget", i)
		}
	}
}
