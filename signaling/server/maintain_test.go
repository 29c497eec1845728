package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	. "github.com/lookalong/lookalong/signaling/servertest"
	"github.com/lookalong/lookalong/signaling/store"
)

// TestAnErasedCustomerComesBackAsANewOne: what the gateway remembers of a key does not outlive the customer.
func TestAnErasedCustomerComesBackAsANewOne(t *testing.T) {
	s := limited(t, func(l *server.Limits) { l.IPNew, l.IPSockets = 1<<20, 1<<20 })
	k := NewCustomerKey()
	c := s.Customer(k)
	conv := c.Conversation()
	c.Say(conv.Conversation, "forget me")
	first := c.Welcome.Customer
	c.Close()
	err := store.Use(context.Background(), store.Options{Dir: s.Dir + "/data"}, func(ctx context.Context, st *store.Store) error {
		_, err := st.Erase(ctx, string(conv.Conversation), store.Actor{Kind: store.KindSystem})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(Patience); ; {
		c := s.Customer(k)
		if c.Welcome.Customer != first {
			id := c.ID()
			c.Send(protocol.ConversationOpen{ID: id})
			if again := Want(c, func(m protocol.ConversationState) bool { return m.ID == id }); again.Conversation == conv.Conversation || again.LastSeq != 0 {
				t.Errorf("came back into %+v", again)
			}
			return
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatalf("the erased customer is still known:\n%s", strings.TrimSpace(s.Log.String()))
		}
	}
}
