package support

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
	"github.com/lookalong/lookalong/signaling/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a step waits for what must come.
const patience = 20 * time.Second

// events collects what happened; want waits for one.
type events struct {
	t    *testing.T
	mu   sync.Mutex
	list []any
	wake chan struct{} // closed and replaced at each event
}

func newEvents(t *testing.T) *events { return &events{t: t, wake: make(chan struct{})} }

func (e *events) add(v any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, v)
	close(e.wake)
	e.wake = make(chan struct{})
}

// forget drops what happened so far.
func (e *events) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = nil
}

// want waits for the first event of type T for which ok holds, and removes it.
func want[T any](e *events, what string, ok func(T) bool) T {
	e.t.Helper()
	late := time.After(patience)
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

// connect runs a signaling client until the test ends.
func connect(t *testing.T, cfg client.Config, online func(*client.Client)) *client.Client {
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
	wait, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := c.WaitOnline(wait); err != nil {
		t.Fatal(err)
	}
	return c
}

func request[T any](t *testing.T, c *client.Client, msg any) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reply, err := c.Request(ctx, msg)
	v, ok := reply.(T)
	if err != nil || !ok {
		t.Fatalf("%T: %v, %T", msg, err, reply)
	}
	return v
}

// customer is the other end: a native client with a real peer.
type customer struct {
	*events
	client *client.Client
	conv   protocol.ConversationID

	mu      sync.Mutex
	peer    *peer.Peer
	session protocol.SessionID
	early   []any
}

func (c *customer) SendOffer(string) {}
func (c *customer) SendRestart()     { _ = c.client.Notify(protocol.SessionRestart{Session: c.session}) }
func (c *customer) SendAnswer(s string) {
	_ = c.client.Notify(protocol.SessionAnswer{Session: c.session, SDP: s})
}
func (c *customer) SendCandidate(m protocol.SessionCandidate) {
	m.Session = c.session
	_ = c.client.Notify(m)
}

// signal hands session messages to the peer, or keeps them until there is one.
func (c *customer) signal(msg any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peer == nil {
		c.early = append(c.early, msg)
		return
	}
	switch m := msg.(type) {
	case protocol.SessionOffer:
		c.peer.Offer(m.SDP)
	case protocol.SessionCandidate:
		c.peer.Candidate(m)
	}
}

func newCustomer(t *testing.T, s *servertest.Server) *customer {
	c := &customer{events: newEvents(t)}
	c.client = connect(t, client.Config{URL: s.URL(), Role: "native", OnMessage: func(msg any) {
		switch m := msg.(type) {
		case protocol.SessionOffer, protocol.SessionCandidate:
			c.signal(msg)
		case protocol.SessionState:
			c.mu.Lock()
			if c.peer != nil && m.ICEServers != nil {
				c.peer.UpdateICE(m.ICEServers)
			}
			c.mu.Unlock()
			c.add(m)
		default:
			c.add(msg)
		}
	}}, func(cl *client.Client) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.session != "" {
			cl.Ask(protocol.SessionRejoin{Session: c.session}, func(reply any, err error) { c.add(reply) })
		}
	})
	c.conv = request[protocol.ConversationState](t, c.client, protocol.ConversationOpen{}).Conversation
	return c
}

