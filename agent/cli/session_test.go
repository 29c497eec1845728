package cli

import (
	"context"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lookalong/lookalong/agent/support"
	"github.com/lookalong/lookalong/agent/support/supporttest"
	"github.com/lookalong/lookalong/internal/follow"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// output collects what a command writes, and waits for it.
type output struct {
	mu   sync.Mutex
	text strings.Builder
	wake chan struct{}
}

func newOutput() *output { return &output{wake: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.wake)
	o.wake = make(chan struct{})
	return o.text.Write(b)
}

// want waits for a match and returns its first group.
func (o *output) want(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	late := time.After(supporttest.Patience)
	for {
		o.mu.Lock()
		all, wake := o.text.String(), o.wake
		o.mu.Unlock()
		if m := re.FindStringSubmatch(all); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-wake:
		case <-late:
			t.Fatalf("waiting for %s; there was:\n%s", pattern, all)
		}
	}
}

// command is a running command line with a pipe for its input.
type command struct {
	in        *io.PipeWriter
	out, errs *output
	code      chan int
}

func startCommand(t *testing.T, args ...string) *command {
	t.Helper()
	r, w := io.Pipe()
	c := &command{in: w, out: newOutput(), errs: newOutput(), code: make(chan int, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.code <- Main(ctx, args, term.Streams{In: r, Out: c.out, Err: c.errs, Width: 80})
	}()
	t.Cleanup(func() { cancel(); w.Close(); <-done })
	return c
}

func (c *command) line(t *testing.T, s string) {
	t.Helper()
	if _, err := io.WriteString(c.in, s+"\n"); err != nil {
		t.Fatal(err)
	}
}

func (c *command) end(t *testing.T) int {
	t.Helper()
	select {
	case code := <-c.code:
		return code
	case <-time.After(supporttest.Patience):
		t.Fatal("the command did not end")
		return -1
	}
}

// TestViewerAddressLapsesOnce: an address that nobody used is mentioned once, and no other is printed unasked.
func TestViewerAddressLapsesOnce(t *testing.T) {
	streams, out, errs := term.Test("")
	a := &app{io: streams}
	shown := time.Now()
	start := func() *chat {
		r := &room{app: a, ctl: support.New(support.Config{}), status: support.Status{State: "connected"}, follow: follow.New(0, nil, nil)}
		return &chat{room: r, ui: &plainUI{app: a}, view: &viewing{room: r, noOpen: true, shownAt: shown}}
	}
	c := start()
	c.tick(shown.Add(codeLife - time.Millisecond))
	if errs.Len() > 0 {
		t.Errorf("while the address is good: %s", errs)
	}
	for minute := range 10 {
		c.tick(shown.Add(codeLife + time.Duration(minute)*time.Minute))
	}
	if got := errs.String(); out.Len() > 0 || strings.Count(got, "\n") != 1 || !strings.Contains(got, "/share gives another") {
		t.Errorf("in ten minutes: %s%s", got, out)
	}
	errs.Reset()
	c = start()
	c.status = support.Status{State: "ended"}
	c.tick(shown.Add(codeLife))
	if errs.Len() > 0 {
		t.Errorf("when there is nothing to see: %s", errs)
	}
}

func TestChatDirectAndShare(t *testing.T) {
	s := servertest.New(t)
	signedIn(t, s, "Ana")
	eve := supporttest.NewCustomer(t, s.URL())
	id := string(eve.Conv)
	chat := startCommand(t, "chat", id[:6], "--no-open")
	chat.errs.want(t, "^— "+id[:6]+`\. A line is a message`)

	// Direct: the customer is asked, the text goes past the server, marked on this side.
	chat.line(t, "/direct the code is 4711")
	eve.Accept(t)
	m := supporttest.Want[protocol.DirectMessage](eve.Events, "the direct message", nil)
	if m.Text != "the code is 4711" {
		t.Errorf("got %+v", m)
	}
	chat.out.want(t, `⇄ Ana \(direct\): the code is 4711$`)
	_ = eve.Peer.SendDirect(protocol.DirectAck{ID: m.ID})
	_ = eve.Peer.SendDirect(protocol.DirectMessage{ID: "1", Text: "got \x1b]0;it\x07", At: time.Now()})
	chat.out.want(t, `⇄ Customer \(direct\): got �\]0;it�$`)
	if strings.Contains(s.Log.String(), "4711") {
		t.Error("the direct message is in the server's log")
	}

	// Share within that session; the viewer's address is printed.
	chat.line(t, "/share")
	supporttest.Want[protocol.ConsentAsk](eve.Events, "the question", nil)
	page := supporttest.OpenPage(t, chat.errs.want(t, `good once and for a minute: (http://127\.0\.0\.1:\S+)$`))
	page.Send(protocol.ViewerCodecs{Decodable: []string{"vp8"}})
	supporttest.Want[protocol.ScreenCodecs](eve.Events, "the codecs", nil)
	_ = eve.Client.Notify(protocol.ConsentState{Session: eve.Session, Grant: "view", State: "on", Surface: "monitor"})
	chat.errs.want(t, `^— The customer shows their whole screen\.`)
	chat.line(t, "/status")
	chat.errs.want(t, `^— (Path direct, round trip [0-9.]+ ms, verification: not checked, viewer pages open: 1|The path is not measured yet\. Verification: not checked)\.$`)

	// Stop ends it for the customer too.
	chat.line(t, "/stop")
	supporttest.Want(eve.Events, "the goodbye", func(reason string) bool { return reason == "agent_ended" })
	chat.errs.want(t, `^— The session has ended\. It was ended on this side\.$`)
	chat.line(t, "/quit")
	if code := chat.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestChatAcceptsTheCustomersShare(t *testing.T) {
	s := servertest.New(t)
	signedIn(t, s, "Ana")
	eve := supporttest.NewCustomer(t, s.URL())
	chat := startCommand(t, "chat", "--next", "--no-open")
	chat.errs.want(t, `A line is a message`)
	st := supporttest.Request[protocol.SessionState](t, eve.Client, protocol.SessionRequest{Conversation: eve.Conv, Picture: true})
	ready := supporttest.Want(eve.Events, "the yes", func(m protocol.SessionState) bool { return m.Session == st.Session && m.State == "connecting" })
	chat.errs.want(t, `The viewer, good once and for a minute: http://127`)
	eve.Answer(t, ready)
	supporttest.Want(eve.Events, "connected", func(s peer.State) bool { return s == peer.Connected })
	eve.Peer.Close("left")
	chat.errs.want(t, `The customer closed or reloaded the page`)
	chat.in.Close()
	if code := chat.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}

	// Asked while no program was open: the next one says yes.
	supporttest.Want(eve.Events, "the end at the server", func(m protocol.SessionState) bool { return m.State == "ended" })
	eve.Forget()
	st = supporttest.Request[protocol.SessionState](t, eve.Client, protocol.SessionRequest{Conversation: eve.Conv, Picture: true})
	chat = startCommand(t, "chat", string(eve.Conv), "--no-open")
	supporttest.Want(eve.Events, "the late yes", func(m protocol.SessionState) bool { return m.Session == st.Session && m.State == "connecting" })
	chat.line(t, "/close")
	if code := chat.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSendDirectAndShareCommands(t *testing.T) {
	s := servertest.New(t)
	signedIn(t, s, "Ana")
	eve := supporttest.NewCustomer(t, s.URL())
	id := string(eve.Conv)
	send := startCommand(t, "send", id[:6], "--direct", "--json", "just", "us")
	eve.Accept(t)
	m := supporttest.Want[protocol.DirectMessage](eve.Events, "the direct message", nil)
	if m.Text != "just us" {
		t.Errorf("got %+v", m)
	}
	_ = eve.Peer.SendDirect(protocol.DirectAck{ID: m.ID})
	if code := send.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	send.out.want(t, `^\{"version":1,"conversation":"`+id+`","direct":true\}$`)
	supporttest.Want(eve.Events, "the goodbye", func(reason string) bool { return reason == "agent_ended" })

	// share ends with the picture, without an error once there was one.
	eve2 := supporttest.NewCustomer(t, s.URL())
	share := startCommand(t, "share", string(eve2.Conv), "--no-open")
	eve2.Accept(t)
	supporttest.OpenPage(t, share.out.want(t, `^(http://127\.0\.0\.1:\S+)$`))
	_ = eve2.Client.Notify(protocol.ConsentState{Session: eve2.Session, Grant: "view", State: "on", Surface: "window"})
	share.errs.want(t, `The customer shows a window`)
	_ = eve2.Client.Notify(protocol.ConsentState{Session: eve2.Session, Grant: "view", State: "off", Cause: "stopped"})
	if code := share.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	share.errs.want(t, `^No picture\. The customer stopped sharing\.$`)
}
