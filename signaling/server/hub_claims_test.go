package server_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/protocol"
	. "github.com/lookalong/lookalong/signaling/servertest"
	"github.com/lookalong/lookalong/signaling/store"
)

// agentIn logs an agent in whose invite is made in a folder.
func agentIn(t *testing.T, s *Server, dir string) *Conn {
	t.Helper()
	invite := ""
	err := store.Use(context.Background(), store.Options{Dir: dir, StopNewBelow: -1, ReadOnlyBelow: -1}, func(ctx context.Context, st *store.Store) (err error) {
		invite, err = store.Sync(ctx, func(done func(string, error)) error { return st.CreateInvite("Ana", store.RoleAgent, 0, done) })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c := s.Open("agent", NewAgentKey(), func(p *protocol.HelloProof) { p.Invite, p.Device = invite, "test" })
	c.Welcome = Want[protocol.HelloWelcome](c, nil)
	return c
}

// claimFor claims with a lease that runs out by itself.
func claimFor(c *Conn, conv protocol.ConversationID, hold time.Duration) {
	id := c.ID()
	c.Send(protocol.QueueClaim{ID: id, Conversation: conv, HoldMs: hold.Milliseconds()})
	Want(c, func(m protocol.ConversationState) bool { return m.ID == id && m.State == "claimed" })
}

var lapseTried = regexp.MustCompile(`time=(\S+) level=(\S+) msg="claim did not lapse"`)

// TestAFullDiskIsNotPressedNorTheLogFlooded: claims that lapse while nothing can be written are tried again after a
// pause. The operator is told once that the disk is full, and once that it works again.
func TestAFullDiskIsNotPressedNorTheLogFlooded(t *testing.T) {
	s, d, dir := onDisk(t)
	ana := agentIn(t, s, dir)
	var convs []protocol.ConversationID
	for range 3 {
		convs = append(convs, s.Customer(NewCustomerKey()).Conversation().Conversation)
	}
	for _, conv := range convs {
		claimFor(ana, conv, time.Second)
	}
	d.Fill(true)
	until(t, "two tries of each claim", func() bool { return len(lapseTried.FindAllString(s.Log.String(), -1)) >= 2*len(convs) })
	tries := lapseTried.FindAllStringSubmatch(s.Log.String(), -1)
	at := func(i int) time.Time {
		out, err := time.Parse(time.RFC3339Nano, tries[i][1])
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if pause := at(len(convs)).Sub(at(0)); pause < 4*time.Second {
		t.Errorf("tried again after %s", pause)
	}
	d.Fill(false)
	for _, conv := range convs {
		Want(ana, func(m protocol.ConversationState) bool { return m.Conversation == conv && m.State == "waiting" })
	}
	until(t, "the end of the trouble in the log", func() bool { return strings.Contains(s.Log.String(), "the store works again") })
	if told := strings.Count(s.Log.String(), `level=ERROR msg="the store is in trouble"`); told != 1 {
		t.Errorf("the operator was told %d times", told)
	}
	for _, try := range tries {
		if try[2] != "DEBUG" {
			t.Fatalf("a try is logged as %s", try[2])
		}
	}
}

// TestALeaseThatCouldNotBeStoredIsStoredLater: a restart must not find the old end of a lease.
func TestALeaseThatCouldNotBeStoredIsStoredLater(t *testing.T) {
	s, d, dir := onDisk(t)
	ana := agentIn(t, s, dir)
	conv := s.Customer(NewCustomerKey()).Conversation().Conversation
	claimFor(ana, conv, time.Hour)
	d.Fill(true)
	id := ana.ID()
	ana.Send(protocol.ConversationWatch{ID: id, Conversation: conv, Hold: true})
	Want(ana, func(m protocol.ConversationState) bool { return m.ID == id && m.LapsesAt == nil })
	until(t, "the lease that is not stored", func() bool { return strings.Contains(s.Log.String(), "lease not stored") })
	d.Fill(false)
	st, err := store.OpenShared(context.Background(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	until(t, "the lease on the disk", func() bool {
		row, err := st.Conversation(context.Background(), string(conv))
		if err != nil {
			t.Fatal(err)
		}
		return row.LapsesAt == nil
	})
	if row, err := st.Conversation(context.Background(), string(conv)); err != nil || row.State != store.Claimed {
		t.Errorf("stored as %+v, %v", row, err)
	}
}
