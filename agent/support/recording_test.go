package support

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/lookalong/lookalong/agent/support/supporttest"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// tape keeps the numbers of the frames that a recording got.
type tape struct {
	mu      sync.Mutex
	frames  []uint32
	stops   int
	moment  *uint32 // of the first stop
	changed chan struct{}
}

func newTape() *tape { return &tape{changed: make(chan struct{}, 100)} }

func (p *tape) Frame(f *protocol.Frame, config protocol.ScreenConfig) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if config.Codec == "vp8" {
		p.frames = append(p.frames, f.Frame)
	}
	p.changed <- struct{}{}
}

func (p *tape) Stop(captured *uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stops++; p.stops == 1 {
		p.moment = captured
	}
}

func (p *tape) got() ([]uint32, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.frames), p.stops
}

// recordable is a session whose customer shows something.
func recordable(t *testing.T) (*supporttest.Customer, *agent) {
	t.Helper()
	s := servertest.New(t)
	c := supporttest.NewCustomer(t, s.URL())
	a := newAgent(t, s, c.Conv)
	a.ctl.Share(func(error) {})
	c.Accept(t)
	a.wait(t, "connected", state("connected"))
	supporttest.Want(c.Events, "the customer's end connected", func(s peer.State) bool { return s == peer.Connected })
	_ = c.Client.Notify(protocol.ConsentState{Session: c.Session, Grant: "view", State: "on", Surface: "window"})
	control(t, c, protocol.ScreenConfig{Codec: "vp8", Width: 64, Height: 48, Surface: "window"})
	a.wait(t, "the picture", func(s Status) bool { return s.View == "on" })
	return c, a
}

func control(t *testing.T, c *supporttest.Customer, msg any) {
	t.Helper()
	if err := c.Peer.SendControl(msg); err != nil {
		t.Fatal(err)
	}
}

