package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
)

// socketPair is a proven socket without a hub, and its client.
func socketPair(t *testing.T, limits Limits) (*conn, *websocket.Conn) {
	t.Helper()
	s := &Server{stats: newStats(), cfg: Config{Limits: limits, Log: slog.New(slog.DiscardHandler)}}
	s.edge = newEdge(100, &s.cfg.Limits, s.stats, time.Now)
	up := websocket.Upgrader{WriteBufferPool: &sync.Pool{}}
	accepted := make(chan *websocket.Conn, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
		}
		accepted <- ws
	}))
	t.Cleanup(web.Close)
	client, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(web.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ticket, refused := s.edge.admit("127.0.0.1", func() {})
	if refused != nil {
		t.Fatal(refused)
	}
	c := s.newConn(<-accepted, ticket, protocol.Customer, "127.0.0.1", identity{customer: "c"})
	t.Cleanup(func() {
		client.Close()
		c.ws.Close()
		s.sockets.Wait()
	})
	return c, client
}

// TestOutboxAtItsLimits: at each limit the socket stays, one above it is closed with 4001 and what waited is dropped.
func TestOutboxAtItsLimits(t *testing.T) {
	const kib = 1 << 10
	for name, c := range map[string]struct {
		messages, size int
		closed         bool
	}{
		"256 messages":    {256, 1, false},
		"257 messages":    {257, 1, true},
		"2,560 messages":  {2560, 1, true},
		"1 MiB":           {16, 64 * kib, false},
		"1 MiB and a bit": {17, 64*kib - 3*kib, true},
		"10 MiB":          {160, 64 * kib, true},
	} {
		t.Run(name, func(t *testing.T) {
			conn, _ := socketPair(t, DefaultLimits())
			conn.mu.Lock()
			conn.writing = true // nobody writes: all stays
			conn.mu.Unlock()
			for range c.messages {
				conn.enqueue(make([]byte, c.size))
			}
			conn.mu.Lock()
			defer conn.mu.Unlock()
			if conn.closing != c.closed || c.closed && conn.code != protocol.CloseSlow {
				t.Errorf("closing %v with %d, want closing %v", conn.closing, conn.code, c.closed)
			}
			if c.closed && (len(conn.queue) != 0 || conn.bytes != 0) {
				t.Errorf("%d messages, %d bytes are kept", len(conn.queue), conn.bytes)
			}
			if !c.closed && (len(conn.queue) != c.messages || conn.bytes != c.messages*c.size) {
				t.Errorf("%d messages, %d bytes wait", len(conn.queue), conn.bytes)
			}
		})
	}
}

// TestOutboxKeepsOrderAndEndsWithTheClose: many writers come and go, each one's messages arrive in its order, each
// once, and the close frame after them all.
func TestOutboxKeepsOrderAndEndsWithTheClose(t *testing.T) {
	limits := DefaultLimits()
	limits.OutboxLen = 10000
	c, client := socketPair(t, limits)
	const producers, each = 8, 500
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				c.enqueue(fmt.Appendf(nil, "%d %d", p, i))
				if i%50 == p {
					c.ping()
				}
			}
		})
	}
	go func() {
		wg.Wait()
		c.close(protocol.CloseRestart, protocol.CodeBusy)
		c.enqueue([]byte("too late"))
	}()
	next := map[int]int{}
	for {
		_, data, err := client.ReadMessage()
		if err != nil {
			if e, ok := err.(*websocket.CloseError); !ok || e.Code != int(protocol.CloseRestart) || e.Text != string(protocol.CodeBusy) {
				t.Errorf("ended with %v", err)
			}
			break
		}
		var p, i int
		if _, err := fmt.Sscanf(string(data), "%d %d", &p, &i); err != nil || i != next[p] {
			t.Fatalf("got %q, want %d of producer %d", data, next[p], p)
		}
		next[p]++
	}
	for p := range producers {
		if next[p] != each {
			t.Errorf("producer %d: %d of %d arrived", p, next[p], each)
		}
	}
	c.readerEnds()
	c.srv.sockets.Wait()
	if total, _ := c.srv.edge.open(); total != 0 {
		t.Errorf("%d places are still taken", total)
	}
}

// TestMessagesOfEveryLengthArrive: RFC 6455 writes a length in one of three ways; what waits leaves together.
func TestMessagesOfEveryLengthArrive(t *testing.T) {
	c, client := socketPair(t, DefaultLimits())
	lengths := []int{0, 1, 125, 126, 127, writeBytes - 1, writeBytes, 1<<16 - 1, 1 << 16, 1<<16 + 1, 10 * writeBytes, 2}
	c.mu.Lock()
	c.writing = true // as if a write were under way: all waits
	c.mu.Unlock()
	for i, n := range lengths {
		c.enqueue(bytes.Repeat([]byte{byte('a' + i)}, n))
	}
	c.srv.sockets.Go(c.write)
	for i, n := range lengths {
		kind, data, err := client.ReadMessage()
		if err != nil || kind != websocket.TextMessage || len(data) != n || len(bytes.Trim(data, string(rune('a'+i)))) > 0 {
			t.Fatalf("message %d of %d bytes: kind %d, %d bytes, %v", i+1, n, kind, len(data), err)
		}
	}
}

// TestAPingIsAnswered with what it carried, between messages and while nothing else is sent.
func TestAPingIsAnswered(t *testing.T) {
	c, client := socketPair(t, DefaultLimits())
	read := make(chan struct{})
	go func() {
		defer close(read)
		c.readLoop(func(any) {})
		c.readerEnds()
	}()
	pongs := make(chan string, 2) // as many as are sent
	client.SetPongHandler(func(data string) error { pongs <- data; return nil })
	for _, carried := range []string{strings.Repeat("x", 125), ""} {
		if err := client.WriteControl(websocket.PingMessage, []byte(carried), time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		for len(pongs) == 0 {
			c.enqueue([]byte("a message")) // ReadMessage returns: the pong stands before one of them
			if _, _, err := client.ReadMessage(); err != nil {
				t.Fatal(err)
			}
		}
		if got := <-pongs; got != carried {
			t.Errorf("the pong carries %q, the ping %q", got, carried)
		}
	}
	client.Close()
	<-read
}

// TestAnIdleOutboxKeepsNothing: no goroutine, and no large slice after a burst.
func TestAnIdleOutboxKeepsNothing(t *testing.T) {
	c, client := socketPair(t, DefaultLimits())
	for range 200 {
		c.enqueue([]byte("x"))
	}
	for range 200 {
		if _, _, err := client.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	c.srv.sockets.Wait() // the writer has ended though the socket is open
	if c.writing || cap(c.queue) > keptQueue || c.bytes != 0 {
		t.Errorf("writing %v, room for %d, %d bytes", c.writing, cap(c.queue), c.bytes)
	}
}

// TestDrainRefusesClaims is F07's: nobody takes a conversation from a server that stops.
func TestDrainRefusesClaims(t *testing.T) {
	c, client := socketPair(t, DefaultLimits())
	c.srv.draining.Store(true)
	c.srv.received(c)(protocol.QueueClaim{ID: "1"})
	_, data, err := client.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	msg, err := protocol.Decode(data, protocol.Server)
	if e, ok := msg.(protocol.Error); err != nil || !ok || e.ID != "1" || e.Code != protocol.CodeBusy || e.RetryAfterMs <= 0 {
		t.Errorf("got %s, %v", data, err)
	}
}
