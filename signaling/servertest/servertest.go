// Package servertest runs a real signaling server on 127.0.0.1 with a real store, and speaks the protocol to it in
// scripted steps. Nothing in it is a mock. For tests only.
package servertest

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	"github.com/lookalong/lookalong/signaling/store"
)

// Patience is how long a step waits for what must come. Reaching it fails the test; it is never a measure of speed.
const Patience = 40 * time.Second

// Server is a running server that can be stopped and started again on the same addresses and data.
type Server struct {
	Dir  string
	Addr string // 127.0.0.1:port
	UDP  string
	Log  *Log

	t      testing.TB
	change func(*server.Config)
	mu     sync.Mutex
	stop   context.CancelFunc
	ended  chan error
}

// Log collects what the server logs, at every level.
type Log struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// String is everything logged so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server { return NewWith(t, nil) }

// NewWith is New with a changed configuration.
func NewWith(t testing.TB, change func(*server.Config)) *Server {
	t.Helper()
	s := &Server{Dir: t.TempDir(), Log: &Log{}, t: t, change: change}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// URL is the server's address for clients.
func (s *Server) URL() string { return "http://" + s.Addr }

// Start starts the server, on the same ports as before if there were any.
func (s *Server) Start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	addr, udp := "127.0.0.1:0", "127.0.0.1:0"
	if s.Addr != "" {
		addr, udp = s.Addr, s.UDP
	}
	l := retry(s.t, func() (net.Listener, error) { return net.Listen("tcp", addr) })
	pc := retry(s.t, func() (net.PacketConn, error) { return net.ListenPacket("udp", udp) })
	st, err := store.Open(context.Background(), store.Options{Dir: s.Dir + "/data"})
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := server.Config{Listener: l, UDP: pc, Store: st, Log: slog.New(slog.NewTextHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if s.change != nil {
		s.change(&cfg)
	}
	srv, err := server.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Addr, s.UDP = l.Addr().String(), pc.LocalAddr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	s.stop, s.ended = cancel, ended
}

// retry waits for a port that another program took for a moment while the server was down.
func retry[T any](t testing.TB, f func() (T, error)) T {
	t.Helper()
	for deadline := time.Now().Add(Patience); ; {
		v, err := f()
		if err == nil {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Stop ends the server and waits for it. Harmless when it is stopped.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop == nil {
		return
	}
	s.stop()
	s.stop = nil
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Errorf("server ended with %v", err)
		}
	case <-time.After(Patience):
		s.t.Errorf("server did not end")
	}
}

// Invite makes an invite for an agent.
func (s *Server) Invite(name, role string) string {
	s.t.Helper()
	token := ""
	err := store.Use(context.Background(), store.Options{Dir: s.Dir + "/data"}, func(ctx context.Context, st *store.Store) (err error) {
		token, err = store.Sync(ctx, func(done func(string, error)) error {
			return st.CreateInvite(name, store.Role(role), store.InviteTTL, done)
		})
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// Conn is one socket of a scripted client.
type Conn struct {
	WS      *websocket.Conn
	Welcome protocol.HelloWelcome
	t       testing.TB
	backlog []any // read, not yet asked for
}

// Dial opens a socket without a hello. Origin is sent for customers.
func (s *Server) Dial(path string, header http.Header) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{Subprotocols: []string{protocol.Subprotocol}, HandshakeTimeout: Patience}
	return d.Dial("ws://"+s.Addr+path, header)
}

// Bare opens a socket without a hello.
func (s *Server) Bare(path string) *Conn {
	s.t.Helper()
	header := http.Header{}
	if path == "/ws/customer" {
		header.Set("Origin", "http://"+s.Addr)
	}
	ws, _, err := s.Dial(path, header)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { ws.Close() })
	return &Conn{WS: ws, t: s.t}
}

// Open dials and says hello; path is customer, native or agent.
func (s *Server) Open(role string, k Key, change func(*protocol.HelloProof)) *Conn {
	s.t.Helper()
	c := s.Bare("/ws/" + role)
	challenge := Want[protocol.HelloChallenge](c, nil)
	proof := k.Proof(role, s.Addr, challenge.Nonce)
	if change != nil {
		change(&proof)
	}
	c.Send(proof)
	return c
}

// Customer opens a customer's socket with this key, up to the welcome.
func (s *Server) Customer(k Key) *Conn {
	s.t.Helper()
	c := s.Open("customer", k, nil)
	c.Welcome = Want[protocol.HelloWelcome](c, nil)
	return c
}

// Agent logs a new agent in and returns the socket and the key.
func (s *Server) Agent(name string) (*Conn, Key) {
	s.t.Helper()
	k := NewAgentKey()
	invite := s.Invite(name, "agent")
	c := s.Open("agent", k, func(p *protocol.HelloProof) { p.Invite, p.Device = invite, "test" })
	c.Welcome = Want[protocol.HelloWelcome](c, nil)
	return c, k
}

// AgentAgain opens another socket of an agent.
func (s *Server) AgentAgain(k Key) *Conn {
	s.t.Helper()
	c := s.Open("agent", k, nil)
	c.Welcome = Want[protocol.HelloWelcome](c, nil)
	return c
}

// Send writes a message.
func (c *Conn) Send(msg any) {
	c.t.Helper()
	c.SendRaw(string(protocol.Encode(msg)))
}

// SendRaw writes a text frame.
func (c *Conn) SendRaw(data string) {
	c.t.Helper()
	if err := c.WS.WriteMessage(websocket.TextMessage, []byte(data)); err != nil {
		c.t.Fatal(err)
	}
}

// ID makes a request id that is new on this connection.
func (c *Conn) ID() protocol.RequestID {
	return protocol.RequestID(rand.Text())
}

// Next reads one message, or the close code as an error.
func (c *Conn) Next() (any, error) {
	if len(c.backlog) > 0 {
		msg := c.backlog[0]
		c.backlog = c.backlog[1:]
		return msg, nil
	}
	if err := c.WS.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		return nil, err
	}
	_, data, err := c.WS.ReadMessage()
	if err != nil {
		return nil, err
	}
	return protocol.Decode(data, protocol.Server)
}

// Want reads until a message of type T for which ok holds (nil: any); others before it are kept for later calls.
func Want[T any](c *Conn, ok func(T) bool) T {
	c.t.Helper()
	var kept []any
	defer func() { c.backlog = append(kept, c.backlog...) }()
	for {
		msg, err := c.Next()
		if err != nil {
			var zero T
			c.t.Fatalf("waiting for %T: %v (before it: %+v)", zero, err, kept)
		}
		if m, is := msg.(T); is && (ok == nil || ok(m)) {
			return m
		}
		kept = append(kept, msg)
	}
}

// Forget drops what was read and not asked for.
func (c *Conn) Forget() { c.backlog = nil }

// WantError waits for the error answer to a request.
func (c *Conn) WantError(id protocol.RequestID, code protocol.Code) protocol.Error {
	c.t.Helper()
	e := Want(c, func(e protocol.Error) bool { return e.ID == id })
	if e.Code != code {
		c.t.Errorf("got error %s %q, want %s", e.Code, e.Text, code)
	}
	return e
}

// WantAck waits for the ack of a request; an error answer fails the test.
func (c *Conn) WantAck(id protocol.RequestID) protocol.Ack {
	c.t.Helper()
	var kept []any
	defer func() { c.backlog = append(kept, c.backlog...) }()
	for {
		msg, err := c.Next()
		if err != nil {
			c.t.Fatalf("waiting for the ack: %v", err)
		}
		if m, is := msg.(protocol.Ack); is && m.ID == id {
			return m
		}
		if m, is := msg.(protocol.Error); is && m.ID == id {
			c.t.Fatalf("got error %s %q, want an ack", m.Code, m.Text)
		}
		kept = append(kept, msg)
	}
}

// WantClose reads until the socket closes and compares the code.
func (c *Conn) WantClose(code protocol.CloseCode) {
	c.t.Helper()
	for {
		_, err := c.Next()
		if err == nil {
			continue
		}
		if e, ok := err.(*websocket.CloseError); !ok || e.Code != int(code) {
			c.t.Errorf("closed with %v, want %d", err, code)
		}
		return
	}
}

// Close closes the socket without a goodbye, as a lost network does.
func (c *Conn) Close() { c.WS.NetConn().Close() }

// Conversation opens the customer's conversation.
func (c *Conn) Conversation() protocol.ConversationState {
	c.t.Helper()
	id := c.ID()
	c.Send(protocol.ConversationOpen{ID: id})
	return Want(c, func(m protocol.ConversationState) bool { return m.ID == id })
}

// Say sends a chat message and waits for its ack.
func (c *Conn) Say(conv protocol.ConversationID, text string) protocol.Ack {
	c.t.Helper()
	id := c.ID()
	c.Send(protocol.ChatSend{ID: id, Conversation: conv, Text: text})
	return c.WantAck(id)
}

// Claim claims a conversation with a holding connection.
func (c *Conn) Claim(conv protocol.ConversationID) protocol.ConversationState {
	c.t.Helper()
	id := c.ID()
	c.Send(protocol.QueueClaim{ID: id, Conversation: conv, Hold: true})
	return Want(c, func(m protocol.ConversationState) bool { return m.ID == id })
}

// Drain reads everything into nothing until the socket ends, on its own goroutine; the returned function waits.
func (c *Conn) Drain() (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, r, err := c.WS.NextReader()
		for err == nil {
			_, _ = io.Copy(io.Discard, r)
			_, r, err = c.WS.NextReader()
		}
	}()
	return func() { <-done }
}
