package server_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	. "github.com/lookalong/lookalong/signaling/servertest"
)

// TestABodyThatNeverComesEndsItsConnection: also many of them, while a socket's time is its own.
func TestABodyThatNeverComesEndsItsConnection(t *testing.T) {
	s := limited(t, func(l *server.Limits) { l.Hello = 2 * time.Second })
	socket := s.Customer(NewCustomerKey())
	conns := make([]net.Conn, 50)
	for i := range conns {
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n\r\n", s.Addr)
		conns[i] = c
	}
	deadline := time.Now().Add(Patience)
	for i, c := range conns {
		if err := c.SetReadDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d stays open", i+1)
		}
	}
	socket.Send(protocol.Ping{ID: "still here"})
	Want[protocol.Pong](socket, nil)
}

// TestNewConversationsAtOnceAreBounded: what is being written counts already, for an address and for the queue.
func TestNewConversationsAtOnceAreBounded(t *testing.T) {
	const n, many = 5, 60
	for name, tc := range map[string]struct {
		limit func(*server.Limits)
		code  protocol.Code
	}{
		"address": {func(l *server.Limits) { l.ConversationsPerHourIP = n }, protocol.CodeConvLimit},
		"queue":   {func(l *server.Limits) { l.Queue = n }, protocol.CodeQueueFull},
	} {
		t.Run(name, func(t *testing.T) {
			s := limited(t, tc.limit)
			conns := make([]*Conn, many)
			for i := range conns {
				conns[i] = s.Customer(NewCustomerKey())
			}
			for _, c := range conns {
				c.Send(protocol.ConversationOpen{ID: "open"})
			}
			began := 0
			for _, c := range conns {
				switch e := answer(c, "open"); {
				case e.Code == "":
					began++
				case e.Code != tc.code || e.RetryAfterMs <= 0:
					t.Errorf("refused with %+v", e)
				}
			}
			a, _ := s.Agent("Ana")
			a.Send(protocol.QueueList{ID: "queue"})
			if q := Want[protocol.QueueState](a, nil); began != n || q.Total != n {
				t.Errorf("%d conversations began and %d wait, want %d", began, q.Total, n)
			}
		})
	}
}

// TestHistoryIsWholeBeyondTheTail: a conversation of more bytes than are kept in memory is read to its first message.
func TestHistoryIsWholeBeyondTheTail(t *testing.T) {
	s := limited(t, func(l *server.Limits) { l.CustomerBurst = 100 })
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation().Conversation
	const n = 12
	text := func(seq int) string { return strings.Repeat("\U0001F469", 3900) + fmt.Sprint(seq) }
	for seq := range n {
		c.Say(conv, text(seq+1))
	}
	got := map[int64]string{}
	take := func(m protocol.ChatHistory) (messages []protocol.ChatMessage) {
		m.ID, m.Conversation = c.ID(), conv
		c.Send(m)
		messages = Want(c, func(p protocol.ChatPage) bool { return p.ID == m.ID }).Messages
		for _, m := range messages {
			got[m.Seq] = m.Text
		}
		return messages
	}
	check := func(way string) {
		t.Helper()
		for seq := range n {
			if got[int64(seq+1)] != text(seq+1) {
				t.Errorf("%s: message %d is missing or another", way, seq+1)
			}
		}
		clear(got)
	}
	for after, page := int64(0), take(protocol.ChatHistory{Limit: 50}); len(page) > 0; page = take(protocol.ChatHistory{After: after, Limit: 50}) {
		after = page[len(page)-1].Seq
	}
	check("from the first on")
	for before, page := int64(0), take(protocol.ChatHistory{Before: n + 1, Limit: 50}); len(page) > 0; page = take(protocol.ChatHistory{Before: before, Limit: 50}) {
		before = page[0].Seq
	}
	check("from the last back")
}

// TestReadsOfOneConnectionAreBounded: ids that nobody knows cost a read each; those that would wait are refused for now.
func TestReadsOfOneConnectionAreBounded(t *testing.T) {
	s := limited(t, func(*server.Limits) {})
	const sockets, each, waiting = 12, 150, 8
	conns := make([]*Conn, sockets)
	for i := range conns {
		conns[i] = s.Customer(NewCustomerKey())
	}
	before, peak := runtime.NumGoroutine(), 0
	for j := range each {
		for _, c := range conns {
			c.Send(protocol.ChatSend{ID: protocol.RequestID(fmt.Sprint("m", j)), Conversation: protocol.ConversationID(c.ID()), Text: "?"})
		}
		peak = max(peak, runtime.NumGoroutine())
	}
	busy := 0
	for _, c := range conns {
		for j := range each {
			peak = max(peak, runtime.NumGoroutine())
			switch e := answer(c, protocol.RequestID(fmt.Sprint("m", j))); {
			case e.Code == protocol.CodeBusy && e.RetryAfterMs > 0:
				busy++
			case e.Code != protocol.CodeNotFound:
				t.Errorf("answered with %+v", e)
			}
		}
	}
	if busy == 0 {
		t.Error("none was refused")
	}
	if most := before + sockets*(2*waiting+2) + 50; peak > most { // database/sql has one beside each read; the rest is the store's and the runtime's
		t.Errorf("%d goroutines, %d before", peak, before)
	}
}

