// The customer's own wish, and what the server may claim about it; with a client that is not connected.

package share

import (
	"crypto/ed25519"
	"log/slog"
	"testing"
	"time"

	"github.com/lookalong/lookalong/customer/capture"
	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// unconnected is an app in a claimed conversation, whose requests all fail later.
func unconnected(t *testing.T) *app {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, _, _ := term.Test("")
	s.CanPrompt = true
	a := &app{
		o: Options{FPS: 1, Image: "png", NewSource: func() (capture.Source, error) { return capture.NewPattern(320, 180) }}, log: slog.New(slog.DiscardHandler),
		out: &printer{s: s, now: time.Now}, box: newMailbox(), consent: consent.View{State: consent.Off}, ctx: t.Context(),
		conv: protocol.ConversationState{Conversation: "k", State: "claimed"},
	}
	if a.client, err = client.New(client.Config{URL: "http://127.0.0.1:1", Role: "native", Key: key}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.stopPicture(consent.EvEnded)
		a.wg.Wait()
	})
	return a
}

func (a *app) is(t *testing.T, what string, want consent.State) {
	t.Helper()
	if a.consent.State != want {
		t.Fatalf("%s: the consent is %s, want %s", what, a.consent.State, want)
	}
}

func TestStopWinsOverASecondShare(t *testing.T) {
	a := unconnected(t)
	a.onLine("/share")
	a.is(t, "/share", consent.On)
	a.onLine("/share")
	a.onLine("/stop")
	a.is(t, "/stop", consent.Off)
	a.onConversation(a.conv)
	a.is(t, "a state of the conversation after /stop", consent.Off)

	// A wish that waits for an agent is over with /stop, /deny and /hangup too.
	for _, no := range []string{"/stop", "/deny", "/hangup"} {
		a.conv.State = "waiting"
		a.onLine("/share")
		a.onLine(no)
		m := a.conv
		m.State = "claimed"
		a.onConversation(m)
		a.is(t, "an agent comes after "+no, consent.Off)
	}
}

func TestShareAnswersTheOpenQuestion(t *testing.T) {
	a := unconnected(t)
	ask := protocol.SessionState{Conversation: "k", Session: "s", State: "requested", By: "agent", Picture: true}
	a.onSession(ask)
	a.is(t, "the question", consent.Asked)
	a.onLine("/share")
	a.is(t, "/share", consent.On)
	if !a.sess.Answered || a.wanted {
		t.Errorf("answered %v, still wanted %v", a.sess.Answered, a.wanted)
	}
	a.onLine("/stop")
	a.onConversation(a.conv)
	a.is(t, "a state of the conversation after /stop", consent.Off)
}

// The server says that the customer had said yes: no peer starts.
func TestServerCanNotAnswerForTheCustomer(t *testing.T) {
	a := unconnected(t)
	m := protocol.SessionState{Conversation: "k", Session: "s", State: "requested", By: "agent"}
	a.onSession(m)
	m.State, m.Bound = "connecting", true
	a.onSession(m)
	if a.sess.Peer != nil || !a.sess.asked() {
		t.Fatalf("a peer without a yes: %+v", a.sess)
	}
	a.onLine("/deny")
	if a.sess != nil {
		t.Errorf("after the no: %+v", a.sess)
	}
}

func TestOwnRequestMeetsTheAgents(t *testing.T) {
	a := unconnected(t)
	a.onLine("/share")
	a.is(t, "/share", consent.On)
	own := a.sess
	a.onSession(protocol.SessionState{Conversation: "k", Session: "s", State: "requested", By: "agent", Picture: true})
	if a.sess != own || own.ID != "s" || !own.Answered {
		t.Fatalf("the agent's request was not accepted: %+v", a.sess)
	}
	// Our own request is refused then; that is not the end.
	items, _ := a.box.take()
	if len(items) == 0 {
		t.Fatal("no answer to our request")
	}
	items[0](a)
	a.is(t, "the refusal of our request", consent.On)
	if a.sess != own {
		t.Error("the session was given up")
	}
}

func TestDirectQuestionsAreMuted(t *testing.T) {
	a := unconnected(t)
	for i := range consent.AsksMax + 1 {
		a.onSession(protocol.SessionState{Conversation: "k", Session: protocol.SessionID(rune('a' + i)), State: "requested", By: "agent"})
		if asked := a.sess.asked(); asked != (i < consent.AsksMax) {
			t.Errorf("question %d: shown %v", i+1, asked)
		}
		if a.sess != nil {
			a.decline()
		}
	}
	a.directs[0] = time.Now().Add(-consent.AsksWindowMs * time.Millisecond)
	if a.muted(time.Now()) {
		t.Error("still muted after the window")
	}
}