// frame sends one, and waits for its acknowledgement: it has passed the recording then.
func frame(t *testing.T, c *supporttest.Customer, n uint32) {
	t.Helper()
	if err := c.Peer.SendFrame(protocol.Frame{Kind: protocol.FrameKey, Frame: n, CaptureMs: n, Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	supporttest.Want(c.Events, "the arrival", func(m protocol.ScreenFeedback) bool { return m.Frame == n })
}

func asks(t *testing.T, c *supporttest.Customer, a *agent, to Recorder) chan error {
	t.Helper()
	answer := make(chan error, 1)
	a.ctl.Record(to, func(err error) { answer <- err })
	if m := supporttest.Want[protocol.ConsentAsk](c.Events, "the question", nil); m.Grant != "record" {
		t.Fatalf("asked for %+v", m)
	}
	return answer
}

// TestRecordNeedsTheCustomersOwnYes: what the server says grants nothing, what the customer's end says does, and from
// its no on nothing is recorded.
func TestRecordNeedsTheCustomersOwnYes(t *testing.T) {
	c, a := recordable(t)
	p := newTape()
	answer := asks(t, c, a, p)
	_ = c.Client.Notify(protocol.ConsentState{Session: c.Session, Grant: "record", State: "on", Cause: "allowed"}) // as a server could
	supporttest.Want(a.Events, "the question's state", func(s Status) bool { return s.Record == "asked" })
	frame(t, c, 1)
	if got, _ := p.got(); len(got) > 0 || len(answer) > 0 {
		t.Fatalf("recorded %v on the server's word", got)
	}
	control(t, c, protocol.RecordState{On: true, AtMs: 1})
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
	supporttest.Want[protocol.ScreenKeyframe](c.Events, "a key frame to begin with", nil)
	if m := supporttest.Want[protocol.ScreenCodecs](c.Events, "codecs without a viewer", nil); len(m.Decodable) != 5 {
		t.Errorf("codecs %v", m.Decodable)
	}
	frame(t, c, 2)
	frame(t, c, 3)
	again := make(chan error, 1)
	a.ctl.Record(newTape(), func(err error) { again <- err })
	if err := <-again; !errors.Is(err, ErrRecording) {
		t.Errorf("a second recording: %v", err)
	}
	control(t, c, protocol.RecordState{AtMs: 1<<32 + 7})
	st := a.wait(t, "the end of the recording", func(s Status) bool { return s.RecordCause == "stopped" })
	frame(t, c, 4)
	got, stops := p.got()
	if !slices.Equal(got, []uint32{2, 3}) || stops == 0 || p.moment == nil || *p.moment != 7 {
		t.Errorf("recorded %v, stopped %d times at %v", got, stops, p.moment)
	}
	if st.View != "on" || st.Record != "" || st.RecordSentence() != "The customer stopped the recording." {
		t.Errorf("%+v: %s", st, st.RecordSentence())
	}

	// A yes that nobody waits for is answered: the customer's mark must not stay.
	control(t, c, protocol.RecordState{On: true, AtMs: 9})
	if m := supporttest.Want[protocol.RecordState](c.Events, "our no", nil); m.On {
		t.Errorf("got %+v", m)
	}
	frame(t, c, 5)
	if got, _ := p.got(); len(got) != 2 {
		t.Errorf("recorded %v", got)
	}
}

func TestRecordRefused(t *testing.T) {
	c, a := recordable(t)
	for _, cause := range []string{"declined", "timeout", "dismissed", "ended"} {
		p := newTape()
		answer := asks(t, c, a, p)
		_ = c.Client.Notify(protocol.ConsentState{Session: c.Session, Grant: "record", State: "off", Cause: cause})
		if err := <-answer; !errors.Is(err, RecordRefused(cause)) {
			t.Errorf("%s: %v", cause, err)
		}
		frame(t, c, 10)
		if got, stops := p.got(); len(got) > 0 || stops == 0 {
			t.Errorf("%s: recorded %v, stopped %d times", cause, got, stops)
		}
	}
}

// TestRecordEnds: with the picture, with the session, from here, by the server's word, and with this program.
func TestRecordEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(t *testing.T, c *supporttest.Customer, a *agent)
		cause string
	}{
		"the picture stops": {func(t *testing.T, c *supporttest.Customer, a *agent) {
			control(t, c, protocol.ScreenStopped{Cause: "stopped"})
		}, "ended"},
		"the server says so": {func(t *testing.T, c *supporttest.Customer, a *agent) {
			_ = c.Client.Notify(protocol.ConsentState{Session: c.Session, Grant: "record", State: "off", Cause: "stopped"})
		}, "stopped"},
		"the server says that nothing is shown": {func(t *testing.T, c *supporttest.Customer, a *agent) {
			_ = c.Client.Notify(protocol.ConsentState{Session: c.Session, Grant: "view", State: "off", Cause: "stopped"})
		}, "ended"},
		"the session ends": {func(t *testing.T, c *supporttest.Customer, a *agent) { c.Peer.Close("left") }, "lost"},
		"from here": {func(t *testing.T, c *supporttest.Customer, a *agent) {
			a.ctl.StopRecord()
			if m := supporttest.Want[protocol.RecordState](c.Events, "our word", nil); m.On {
				t.Errorf("got %+v", m)
			}
		}, "agent"},
		"this program ends": {func(t *testing.T, c *supporttest.Customer, a *agent) { a.stop() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			customer, a := recordable(t)
			p := newTape()
			answer := asks(t, customer, a, p)
			control(t, customer, protocol.RecordState{On: true, AtMs: 1})
			if err := <-answer; err != nil {
				t.Fatal(err)
			}
			frame(t, customer, 1)
			c.end(t, customer, a)
			if c.cause != "" {
				if st := a.wait(t, "the end", func(s Status) bool { return s.RecordCause != "" }); st.RecordCause != c.cause || st.RecordSentence() == "" {
					t.Errorf("%+v", st)
				}
			}
			if got, stops := p.got(); len(got) != 1 || stops == 0 {
				t.Errorf("recorded %v, stopped %d times", got, stops)
			}
		})
	}
}

// TestRecordOfNothing: without a picture nobody is asked.
func TestRecordOfNothing(t *testing.T) {
	s := servertest.New(t)
	c := supporttest.NewCustomer(t, s.URL())
	a := newAgent(t, s, c.Conv)
	answer := make(chan error, 1)
	a.ctl.Record(newTape(), func(err error) { answer <- err })
	if err := <-answer; !errors.Is(err, ErrNoPicture) {
		t.Errorf("got %v", err)
	}
}

// TestStillBeforeThereIsAPicture: with nobody to see it nothing is encoded; who wants a still makes the customer's end begin.
func TestStillBeforeThereIsAPicture(t *testing.T) {
	s := servertest.New(t)
	c := supporttest.NewCustomer(t, s.URL())
	a := newAgent(t, s, c.Conv)
	a.ctl.Share(func(error) {})
	c.Accept(t)
	_ = c.Client.Notify(protocol.ConsentState{Session: c.Session, Grant: "view", State: "on", Surface: "window"})
	a.wait(t, "the picture's yes", func(s Status) bool { return s.State == "connected" && s.View == "on" })
	got := make(chan error, 1)
	a.ctl.AskStill(0, false, func(_ *protocol.Frame, err error) { got <- err })
	supporttest.Want[protocol.ScreenCodecs](c.Events, "codecs", nil)
	control(t, c, protocol.ScreenConfig{Codec: "vp8", Width: 64, Height: 48, Surface: "window"})
	frame(t, c, 1)
	asked := supporttest.Want[protocol.ScreenStill](c.Events, "the wish", nil)
	control(t, c, protocol.ScreenRefused{ID: asked.ID, Why: "large"})
	if err := <-got; !errors.Is(err, StillRefused("large")) {
		t.Errorf("got %v", err)
	}
}
