package server_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/internal/fault/disk"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	. "github.com/lookalong/lookalong/signaling/servertest"
	"github.com/lookalong/lookalong/signaling/store"
)

// onDisk is a server on a disk that can be hurt, and its data folder.
func onDisk(t *testing.T) (*Server, *disk.Disk, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	d := disk.New(disk.Options{Dir: filepath.Dir(dir)})
	t.Cleanup(d.Close)
	s := NewWith(t, func(c *server.Config) {
		c.Store.Close() // that of servertest's own folder, which is on another disk
		var err error
		if c.Store, err = store.Open(context.Background(), store.Options{Dir: dir, StopNewBelow: -1, ReadOnlyBelow: -1}); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.Log)
		}
	})
	return s, d, dir
}

// until waits for a condition that has to come.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestAnErrorOfTheDiskIsNoFinalNo: whether a message was written is unknown then, so the client is asked to send it
// again. A disk that fails now and then is one trouble in the operator's log.
func TestAnErrorOfTheDiskIsNoFinalNo(t *testing.T) {
	s, d, _ := onDisk(t)
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation().Conversation
	c.Say(conv, "before")
	seq := int64(1)
	for _, op := range []disk.Op{disk.Sync, disk.Write, disk.Sync} {
		for hit := false; !hit; { // the search index or a presence may write first, and take the failure
			m := protocol.ChatSend{ID: c.ID(), Conversation: conv, Text: "kept"}
			d.Fail(op, 1, map[disk.Op]disk.Code{disk.Sync: disk.IOSync, disk.Write: disk.IOWrite}[op])
			c.Send(m)
			for stored := false; !stored; {
				switch a := Want(c, func(m2 any) bool { return answers(m2, m.ID) }).(type) {
				case protocol.Ack:
					stored, seq = true, seq+1
					if a.Seq != seq {
						t.Errorf("stored as %d, want %d", a.Seq, seq)
					}
				case protocol.Error:
					if hit = true; a.Code != protocol.CodeRetry || a.RetryAfterMs <= 0 {
						t.Fatalf("%+v", a)
					}
					time.Sleep(time.Duration(a.RetryAfterMs) * time.Millisecond) // as it says
					c.Send(m)
				}
			}
		}
	}
	if n := strings.Count(s.Log.String(), "the store is in trouble"); n != 1 {
		t.Errorf("the operator was told %d times", n)
	}
}

func answers(msg any, id protocol.RequestID) bool {
	switch m := msg.(type) {
	case protocol.Ack:
		return m.ID == id
	case protocol.Error:
		return m.ID == id
	}
	return false
}

// TestAuditRowsWaitForTheDisk: what is done while nothing can be written is in the audit log afterwards, with the time
// at which it was done.
func TestAuditRowsWaitForTheDisk(t *testing.T) {
	s, d, dir := onDisk(t)
	ana, bo := agentIn(t, s, dir), agentIn(t, s, dir)
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation().Conversation
	c.Say(conv, "help")
	claimFor(ana, conv, time.Hour)
	d.Fill(true)
	before := time.Now().Truncate(time.Millisecond)
	bo.Send(protocol.ChatHistory{ID: bo.ID(), Conversation: conv, Limit: 10}) // Ana's: that is written down
	Want[protocol.ChatPage](bo, nil)
	after := time.Now()
	until(t, "the trouble in the log", func() bool { return strings.Contains(s.Log.String(), "the store is in trouble") })
	d.Fill(false)
	until(t, "the row", func() bool {
		var rows []store.Entry
		err := store.Use(t.Context(), store.Options{Dir: dir, StopNewBelow: -1, ReadOnlyBelow: -1}, func(ctx context.Context, st *store.Store) (err error) {
			rows, err = st.AuditLog(ctx, string(conv), 0, 100)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(rows, func(e store.Entry) bool {
			return e.Kind == "admin.read" && !e.At.Before(before) && !e.At.After(after)
		})
	})
}