// answer builds the customer's peer for an accepted session.
func (c *customer) answer(t *testing.T, st protocol.SessionState) {
	t.Helper()
	p, err := peer.New(peer.Config{
		Role: peer.Answerer, ICEServers: st.ICEServers, LoopbackOK: st.LoopbackOK, Signaler: c,
		OnState:   func(s peer.State, reason string) { c.add(s); c.add(reason) },
		OnControl: func(msg any) { c.add(msg) },
		OnDirect:  func(msg any) { c.add(msg) },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.session, c.peer = st.Session, p
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

// agent is our side: a real client, and the controller under test.
type agent struct {
	*events
	client *client.Client
	ctl    *Controller
	stop   func() // ends the controller and waits for it
}

func newAgent(t *testing.T, s *servertest.Server, conv protocol.ConversationID) *agent {
	a := &agent{events: newEvents(t)}
	var ctl *Controller
	made := make(chan struct{})
	a.client = connect(t, client.Config{URL: s.URL(), Role: "agent", Invite: s.Invite("Ana", "agent"), OnMessage: func(msg any) {
		<-made
		ctl.Deliver(msg)
	}}, func(c *client.Client) {
		select {
		case <-made:
			c.Ask(protocol.ConversationWatch{Conversation: conv, Hold: true}, func(any, error) {})
			ctl.Online()
		default:
		}
	})
	ctl = New(Config{
		Conversation: conv, Signaling: a.client,
		Files:       fstest.MapFS{"viewer.html": {Data: []byte("viewer")}},
		OnStatus:    func(s Status) { a.add(s) },
		OnDirect:    func(m protocol.DirectMessage) { a.add(m) },
		OnDirectAck: func(id protocol.RequestID) { a.add(id) },
	})
	a.ctl = ctl
	close(made)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = ctl.Run(ctx) }()
	a.stop = func() { cancel(); <-done }
	t.Cleanup(a.stop)
	request[protocol.ConversationState](t, a.client, protocol.QueueClaim{Conversation: conv, Hold: true})
	return a
}

func (a *agent) wait(what string, ok func(Status) bool) Status {
	a.t.Helper()
	return want(a.events, what, ok)
}

func state(s string) func(Status) bool { return func(st Status) bool { return st.State == s } }

// accept says the customer's yes and connects.
func (c *customer) accept(t *testing.T) {
	t.Helper()
	asked := want(c.events, "the question", func(m protocol.SessionState) bool { return m.State == "requested" })
	c.answer(t, request[protocol.SessionState](t, c.client, protocol.SessionAccept{Session: asked.Session}))
}

func TestShare(t *testing.T) {
	s := servertest.New(t)
	c := newCustomer(t, s)
	a := newAgent(t, s, c.conv)

	// Asked, answered, connected.
	asked := make(chan error, 1)
	a.ctl.Share(func(err error) { asked <- err })
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	a.wait("requested", state("requested"))
	c.accept(t)
	a.wait("connected", state("connected"))
	want(c.events, "the customer's end connected", func(s peer.State) bool { return s == peer.Connected })

	// The viewer tells what it decodes; the customer shows something.
	url, _, err := a.ctl.OpenViewer()
	if err != nil {
		t.Fatal(err)
	}
	page := openPage(t, url)
	page.send(protocol.ViewerCodecs{Decodable: []string{"vp8"}})
	if m := want[protocol.ScreenCodecs](c.events, "codecs", nil); !reflect.DeepEqual(m.Decodable, []string{"vp8"}) {
		t.Errorf("codecs: %+v", m)
	}
	_ = c.client.Notify(protocol.ConsentState{Session: c.session, Grant: "view", State: "on", Surface: "window"})
	show := func(n uint32, kind protocol.FrameKind) {
		t.Helper()
		if err := c.peer.SendFrame(protocol.Frame{Kind: kind, Frame: n, CaptureMs: 7, Data: []byte(strings.Repeat("x", 40_000))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.peer.SendControl(protocol.ScreenConfig{Codec: "vp8", Width: 64, Height: 48, Surface: "window"}); err != nil {
		t.Fatal(err)
	}
	show(1, protocol.FrameKey)
	if got := page.frame(t); got != 1 {
		t.Errorf("the page got frame %d", got)
	}
	st := a.wait("the picture", func(s Status) bool { return s.View == "on" && s.Frames })
	if st.Surface != "window" || !strings.Contains(st.Sentence(), "The customer shows a window.") {
		t.Errorf("%+v: %s", st, st.Sentence())
	}
	if f := want[protocol.ScreenFeedback](c.events, "the arrival", nil); f.Frame != 1 || f.ReceivedMs == 0 || f.DecodedMs != 0 {
		t.Errorf("feedback: %+v", f)
	}
	page.send(protocol.ViewerPainted{Frame: 1, AtMs: 12345})
	if f := want[protocol.ScreenFeedback](c.events, "the painting", nil); f.Frame != 1 || f.DecodedMs != 12345 || f.ReceivedMs == 0 {
		t.Errorf("feedback: %+v", f)
	}
	page.send(protocol.ViewerKeyframe{})
	want[protocol.ScreenKeyframe](c.events, "a key frame's request", nil)
	page.state(t, func(s protocol.ViewerState) bool {
		return s.State == "connected" && s.RTTMs > 0 && s.Path == "direct" && s.Verification == "unchecked"
	})

	// Direct messages both ways, each confirmed.
	sent := make(chan error, 1)
	a.ctl.SendDirect("d-1", "secret", func(err error) { sent <- err })
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if m := want[protocol.DirectMessage](c.events, "the direct message", nil); m.Text != "secret" {
		t.Errorf("got %+v", m)
	}
	_ = c.peer.SendDirect(protocol.DirectAck{ID: "d-1"})
	want(a.events, "the receipt", func(id protocol.RequestID) bool { return id == "d-1" })
	_ = c.peer.SendDirect(protocol.DirectMessage{ID: "d-2", Text: "hidden", At: time.Now()})
	if m := want[protocol.DirectMessage](a.events, "the customer's direct message", nil); m.Text != "hidden" {
		t.Errorf("got %+v", m)
	}
	want(c.events, "our receipt", func(m protocol.DirectAck) bool { return m.ID == "d-2" })
	if strings.Contains(s.Log.String(), "secret") || strings.Contains(s.Log.String(), "hidden") {
		t.Error("a direct message is in the server's log")
	}

	// The server restarts: the picture goes on, and both ends are bound again.
	s.Stop()
	show(2, protocol.FrameKey)
	if got := page.frame(t); got != 2 {
		t.Errorf("the page got frame %d", got)
	}
	c.forget()
	s.Start()
	want(c.events, "the agent's end is there again", func(m protocol.SessionState) bool {
		return m.Session == c.session && m.Bound && m.PeerOnline && m.State == "connected"
	})

	// The customer stops the picture; the session stays.
	_ = c.peer.SendControl(protocol.ScreenStopped{Cause: "stopped"})
	_ = c.client.Notify(protocol.ConsentState{Session: c.session, Grant: "view", State: "off", Cause: "stopped"})
	st = a.wait("no picture", func(s Status) bool { return s.View == "off" && s.Cause == "stopped" })
	if !st.Live() || st.Sentence() != "No picture. The customer stopped sharing." {
		t.Errorf("%+v: %s", st, st.Sentence())
	}
	page.state(t, func(s protocol.ViewerState) bool { return s.State == "stopped" && s.Reason == "stopped" })

	// Asked again within the session.
	a.ctl.Share(func(err error) { asked <- err })
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	want[protocol.ConsentAsk](c.events, "the question within the session", nil)
	a.wait("asked again", func(s Status) bool { return s.View == "asked" })

	// Ended from here.
	a.ctl.Stop(func(err error) { asked <- err })
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	want(c.events, "the goodbye", func(reason string) bool { return reason == "agent_ended" })
	want(c.events, "the end at the server", func(m protocol.SessionState) bool { return m.State == "ended" && m.Reason == "agent_ended" })
	a.ctl.Stop(func(err error) { asked <- err })
	if err := <-asked; err != ErrNothing {
		t.Errorf("stopping nothing: %v", err)
	}
}

func TestCustomerShares(t *testing.T) {
	s := servertest.New(t)
	c := newCustomer(t, s)
	a := newAgent(t, s, c.conv)
	st := request[protocol.SessionState](t, c.client, protocol.SessionRequest{Conversation: c.conv, Picture: true})
	ready := want(c.events, "the program's own yes", func(m protocol.SessionState) bool { return m.Session == st.Session && m.State == "connecting" })
	c.answer(t, ready)
	got := a.wait("connected", state("connected"))
	if !got.Picture || got.By != "customer" {
		t.Errorf("%+v", got)
	}
	// The customer leaves: a sentence, and a new session can begin.
	c.peer.Close("left")
	got = a.wait("the end", state("ended"))
	if got.Reason != "left" || got.Sentence() != "The session has ended. The customer closed or reloaded the page." {
		t.Errorf("%+v: %s", got, got.Sentence())
	}
}

func TestDeclined(t *testing.T) {
	s := servertest.New(t)
	c := newCustomer(t, s)
	a := newAgent(t, s, c.conv)
	asked := make(chan error, 2)
	a.ctl.Connect(func(err error) { asked <- err })
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	a.ctl.Share(func(err error) { asked <- err })
	if err := <-asked; err != ErrBusy {
		t.Errorf("a second question: %v", err)
	}
	q := want(c.events, "the question", func(m protocol.SessionState) bool { return m.State == "requested" && !m.Picture })
	request[protocol.Ack](t, c.client, protocol.SessionDecline{Session: q.Session})
	if st := a.wait("the no", state("ended")); st.Reason != "declined" {
		t.Errorf("%+v", st)
	}
	a.ctl.SendDirect("x", "text", func(err error) { asked <- err })
	if err := <-asked; err != ErrNoPeer {
		t.Errorf("direct without a peer: %v", err)
	}
}

func TestProgramEndsPolitely(t *testing.T) {
	s := servertest.New(t)
	c := newCustomer(t, s)
	a := newAgent(t, s, c.conv)
	asked := make(chan error, 1)
	a.ctl.Connect(func(err error) { asked <- err })
	<-asked
	c.accept(t)
	want(c.events, "connected", func(s peer.State) bool { return s == peer.Connected })
	a.stop()
	want(c.events, "the goodbye", func(reason string) bool { return reason == "agent_ended" })
	if _, _, err := a.ctl.OpenViewer(); err == nil {
		t.Error("a viewer opened after the end")
	}
}

// viewerPage is one open viewer page.
type viewerPage struct {
	ws *websocket.Conn
	*events
}

func openPage(t *testing.T, url string) *viewerPage {
	t.Helper()
	origin, code, _ := strings.Cut(url, "/#code=")
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(origin, "http")+"/ws", map[string][]string{"Origin": {origin}})
	if err != nil {
		t.Fatal(err)
	}
	p := &viewerPage{ws, newEvents(t)}
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
				if err == nil && len(data) == protocol.FrameHeaderBytes+40_000 {
					p.add(head)
				}
			} else if msg, err := protocol.Decode(data, protocol.ViewerHost); err == nil {
				p.add(msg)
			}
		}
	}()
	t.Cleanup(func() { ws.Close(); <-done })
	p.send(protocol.ViewerHello{Code: code})
	return p
}

func (p *viewerPage) send(msg any) {
	_ = p.ws.WriteMessage(websocket.TextMessage, protocol.Encode(msg))
}

func (p *viewerPage) frame(t *testing.T) uint32 {
	t.Helper()
	return want[protocol.Chunk](p.events, "a frame", nil).Frame
}

func (p *viewerPage) state(t *testing.T, ok func(protocol.ViewerState) bool) {
	t.Helper()
	want(p.events, "a viewer state", ok)
}

func TestSentences(t *testing.T) {
	for _, reason := range protocol.EndReasons {
		if s := (Status{State: "ended", Reason: reason}).Sentence(); strings.Contains(s, "Reason:") {
			t.Errorf("no words for %s: %s", reason, s)
		}
	}
	for _, cause := range []string{"stopped", "declined", "dismissed", "timeout", "source_closed", "refused", "not_possible", "failed", "ended"} {
		if s := (Status{State: "connected", View: "off", Cause: cause}).Sentence(); strings.Contains(s, "Reason:") {
			t.Errorf("no words for %s: %s", cause, s)
		}
	}
	for _, c := range []struct {
		status Status
		want   string
	}{
		{Status{}, "waiting"}, {Status{State: "requested"}, "asked"}, {Status{State: "connecting"}, "connecting"},
		{Status{State: "connecting", View: "picking"}, "picking"}, {Status{State: "connected", View: "on"}, "connected"},
		{Status{State: "reconnecting", View: "on"}, "reconnecting"}, {Status{State: "connected", View: "off", Cause: "stopped"}, "stopped"},
		{Status{State: "connected", View: "off"}, "waiting"}, {Status{State: "ended", Reason: "lost"}, "ended"},
	} {
		if got, _ := viewerState(c.status); got != c.want {
			t.Errorf("%+v: %s, want %s", c.status, got, c.want)
		}
	}
}
