// Package supporttest plays the customer of a session, with a real socket and a real peer, for tests of the agent's
// side. Nothing in it is a mock. For tests only.
package supporttest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// Patience is how long a step waits for what must come.
const Patience = 20 * time.Second

// Events collects what happened; Want waits for one.
type Events struct {
	t    *testing.T
	mu   sync.Mutex
	list []any
	wake chan struct{} // closed and replaced at each event
}

func NewEvents(t *testing.T) *Events { return &Events{t: t, wake: make(chan struct{})} }

func (e *Events) Add(v any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, v)
	close(e.wake)
	e.wake = make(chan struct{})
}

// Forget drops what happened so far.
func (e *Events) Forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = nil
}

// Want waits for the first event of type T for which ok holds, and removes it.
func Want[T any](e *Events, what string, ok func(T) bool) T {
	e.t.Helper()
	late := time.After(Patience)
	for {
		e.mu.Lock()
		for i, v := range e.list {
			if v, is := v.(T); is && (ok == nil || ok(v)) {
				e.list = append(e.list[:i:i], e.list[i+1:]...)
				e.mu.Unlock()
				return v
			}
		}
		wake, seen := e.wake, fmt.Sprintf("%+v", e.list)
		e.mu.Unlock()
		select {
		case <-wake:
		case <-late:
			e.t.Fatalf("waiting for %s; there was %s", what, seen)
		}
	}
}

// Connect runs a signaling client until the test ends.
func Connect(t *testing.T, cfg client.Config, online func(*client.Client)) *client.Client {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Key = key
	var c *client.Client
	made := make(chan struct{})
	cfg.OnState = func(s client.State, _ error) {
		<-made
		if s == client.Online && online != nil {
			online(c)
		}
	}
	if c, err = client.New(cfg); err != nil {
		t.Fatal(err)
	}
	close(made)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	wait, stop := context.WithTimeout(ctx, Patience)
	defer stop()
	if err := c.WaitOnline(wait); err != nil {
		t.Fatal(err)
	}
	return c
}

func Request[T any](t *testing.T, c *client.Client, msg any) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	reply, err := c.Request(ctx, msg)
	v, ok := reply.(T)
	if err != nil || !ok {
		t.Fatalf("%T: %v, %T", msg, err, reply)
	}
	return v
}

// Customer is the other end: a native client with a real peer.
type Customer struct {
	*Events
	Client *client.Client
	Conv   protocol.ConversationID

	mu      sync.Mutex
	Peer    *peer.Peer
	Session protocol.SessionID
	early   []any
}

func (c *Customer) SendOffer(string) {}
func (c *Customer) SendRestart()     { _ = c.Client.Notify(protocol.SessionRestart{Session: c.Session}) }
func (c *Customer) SendAnswer(s string) {
	_ = c.Client.Notify(protocol.SessionAnswer{Session: c.Session, SDP: s})
}
func (c *Customer) SendCandidate(m protocol.SessionCandidate) {
	m.Session = c.Session
	_ = c.Client.Notify(m)
}

// signal hands session messages to the peer, or keeps them until there is one.
func (c *Customer) signal(msg any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Peer == nil {
		c.early = append(c.early, msg)
		return
	}
	switch m := msg.(type) {
	case protocol.SessionOffer:
		c.Peer.Offer(m.SDP)
	case protocol.SessionCandidate:
		c.Peer.Candidate(m)
	}
}

func NewCustomer(t *testing.T, url string) *Customer {
	c := &Customer{Events: NewEvents(t)}
	c.Client = Connect(t, client.Config{URL: url, Role: "native", OnMessage: func(msg any) {
		switch m := msg.(type) {
		case protocol.SessionOffer, protocol.SessionCandidate:
			c.signal(msg)
		case protocol.SessionState:
			c.mu.Lock()
			if c.Peer != nil && m.ICEServers != nil {
				c.Peer.UpdateICE(m.ICEServers)
			}
			c.mu.Unlock()
			c.Add(m)
		default:
			c.Add(msg)
		}
	}}, func(cl *client.Client) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.Session != "" {
			cl.Ask(protocol.SessionRejoin{Session: c.Session}, func(reply any, err error) { c.Add(reply) })
		}
	})
	c.Conv = Request[protocol.ConversationState](t, c.Client, protocol.ConversationOpen{}).Conversation
	return c
}

// Answer builds the customer's peer for an accepted session.
func (c *Customer) Answer(t *testing.T, st protocol.SessionState) {
	t.Helper()
	p, err := peer.New(peer.Config{
		Role: peer.Answerer, ICEServers: st.ICEServers, LoopbackOK: st.LoopbackOK, Signaler: c,
		OnState:   func(s peer.State, reason string) { c.Add(s); c.Add(reason) },
		OnControl: func(msg any) { c.Add(msg) },
		OnDirect:  func(msg any) { c.Add(msg) },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.Session, c.Peer = st.Session, p
	early := c.early
	c.early = nil
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	for _, msg := range early {
		c.signal(msg)
	}
}

// Accept says the customer's yes and connects.
func (c *Customer) Accept(t *testing.T) {
	t.Helper()
	asked := Want(c.Events, "the question", func(m protocol.SessionState) bool { return m.State == "requested" })
	c.Answer(t, Request[protocol.SessionState](t, c.Client, protocol.SessionAccept{Session: asked.Session}))
}

// Page is one open viewer page.
type Page struct {
	ws *websocket.Conn
	*Events
}

func OpenPage(t *testing.T, url string) *Page {
	t.Helper()
	origin, code, _ := strings.Cut(url, "/#code=")
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(origin, "http")+"/ws", map[string][]string{"Origin": {origin}})
	if err != nil {
		t.Fatal(err)
	}
	p := &Page{ws, NewEvents(t)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			kind, data, err := ws.ReadMessage()
			if err != nil {
				return
			}
			if kind == websocket.BinaryMessage {
				head, _, err := protocol.ParseChunk(data[:protocol.FrameHeaderBytes+1])
				switch {
				case err == nil && head.Kind == protocol.FrameStill:
					p.Add(&protocol.Frame{Kind: head.Kind, Stream: head.Stream, Frame: head.Frame, Data: data[protocol.FrameHeaderBytes:]})
				case err == nil && len(data) == protocol.FrameHeaderBytes+40_000:
					p.Add(head)
				}
			} else if msg, err := protocol.Decode(data, protocol.ViewerHost); err == nil {
				p.Add(msg)
			}
		}
	}()
	t.Cleanup(func() { ws.Close(); <-done })
	p.Send(protocol.ViewerHello{Code: code})
	return p
}

func (p *Page) Send(msg any) {
	_ = p.ws.WriteMessage(websocket.TextMessage, protocol.Encode(msg))
}

func (p *Page) Frame(t *testing.T) uint32 {
	t.Helper()
	return Want[protocol.Chunk](p.Events, "a frame", nil).Frame
}

func (p *Page) State(t *testing.T, ok func(protocol.ViewerState) bool) {
	t.Helper()
	Want(p.Events, "a viewer state", ok)
}
