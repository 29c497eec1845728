//go:build unix

package cli

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/agent/support"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
	"github.com/lookalong/lookalong/signaling/server"
	"github.com/lookalong/lookalong/signaling/servertest"
	"github.com/lookalong/lookalong/signaling/store"
)

// The outage is longer than the claim lasts: what was typed meanwhile is sent all the same.
func TestTypedOfflineAfterTheClaimLapsed(t *testing.T) {
	lapsed := func(*store.Store) {}
	s := servertest.NewWith(t, func(cfg *server.Config) { lapsed(cfg.Store) })
	signedIn(t, s, "Ana")
	eve := s.Customer(servertest.NewCustomerKey())
	conv := eve.Conversation().Conversation
	p := run(t, context.Background(), "chat", string(conv))
	claimed := servertest.Want(eve, func(m protocol.ConversationState) bool { return m.State == "claimed" })
	eve.Say(conv, "Hello?")
	p.want("Customer: \x1b[0mHello?")
	s.Stop()
	p.want("Reconnecting; what you write is sent then")
	p.keys("written offline\r")
	p.want("sending…")
	lapsed = func(st *store.Store) {
		// It is written before anything that the server writes, once that runs.
		err := st.Release(string(conv), string(claimed.Agent.ID), func(_ store.Conversation, err error) {
			if err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
	s.Start()
	p.want("Ana: \x1b[0mwritten offline")
	p.keys("/quit\r")
	if code := p.end(); code != 0 || strings.Contains(p.all(), "Not sent") {
		t.Errorf("exit code %d: %q", code, p.all())
	}
}

type promptUI struct {
	plainUI
	shown string
}

func (u *promptUI) prompt(p string) { u.shown = p }

// The customer's end names the surface, the page tells the presence: both are strangers.
func TestPromptIsSafe(t *testing.T) {
	for _, hostile := range []string{"\x1b]0;owned\a", "\u009b2J", "\r\x1b[2K", "\u202e"} {
		u := &promptUI{}
		c := &chat{room: &room{id: "abcdefgh", online: true}, ui: u}
		c.state.Presence = "online" + hostile
		c.status = support.Status{State: "connected", View: "on", Surface: hostile}
		c.draw()
		if u.shown != term.Line(u.shown) || !strings.Contains(u.shown, "sees something") {
			t.Errorf("the prompt is %q", u.shown)
		}
		c.status.Surface = "window"
		if c.draw(); !strings.Contains(u.shown, "sees a window") {
			t.Errorf("the prompt is %q", u.shown)
		}
	}
}

// The server's answer was lost after the invite was spent: the same invite signs in with the key that was kept.
func TestLoginAfterALostAnswer(t *testing.T) {
	s := servertest.New(t)
	home := filepath.Join(t.TempDir(), "home")
	t.Setenv("LOOKALONG_HOME", home)
	invite := s.Invite("Ana", "agent")
	in, _, errs := term.Test(invite + "\n")
	s.Stop()
	if code := Main(context.Background(), []string{"login", s.URL()}, in); code != exitUnreachable {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	s.Start()
	kept, err := readKey(filepath.Join(home, pendingFile))
	if err != nil {
		t.Fatal(err)
	}
	spend(t, s, kept, invite)
	in, _, errs = term.Test(invite + "\n")
	if code := Main(context.Background(), []string{"login", s.URL()}, in); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if key, err := readKey(filepath.Join(home, keyFile)); err != nil || string(key) != string(kept) {
		t.Errorf("another key was stored: %v", err)
	}
	// A refused one is not kept.
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	second := s.Invite("Bea", "agent")
	spend(t, s, deviceKey(other), second)
	in, _, _ = term.Test(second + "\n")
	if code := Main(context.Background(), []string{"login", s.URL()}, in); code != exitSignIn {
		t.Errorf("a spent invite: exit code %d", code)
	}
	if _, err := readKey(filepath.Join(home, pendingFile)); err == nil {
		t.Error("the key of a refused login was kept")
	}
}

// spend uses an invite for a key.
func spend(t *testing.T, s *servertest.Server, key deviceKey, invite string) {
	t.Helper()
	c, err := client.New(client.Config{URL: s.URL(), Role: "agent", Key: ed25519.PrivateKey(key), Invite: invite, Device: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	if err := c.WaitOnline(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	<-ended
}
