package support

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/lookalong/lookalong/agent/support/supporttest"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
	"github.com/lookalong/lookalong/signaling/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// agent is our side: a real client, and the controller under test.
type agent struct {
	*supporttest.Events
	client *client.Client
	ctl    *Controller
	stop   func() // ends the controller and waits for it
}

func newAgent(t *testing.T, s *servertest.Server, conv protocol.ConversationID) *agent {
	a := &agent{Events: supporttest.NewEvents(t)}
	var ctl *Controller
	made := make(chan struct{})
	a.client = supporttest.Connect(t, client.Config{URL: s.URL(), Role: "agent", Invite: s.Invite("Ana", "agent"), OnMessage: func(msg any) {
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
		OnStatus:    func(s Status) { a.Add(s) },
		OnDirect:    func(m protocol.DirectMessage) { a.Add(m) },
		OnDirectAck: func(id protocol.RequestID) { a.Add(id) },
	})
	a.ctl = ctl
	close(made)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = ctl.Run(ctx) }()
	a.stop = func() { cancel(); <-done }
	t.Cleanup(a.stop)
	supporttest.Request[protocol.ConversationState](t, a.client, protocol.QueueClaim{Conversation: conv, Hold: true})
	return a
}

func (a *agent) wait(t *testing.T, what string, ok func(Status) bool) Status {
	t.Helper()
	return supporttest.Want(a.Events, what, ok)
}

func state(s string) func(Status) bool { return func(st Status) bool { return st.State == s } }

// connected is a session that the agent asked for, and its viewer's page, which decodes VP8.
func connected(t *testing.T, s *servertest.Server) (*supporttest.Customer, *agent, *supporttest.Page) {
	t.Helper()
	c := supporttest.NewCustomer(t, s.URL())
	a := newAgent(t, s, c.Conv)
	asked := make(chan error, 1)
	a.ctl.Share(func(err error) { asked <- err })
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	a.wait(t, "requested", state("requested"))
	c.Accept(t)
	a.wait(t, "connected", state("connected"))
	supporttest.Want(c.Events, "the customer's end connected", func(s peer.State) bool { return s == peer.Connected })

	url, _, err := a.ctl.OpenViewer()
	if err != nil {
		t.Fatal(err)
	}
	page := supporttest.OpenPage(t, url)
	page.Send(protocol.ViewerCodecs{Decodable: []string{"vp8"}})
	if m := supporttest.Want[protocol.ScreenCodecs](c.Events, "codecs", nil); !reflect.DeepEqual(m.Decodable, []string{"vp8"}) {
		t.Errorf("codecs: %+v", m)
	}
	return c, a, page
}

