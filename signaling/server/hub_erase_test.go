package server_test

import (
	"context"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	. "github.com/lookalong/lookalong/signaling/servertest"
	"github.com/lookalong/lookalong/signaling/store"
)

// TestErasedBesideTheRunningServer: nobody is given a word of it any more, also not from memory; the agent sees it end,
// the customer's connection begins anew.
func TestErasedBesideTheRunningServer(t *testing.T) {
	s := limited(t, func(*server.Limits) {})
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation().Conversation
	a, _ := s.Agent("Ana")
	a.Claim(conv)
	c.Say(conv, "CANARY-ERASED")
	Want[protocol.ChatMessage](a, nil)
	a.Send(protocol.ChatHistory{ID: "before", Conversation: conv, Limit: 10})
	if page := Want[protocol.ChatPage](a, nil); len(page.Messages) != 1 {
		t.Fatalf("before: %+v", page)
	}
	a.Forget()
	err := store.Use(context.Background(), store.Options{Dir: s.Dir + "/data"}, func(ctx context.Context, st *store.Store) error {
		_, err := st.Erase(ctx, string(conv), store.Actor{Kind: store.KindSystem})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	Want(a, func(m protocol.ConversationState) bool { return m.Conversation == conv && m.State == "closed" })
	c.WantClose(protocol.CloseRestart)
	a.Send(protocol.ChatHistory{ID: "after", Conversation: conv, Limit: 10})
	a.WantError("after", protocol.CodeNotFound)
	a.Send(protocol.ChatSend{ID: "late", Conversation: conv, Text: "are you there?"})
	a.WantError("late", protocol.CodeNotFound)
	a.Send(protocol.ConversationList{ID: "mine", Scope: "mine"})
	if mine := Want[protocol.ConversationItems](a, nil); len(mine.Items) != 0 {
		t.Errorf("still claimed: %+v", mine.Items)
	}
	s.Stop()
	if strings.Contains(s.Log.String(), "CANARY") {
		t.Error("the log holds the text")
	}
}
