//go:build unix

package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/internal/fault/disk"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	"github.com/lookalong/lookalong/signaling/servertest"
	"github.com/lookalong/lookalong/signaling/store"
)

// savingServer is a server that can be restarted as one that saves nothing, and back.
func savingServer(t *testing.T) (s *servertest.Server, saves func(bool)) {
	t.Helper()
	limit := int64(-1)
	s = servertest.NewWith(t, func(cfg *server.Config) {
		if limit < 0 {
			return
		}
		cfg.Store.Close()
		var err error // as with serve --disk-read-only 1000000GiB
		if cfg.Store, err = store.Open(context.Background(), store.Options{Dir: s.Dir + "/data", ReadOnlyBelow: limit}); err != nil {
			t.Fatal(err)
		}
	})
	return s, func(yes bool) {
		s.Stop()
		if limit = -1; !yes {
			limit = 1_000_000 << 30 // bytes: more than any disk of today, so it counts as full
		}
		s.Start()
	}
}

const cantSave = "Messages can't be saved right now. Yours is kept here and will be sent."

// TestChatSaysThatNothingCanBeSaved: once, however often it is tried again; what was written arrives when there is room.
func TestChatSaysThatNothingCanBeSaved(t *testing.T) {
	dir := t.TempDir()
	d := disk.New(disk.Options{Dir: dir})
	defer d.Close()
	s := servertest.NewWith(t, func(cfg *server.Config) {
		cfg.Store.Close() // that of servertest's own folder, which is on another disk
		var err error
		if cfg.Store, err = store.Open(context.Background(), store.Options{Dir: dir + "/data", StopNewBelow: -1, ReadOnlyBelow: -1}); err != nil {
			t.Fatal(err)
		}
	})
	s.Dir = dir // invites are made there
	signedIn(t, s, "Ana")
	eve := s.Customer(servertest.NewCustomerKey())
	conv := eve.Conversation().Conversation
	p := run(t, context.Background(), "chat", string(conv))
	p.want("online > ")
	eve.Say(conv, "what the claim has left to write is written before this")
	d.Fill(true)
	p.keys("one\r")
	p.want(cantSave)
	p.keys("two\r")
	d.Fill(false)
	servertest.Want(eve, func(m protocol.ChatMessage) bool { return m.Text == "two" })
	p.want("Ana: \x1b[0mone")
	p.want("Ana: \x1b[0mtwo")
	if n := strings.Count(p.all(), cantSave); n != 1 {
		t.Errorf("said %d times: %q", n, p.all())
	}
	p.forget()
	d.Fill(true)
	p.keys("three\r")
	p.want(cantSave) // another time of trouble
	d.Fill(false)
	p.want("Ana: \x1b[0mthree")
	p.keys("/quit\r")
	if code := p.end(); code != 0 || strings.Contains(p.all(), "Not sent") || strings.Count(p.all(), cantSave) != 1 {
		t.Errorf("exit code %d: %q", code, p.all())
	}
}

// TestAClaimIsHeldWhileNothingCanBeSaved: an open chat that comes back to a server which only reads keeps its claim.
func TestAClaimIsHeldWhileNothingCanBeSaved(t *testing.T) {
	s, saves := savingServer(t)
	signedIn(t, s, "Ana")
	eve := s.Customer(servertest.NewCustomerKey())
	conv := eve.Conversation().Conversation
	p := run(t, context.Background(), "chat", string(conv))
	p.want("online > ")
	eve.Say(conv, "Hello?")
	p.want("Hello?") // it has begun: what is lost from now on comes back
	saves(false)
	p.want("Connected again")
	p.keys("kept\r")
	p.want(cantSave)
	in, out, errs := term.Test("")
	if code := Main(context.Background(), []string{"history", "--json"}, in); code != 0 {
		t.Fatalf("history: %d %s", code, errs)
	}
	var list struct{ Conversations []jsonItem }
	if err := json.Unmarshal(out.Bytes(), &list); err != nil || len(list.Conversations) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	if got := list.Conversations[0]; got.State != "claimed" || got.LapsesAt != nil {
		t.Errorf("the claim is %+v", got)
	}
	p.keys("\x03\x03")
	p.end()
}

// TestSendSaysThatNothingCanBeSaved: on stderr while it waits; it ends when the message is stored.
func TestSendSaysThatNothingCanBeSaved(t *testing.T) {
	s, saves := savingServer(t)
	signedIn(t, s, "Ana")
	key := servertest.NewCustomerKey()
	conv := s.Customer(key).Conversation().Conversation
	p := run(t, context.Background(), "claim", string(conv))
	if code := p.end(); code != 0 {
		t.Fatalf("claim: %d %q", code, p.all())
	}
	saves(false)
	p = run(t, context.Background(), "send", string(conv), "kept")
	p.want(cantSave)
	saves(true)
	if code := p.end(); code != 0 || strings.Count(p.all(), cantSave) != 1 {
		t.Errorf("exit code %d: %q", code, p.all())
	}
	eve := s.Customer(key)
	id := eve.ID()
	eve.Send(protocol.ChatHistory{ID: id, Conversation: conv, Limit: 10})
	page := servertest.Want(eve, func(m protocol.ChatPage) bool { return m.ID == id })
	if len(page.Messages) != 1 || page.Messages[0].Text != "kept" {
		t.Errorf("stored: %+v", page.Messages)
	}
}