// TestReopeningNeedsAPlaceInTheQueue: a customer whose conversation was closed is told to wait while the queue is full;
// the same message is taken once there is room.
func TestReopeningNeedsAPlaceInTheQueue(t *testing.T) {
	const n = 3
	s := limited(t, func(l *server.Limits) { l.Queue = n })
	k := NewCustomerKey()
	c := s.Customer(k)
	conv := c.Conversation().Conversation
	c.Send(protocol.ConversationClose{ID: "close", Conversation: conv})
	c.WantAck("close")
	for range n {
		s.Customer(NewCustomerKey()).Conversation()
	}
	m := protocol.ChatSend{ID: "again", Conversation: conv, Text: "one more thing"}
	c.Send(m)
	if e := c.WantError(m.ID, protocol.CodeBusy); e.RetryAfterMs <= 0 {
		t.Errorf("no time is named: %+v", e)
	}
	a, _ := s.Agent("Ana")
	a.Claim("")
	c = s.Customer(k) // another connection needs not wait as the first was told to
	c.Send(m)
	c.WantAck(m.ID)
	a.Send(protocol.QueueList{ID: "queue"})
	if q := Want(a, func(q protocol.QueueState) bool { return q.ID == "queue" }); q.Total != n {
		t.Errorf("%d wait, want %d", q.Total, n)
	}
}

// TestReopeningsAtOnceAreBounded: what is being written into the queue counts already, at the limit, one above it and ten
// times above; the rest of what a customer sends needs no place of its own.
func TestReopeningsAtOnceAreBounded(t *testing.T) {
	const n = 4
	for _, many := range []int{n, n + 1, 10 * n} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			s := limited(t, func(l *server.Limits) { l.Queue = n })
			conns, convs := make([]*Conn, many), make([]protocol.ConversationID, many)
			for i := range conns {
				conns[i] = s.Customer(NewCustomerKey())
				convs[i] = conns[i].Conversation().Conversation
				conns[i].Send(protocol.ConversationClose{ID: "close", Conversation: convs[i]})
				conns[i].WantAck("close")
			}
			last := s.Customer(NewCustomerKey())
			db, err := sql.Open("sqlite", s.Dir+"/data/lookalong.db")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			held, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := held.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil { // nothing is written until its end
				t.Fatal(err)
			}
			for i, c := range conns {
				c.Send(protocol.ChatSend{ID: "first", Conversation: convs[i], Text: "one more thing"})
				c.Send(protocol.ChatSend{ID: "second", Conversation: convs[i], Text: "and another"})
				c.Send(protocol.Ping{ID: "seen"})
				Want[protocol.Pong](c, nil)
			}
			last.Send(protocol.ConversationOpen{ID: "full"})
			last.Send(protocol.Ping{ID: "seen"})
			Want[protocol.Pong](last, nil)
			if _, err := held.ExecContext(t.Context(), "ROLLBACK"); err != nil {
				t.Fatal(err)
			}
			if e := answer(last, "full"); e.Code != protocol.CodeQueueFull {
				t.Errorf("a new conversation beside %d that are reopened: %+v", n, e)
			}
			taken := 0
			for i, c := range conns {
				first, second := answer(c, "first"), answer(c, "second")
				switch {
				case first.Code == "" && second.Code == "":
					taken++
				case first.Code != protocol.CodeBusy || first.RetryAfterMs <= 0 || second.Code == "":
					t.Errorf("customer %d: %+v, then %+v", i+1, first, second)
				}
			}
			a, _ := s.Agent("Ana")
			a.Send(protocol.QueueList{ID: "queue"})
			if q := Want[protocol.QueueState](a, nil); taken != n || q.Total != n {
				t.Errorf("%d conversations were reopened and %d wait, want %d", taken, q.Total, n)
			}
			a.Claim("")
			if e := open(last); e.Code != "" {
				t.Errorf("with a place free again: %+v", e)
			}
		})
	}
}

// TestProfilesAreNotForPages: a browser says who asks, also where it sends no Origin. The address bar's own request and
// a program's are answered.
func TestProfilesAreNotForPages(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	NewWith(t, func(c *server.Config) { c.Pprof = l })
	for site, want := range map[string]int{"": 200, "none": 200, "cross-site": 403, "same-site": 403, "same-origin": 403} {
		r, err := http.NewRequest("GET", "http://"+l.Addr().String()+"/debug/pprof/cmdline", nil)
		if err != nil {
			t.Fatal(err)
		}
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Sec-Fetch-Site %q: %d, want %d", site, resp.StatusCode, want)
		}
	}
}
