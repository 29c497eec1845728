package peersession

import (
	"fmt"
	"testing"

	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
)

// Every state of the server's against every session that a customer can have: a session connects only by the
// customer's own wish or yes.
func TestNext(t *testing.T) {
	own := func() *Session { return &Session{ID: "s", By: "customer"} }
	asked := func() *Session { return &Session{ID: "s", By: "agent"} }
	agreed := func() *Session { return &Session{ID: "s", By: "agent", Answered: true} }
	live := func() *Session { return &Session{ID: "s", By: "agent", Answered: true, Peer: &peer.Peer{}} }
	unnamed := func() *Session { return &Session{By: "customer"} }
	none := func() *Session { return nil }
	for _, c := range []struct {
		what                                           string
		m                                              protocol.SessionState
		none, unnamed, own, asked, agreed, live, other Step
	}{
		{"an agent asks", protocol.SessionState{State: "requested", By: "agent"}, Request, Cross, Note, Note, Note, Note, Ignore},
		{"our request", protocol.SessionState{State: "requested", By: "customer"}, Ignore, Ignore, Note, Note, Note, Note, Ignore},
		{"agreed, here", protocol.SessionState{State: "connecting", Bound: true}, Ignore, Ignore, Connect, Ignore, Connect, Update, Ignore},
		{"agreed, elsewhere", protocol.SessionState{State: "connecting"}, Ignore, Ignore, Note, Ignore, Note, Left, Ignore},
		{"connected, here", protocol.SessionState{State: "connected", Bound: true}, Ignore, Ignore, Connect, Ignore, Connect, Update, Ignore},
		{"reconnecting, elsewhere", protocol.SessionState{State: "reconnecting"}, Ignore, Ignore, Note, Ignore, Note, Left, Ignore},
		{"ended", protocol.SessionState{State: "ended", Reason: "stopped"}, Ignore, Ignore, End, End, End, End, Ignore},
	} {
		c.m.Session = "s"
		for name, got := range map[string]struct {
			s    *Session
			want Step
		}{"none": {none(), c.none}, "unnamed": {unnamed(), c.unnamed}, "own": {own(), c.own}, "asked": {asked(), c.asked}, "agreed": {agreed(), c.agreed}, "live": {live(), c.live},
			"another": {&Session{ID: "another", By: "agent", Answered: true}, c.other}} {
			if step := got.s.Next(c.m); step != got.want {
				t.Errorf("%s, with the session %s: step %d, want %d", c.what, name, step, got.want)
			}
		}
	}
}

func TestAsked(t *testing.T) {
	for i, c := range []struct {
		s    *Session
		want bool
	}{
		{nil, false}, {&Session{By: "agent", ID: "s"}, true}, {&Session{By: "agent", ID: "s", Answered: true}, false},
		{&Session{By: "customer", ID: "s"}, false}, {&Session{By: "customer"}, false},
	} {
		if got := c.s.Asked(); got != c.want {
			t.Errorf("case %d: %v", i, got)
		}
	}
}

// What comes before the peer is kept for it, and not without a bound.
func TestEarlyMessagesAreBounded(t *testing.T) {
	for _, n := range []int{maxEarly - 1, maxEarly, maxEarly + 1, 10 * maxEarly} {
		s := &Session{ID: "s"}
		for i := range n {
			s.Deliver("s", protocol.SessionCandidate{Candidate: fmt.Sprint(i)})
			s.Deliver("another", protocol.SessionCandidate{Candidate: "of another session"})
		}
		if want := min(n, maxEarly); len(s.early) != want {
			t.Errorf("%d of %d are kept, want %d", len(s.early), n, want)
		}
		for i, m := range s.early {
			if m.(protocol.SessionCandidate).Candidate != fmt.Sprint(i) {
				t.Errorf("number %d is %v", i, m)
			}
		}
		p, err := s.Start(Config(protocol.SessionState{Session: "s"}, nil))
		if err != nil || s.Peer != p || len(s.early) != 0 {
			t.Errorf("after the start: %v, %d left", err, len(s.early))
		}
	}
	var none *Session
	none.Deliver("s", protocol.SessionOffer{}) // of a session that is over
}