func TestShare(t *testing.T) {
	s := servertest.New(t)
	c, a, page := connected(t, s)
	asked := make(chan error, 1)
	_ = c.Client.Notify(protocol.ConsentState{Session: c.Session, Grant: "view", State: "on", Surface: "window"})
	show := func(n uint32, kind protocol.FrameKind) {
		t.Helper()
		if err := c.Peer.SendFrame(protocol.Frame{Kind: kind, Frame: n, CaptureMs: 7, Data: []byte(strings.Repeat("x", 40_000))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Peer.SendControl(protocol.ScreenConfig{Codec: "vp8", Width: 64, Height: 48, Surface: "window"}); err != nil {
		t.Fatal(err)
	}
	show(1, protocol.FrameKey)
	if got := page.Frame(t); got != 1 {
		t.Errorf("the page got frame %d", got)
	}
	st := a.wait(t, "the picture", func(s Status) bool { return s.View == "on" && s.Frames })
	if st.Surface != "window" || !strings.Contains(st.Sentence(), "The customer shows a window.") {
		t.Errorf("%+v: %s", st, st.Sentence())
	}
	if f := supporttest.Want[protocol.ScreenFeedback](c.Events, "the arrival", nil); f.Frame != 1 || f.ReceivedMs == 0 || f.DecodedMs != 0 {
		t.Errorf("feedback: %+v", f)
	}
	page.Send(protocol.ViewerPainted{Frame: 1, AtMs: 12345})
	if f := supporttest.Want[protocol.ScreenFeedback](c.Events, "the painting", nil); f.Frame != 1 || f.DecodedMs != 12345 || f.ReceivedMs == 0 {
		t.Errorf("feedback: %+v", f)
	}
	page.Send(protocol.ViewerKeyframe{})
	supporttest.Want[protocol.ScreenKeyframe](c.Events, "a key frame's request", nil)
	page.State(t, func(s protocol.ViewerState) bool {
		return s.State == "connected" && s.RTTMs > 0 && s.Path == "direct" && s.Verification == "unchecked"
	})

	// Direct messages both ways, each confirmed.
	sent := make(chan error, 1)
	a.ctl.SendDirect("d-1", "secret", func(err error) { sent <- err })
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if m := supporttest.Want[protocol.DirectMessage](c.Events, "the direct message", nil); m.Text != "secret" {
		t.Errorf("got %+v", m)
	}
	_ = c.Peer.SendDirect(protocol.DirectAck{ID: "d-1"})
	supporttest.Want(a.Events, "the receipt", func(id protocol.RequestID) bool { return id == "d-1" })
	_ = c.Peer.SendDirect(protocol.DirectMessage{ID: "d-2", Text: "hidden", At: time.Now()})
	if m := supporttest.Want[protocol.DirectMessage](a.Events, "the customer's direct message", nil); m.Text != "hidden" {
		t.Errorf("got %+v", m)
	}
	supporttest.Want(c.Events, "our receipt", func(m protocol.DirectAck) bool { return m.ID == "d-2" })
	if strings.Contains(s.Log.String(), "secret") || strings.Contains(s.Log.String(), "hidden") {
		t.Error("a direct message is in the server's log")
	}

	// The server restarts: the picture goes on, and both ends are bound again.
	s.Stop()
	show(2, protocol.FrameKey)
	if got := page.Frame(t); got != 2 {
		t.Errorf("the page got frame %d", got)
	}
	c.Forget()
	s.Start()
	supporttest.Want(c.Events, "the agent's end is there again", func(m protocol.SessionState) bool {
		return m.Session == c.Session && m.Bound && m.PeerOnline && m.State == "connected"
	})

	// The customer stops the picture; the session stays.
	_ = c.Peer.SendControl(protocol.ScreenStopped{Cause: "stopped"})
	_ = c.Client.Notify(protocol.ConsentState{Session: c.Session, Grant: "view", State: "off", Cause: "stopped"})
	st = a.wait(t, "no picture", func(s Status) bool { return s.View == "off" && s.Cause == "stopped" })
	if !st.Live() || st.Sentence() != "No picture. The customer stopped sharing." {
		t.Errorf("%+v: %s", st, st.Sentence())
	}
	page.State(t, func(s protocol.ViewerState) bool { return s.State == "stopped" && s.Reason == "stopped" })

	// Asked again within the session.
	a.ctl.Share(func(err error) { asked <- err })
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	supporttest.Want[protocol.ConsentAsk](c.Events, "the question within the session", nil)
	a.wait(t, "asked again", func(s Status) bool { return s.View == "asked" })

	// The socket comes back: the answer may be lost, so asking again must ask.
	a.ctl.Online()
	a.wait(t, "no question any more", func(s Status) bool { return s.Live() && s.View == "off" })
	a.ctl.Share(func(err error) { asked <- err })
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	supporttest.Want[protocol.ConsentAsk](c.Events, "the question once more", nil)

	// Ended from here.
	a.ctl.Stop(func(err error) { asked <- err })
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	supporttest.Want(c.Events, "the goodbye", func(reason string) bool { return reason == "agent_ended" })
	supporttest.Want(c.Events, "the end at the server", func(m protocol.SessionState) bool { return m.State == "ended" && m.Reason == "agent_ended" })
	a.ctl.Stop(func(err error) { asked <- err })
	if err := <-asked; err != ErrNothing {
		t.Errorf("stopping nothing: %v", err)
	}
}

func TestCustomerShares(t *testing.T) {
	s := servertest.New(t)
	c := supporttest.NewCustomer(t, s.URL())
	a := newAgent(t, s, c.Conv)
	st := supporttest.Request[protocol.SessionState](t, c.Client, protocol.SessionRequest{Conversation: c.Conv, Picture: true})
	ready := supporttest.Want(c.Events, "the program's own yes", func(m protocol.SessionState) bool { return m.Session == st.Session && m.State == "connecting" })
	c.Answer(t, ready)
	got := a.wait(t, "connected", state("connected"))
	if !got.Picture || got.By != "customer" {
		t.Errorf("%+v", got)
	}
	// The customer leaves: a sentence, and a new session can begin.
	c.Peer.Close("left")
	got = a.wait(t, "the end", state("ended"))
	if got.Reason != "left" || got.Sentence() != "The session has ended. The customer closed or reloaded the page." {
		t.Errorf("%+v: %s", got, got.Sentence())
	}
}

func TestDeclined(t *testing.T) {
	s := servertest.New(t)
	c := supporttest.NewCustomer(t, s.URL())
	a := newAgent(t, s, c.Conv)
	asked := make(chan error, 2)
	a.ctl.Connect(func(err error) { asked <- err })
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	a.ctl.Share(func(err error) { asked <- err })
	if err := <-asked; err != ErrBusy {
		t.Errorf("a second question: %v", err)
	}
	q := supporttest.Want(c.Events, "the question", func(m protocol.SessionState) bool { return m.State == "requested" && !m.Picture })
	supporttest.Request[protocol.Ack](t, c.Client, protocol.SessionDecline{Session: q.Session})
	if st := a.wait(t, "the no", state("ended")); st.Reason != "declined" {
		t.Errorf("%+v", st)
	}
	a.ctl.SendDirect("x", "text", func(err error) { asked <- err })
	if err := <-asked; err != ErrNoPeer {
		t.Errorf("direct without a peer: %v", err)
	}
}

func TestProgramEndsPolitely(t *testing.T) {
	s := servertest.New(t)
	c := supporttest.NewCustomer(t, s.URL())
	a := newAgent(t, s, c.Conv)
	asked := make(chan error, 1)
	a.ctl.Connect(func(err error) { asked <- err })
	<-asked
	c.Accept(t)
	supporttest.Want(c.Events, "connected", func(s peer.State) bool { return s == peer.Connected })
	a.stop()
	supporttest.Want(c.Events, "the goodbye", func(reason string) bool { return reason == "agent_ended" })
	if _, _, err := a.ctl.OpenViewer(); err == nil {
		t.Error("a viewer opened after the end")
	}
}

// The end of a picture is told twice, by the peer and by the server; a question asked between the two stays asked.
func TestAskedBetweenTheTwoEnds(t *testing.T) {
	s := servertest.New(t)
	c, a, _ := connected(t, s)
	picture := func(state, cause string) {
		t.Helper()
		m := protocol.ConsentState{Session: c.Session, Grant: "view", State: state, Cause: cause}
		if state == "on" {
			m.Surface = "window"
		}
		if err := c.Client.Notify(m); err != nil {
			t.Fatal(err)
		}
	}
	picture("on", "")
	a.wait(t, "the picture", func(s Status) bool { return s.View == "on" })
	_ = c.Peer.SendControl(protocol.ScreenStopped{Cause: "stopped"})
	a.wait(t, "no picture", func(s Status) bool { return s.View == "off" && s.Cause == "stopped" })
	asked := make(chan error, 1)
	a.ctl.Share(func(err error) { asked <- err })
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	a.wait(t, "asked", func(s Status) bool { return s.View == "asked" })
	a.Forget()
	picture("off", "stopped")
	supporttest.Request[protocol.ConversationState](t, c.Client, protocol.ConversationOpen{}) // it is at the server,
	supporttest.Request[protocol.ConversationState](t, a.client, protocol.QueueClaim{Conversation: c.Conv, Hold: true})
	a.ctl.Connect(func(err error) { asked <- err }) // and went through the controller
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	picture("off", "declined")
	lost := false
	a.wait(t, "the customer's no", func(s Status) bool {
		lost = lost || s.Cause == "stopped"
		return s.Cause == "declined"
	})
	if lost {
		t.Error("the end of the picture before was taken for the answer")
	}
}

// The server has another live session than we do: ours was lost while the socket was away.
func TestAnotherSessionReplacesALostOne(t *testing.T) {
	s := servertest.New(t)
	c := supporttest.NewCustomer(t, s.URL())
	a := newAgent(t, s, c.Conv)
	asked := make(chan error, 1)
	a.ctl.Connect(func(err error) { asked <- err })
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	st := a.wait(t, "requested", state("requested"))
	a.ctl.Adopt(st.Session)
	a.ctl.Adopt("another")
	if st := a.wait(t, "the end", state("ended")); st.Reason != "lost" {
		t.Errorf("%+v", st)
	}
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
