package server_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/lookalong/lookalong/protocol"
	. "github.com/lookalong/lookalong/signaling/servertest"
	"github.com/lookalong/lookalong/signaling/store"
)

// TestACustomerWhoWasErasedBeginsAnew: one who is connected and whose conversation was not in memory is not told by the
// erasure itself. What they ask for then has them come back, as somebody new.
func TestACustomerWhoWasErasedBeginsAnew(t *testing.T) {
	s := New(t)
	k := NewCustomerKey()
	c := s.Customer(k)
	conv := c.Conversation().Conversation
	c.Send(protocol.ConversationClose{ID: "close", Conversation: conv})
	c.WantAck("close")
	s.Stop()
	db, err := sql.Open("sqlite", s.Dir+"/data/lookalong.db")
	if err != nil {
		t.Fatal(err)
	}
	const longAgo = 20 * 24 * time.Hour // nobody comes back to it
	if _, err := db.Exec("UPDATE conversations SET closed_at = closed_at - ?1, last_at = last_at - ?1", longAgo.Milliseconds()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s.Start()
	c = s.Customer(k)
	err = store.Use(context.Background(), store.Options{Dir: s.Dir + "/data"}, func(ctx context.Context, st *store.Store) error {
		_, err := st.Erase(ctx, string(conv), store.Actor{Kind: store.KindSystem})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Send(protocol.ConversationOpen{ID: "open"})
	c.WantClose(protocol.CloseRestart)
	was := c.Welcome.Customer
	until(t, "the customer is somebody new", func() bool {
		c = s.Customer(k)
		if c.Welcome.Customer == was {
			c.Close()
		}
		return c.Welcome.Customer != was
	})
	if again := c.Conversation(); again.Conversation == conv || again.State != "waiting" {
		t.Errorf("begins with %+v", again)
	}
}

// TestAClaimOnesOwnConnectionHoldsDoesNotLapse: the lease of a one-shot claim is committed after the same connection
// began to hold; the hold counts, in memory and on the disk.
func TestAClaimOnesOwnConnectionHoldsDoesNotLapse(t *testing.T) {
	s := New(t)
	conv := s.Customer(NewCustomerKey()).Conversation().Conversation
	ana, key := s.Agent("Ana")
	st, err := store.OpenShared(context.Background(), store.Options{Dir: s.Dir + "/data"})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	claimFor(ana, conv, time.Hour)
	for round := range 10 {
		c := s.AgentAgain(key)
		claim, hold := c.ID(), c.ID()
		c.Send(protocol.QueueClaim{ID: claim, Conversation: conv, HoldMs: (2 * time.Hour).Milliseconds()})
		c.Send(protocol.ConversationWatch{ID: hold, Conversation: conv, Hold: true})
		for _, id := range []protocol.RequestID{claim, hold} {
			Want(c, func(m protocol.ConversationState) bool { return m.ID == id && m.State == "claimed" })
		}
		c.Send(protocol.ConversationList{ID: "mine", Scope: "mine"})
		mine := Want[protocol.ConversationItems](c, nil)
		if len(mine.Items) != 1 || mine.Items[0].LapsesAt != nil {
			t.Fatalf("round %d: held, and listed as %+v", round+1, mine.Items)
		}
		until(t, "a claim without an end on the disk", func() bool {
			row, err := st.Conversation(context.Background(), string(conv))
			if err != nil {
				t.Fatal(err)
			}
			return row.State == store.Claimed && row.LapsesAt == nil
		})
	}
}
