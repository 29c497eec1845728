package server

import (
	"testing"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

func TestEveryVerbHasARow(t *testing.T) {
	for _, row := range protocol.Table {
		if row.From&(protocol.Customer|protocol.Agent) == 0 || row.Type == "hello.proof" {
			continue
		}
		r, ok := verbs[row.Type]
		if !ok {
			t.Errorf("%s may be sent by clients and has no row in the authorization table", row.Type)
			continue
		}
		if may := row.From&protocol.Customer != 0; may != (r.customer != never) {
			t.Errorf("%s: the protocol lets a customer send it: %v, the table: %v", row.Type, may, !may)
		}
		if may := row.From&protocol.Agent != 0; may != (r.agent != never) {
			t.Errorf("%s: the protocol lets an agent send it: %v, the table: %v", row.Type, may, !may)
		}
	}
	for verb := range verbs {
		if protocol.RowByType(verb) == nil {
			t.Errorf("%s is in the authorization table and not in the protocol", verb)
		}
	}
}

// TestAuthzMatrix is T02's: every verb, every kind of actor, every relation to the object. What a stranger may do is
// written out here, so that a row that becomes too wide fails.
func TestAuthzMatrix(t *testing.T) {
	const cust, agentID = "customer-1", "agent-1"
	v := &conv{Conversation: store.Conversation{ID: "conv", CustomerID: cust, State: store.Claimed, ClaimedBy: agentID}}
	s := &session{row: store.Session{ID: "sess", CustomerID: cust, AgentID: agentID}, conv: v, customer: &end{}, agent: &end{}}
	customer := func(id string) *conn { return &conn{identity: identity{customer: id}} }
	agent := func(id string) *conn { return &conn{identity: identity{agent: id}} }
	boundCustomer, boundAgent := customer(cust), agent(agentID)
	s.customer.conn, s.agent.conn = boundCustomer, boundAgent
	actors := []struct {
		name     string
		c        *conn
		relation string // to v and s
	}{
		{"the customer, bound", boundCustomer, "bound customer"},
		{"the customer, another tab", customer(cust), "customer"},
		{"another customer", customer("customer-2"), "stranger"},
		{"the agent, bound", boundAgent, "bound agent"},
		{"the agent, another socket", agent(agentID), "agent"},
		{"another agent", agent("agent-2"), "colleague"},
	}
	may := map[string]map[string]bool{ // what each relation may do to the object, written out
		"stranger":  {},
		"colleague": {"conversation.watch": true, "chat.history": true, "chat.send": true /* the store refuses it: TestForeignConversationsAreRefused */},
		"customer": {"conversation.close": true, "chat.send": true, "chat.history": true, "chat.mark": true, "chat.typing": true, "session.request": true,
			"session.accept": true, "session.decline": true, "session.rejoin": true, "session.end": true, "consent.state": true},
		"agent": {"conversation.close": true, "conversation.watch": true, "chat.send": true, "chat.history": true, "chat.mark": true, "chat.typing": true,
			"queue.release": true, "session.request": true, "session.accept": true, "session.decline": true, "session.rejoin": true, "session.end": true},
	}
	with := func(base string, more ...string) map[string]bool {
		out := map[string]bool{}
		for k := range may[base] {
			out[k] = true
		}
		for _, m := range more {
			out[m] = true
		}
		return out
	}
	may["bound customer"] = with("customer", "session.answer", "session.candidate", "session.restart")
	may["bound agent"] = with("agent", "session.offer", "session.candidate", "session.report", "consent.ask")
	for verb := range verbs {
		for _, a := range actors {
			n := needOf(a.c, verb)
			if n == always {
				continue // no object
			}
			if got := allow(a.c, verb, v, s) == nil; got != may[a.relation][verb] {
				t.Errorf("%s: %s allowed = %v, want %v", verb, a.name, got, may[a.relation][verb])
			}
			if allow(a.c, verb, nil, nil) == nil {
				t.Errorf("%s: %s is allowed on an object that does not exist", verb, a.name)
			}
		}
	}
	if allow(boundAgent, "no.such.verb", v, s) == nil {
		t.Error("a verb without a row is allowed")
	}
}

// TestSessionSteps walks every state and event of a session.
func TestSessionSteps(t *testing.T) {
	want := map[store.SessionState]string{
		store.Requested:    "accept:connecting open:- silent:- end:ended decline:ended",
		store.Connecting:   "accept:- open:connected silent:reconnecting end:ended decline:-",
		store.Connected:    "accept:- open:connected silent:reconnecting end:ended decline:-",
		store.Reconnecting: "accept:- open:connected silent:reconnecting end:ended decline:-",
		store.Ended:        "accept:- open:- silent:- end:- decline:-",
	}
	for state, line := range want {
		got := ""
		for _, ev := range []sessionEvent{evAccept, evOpen, evSilent, evEnd, evDecline} {
			to := string(nextSession[state][ev])
			if to == "" {
				to = "-"
			}
			got += string(ev) + ":" + to + " "
		}
		if got != line+" " {
			t.Errorf("%s: %s, want %s", state, got, line)
		}
	}
}
