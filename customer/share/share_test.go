// The program as it is run, against a real server, with a real peer as the agent's end.

package share

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lookalong/lookalong/customer/capture"
	"github.com/lookalong/lookalong/internal/pattern"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/peer/peertest"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// program is a running lookalong-customer with --json.
type program struct {
	t    testing.TB
	in   *io.PipeWriter
	stop context.CancelFunc
	code chan int
	errs bytes.Buffer // read after the end alone

	mu      sync.Mutex
	events  []Output
	changed chan struct{}
}

func start(t *testing.T, srv *servertest.Server, home string, flags ...string) *program {
	t.Helper()
	return launch(t, func(ctx context.Context, s term.Streams) int {
		return Main(ctx, append([]string{"chat", "--server", srv.URL(), "--home", home, "--json", "--size", "320x180"}, flags...), s)
	})
}

func launch(t testing.TB, main func(context.Context, term.Streams) int) *program {
	t.Helper()
	p := &program{t: t, code: make(chan int, 1), changed: make(chan struct{})}
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	p.in = inW
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	var wg sync.WaitGroup
	wg.Go(func() {
		p.code <- main(ctx, term.Streams{In: inR, Out: outW, Err: &p.errs, Width: 80})
		outW.Close()
	})
	wg.Go(func() {
		lines := bufio.NewScanner(outR)
		for lines.Scan() {
			var o Output
			if err := json.Unmarshal(lines.Bytes(), &o); err != nil || o.Version != 1 || o.At.IsZero() {
				t.Errorf("not a line of version 1: %q", lines.Text())
				continue
			}
			p.mu.Lock()
			p.events = append(p.events, o)
			close(p.changed)
			p.changed = make(chan struct{})
			p.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		cancel()
		inW.Close()
		wg.Wait()
		if t.Failed() {
			t.Logf("events: %+v\nstderr: %s", p.events, p.errs.String())
		}
	})
	return p
}

// want waits for the nth event that ok accepts.
func (p *program) want(what string, n int, ok func(Output) bool) Output {
	p.t.Helper()
	deadline := time.After(servertest.Patience)
	for {
		p.mu.Lock()
		seen := 0
		for _, e := range p.events {
			if ok(e) {
				if seen++; seen == n {
					p.mu.Unlock()
					return e
				}
			}
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			p.t.Fatalf("the customer's program did not say: %s", what)
		}
	}
}

func (p *program) wantState(event, state string) Output {
	p.t.Helper()
	return p.want(event+" "+state, 1, func(o Output) bool { return o.Event == event && o.State == state })
}

func (p *program) wantText(event, text string) Output {
	p.t.Helper()
	return p.want(event+" "+text, 1, func(o Output) bool { return o.Event == event && o.Text == text })
}

func (p *program) count(event string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if e.Event == event {
			n++
		}
	}
	return n
}

func (p *program) typed(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) exit() int {
	p.t.Helper()
	select {
	case code := <-p.code:
		return code
	case <-time.After(servertest.Patience):
		p.t.Fatal("the customer's program does not end")
		return -1
	}
}

// agent is an agent's program in few lines: a signaling client, and a peer that answers to the server.
type agent struct {
	t    testing.TB
	c    *client.Client
	end  *peertest.End
	gone context.CancelFunc

	mu      sync.Mutex
	pushed  []any
	changed chan struct{}
	session protocol.SessionID
	running bool
	tune    func(*peer.Config)
	codecs  []string
}

func newAgent(t testing.TB, srv *servertest.Server) *agent {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, changed: make(chan struct{}), end: peertest.NewEnd("agent"), codecs: []string{"vp8", "image/jpeg", "image/png"}}
	a.c, err = client.New(client.Config{URL: srv.URL(), Role: "agent", Key: key, Invite: srv.Invite("Ana", "agent"), Device: "test", OnMessage: a.push})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.gone = cancel
	done := make(chan struct{})
	go func() {
		_ = a.c.Run(ctx) // ends with the test
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	if err := a.c.WaitOnline(ctx); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *agent) push(msg any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pushed = append(a.pushed, msg)
	close(a.changed)
	a.changed = make(chan struct{})
	switch m := msg.(type) {
	case protocol.SessionState:
		a.session = m.Session
		switch {
		case m.State == "requested" && m.By == "customer":
			a.c.Ask(protocol.SessionAccept{Session: m.Session}, func(reply any, _ error) {
				if st, ok := reply.(protocol.SessionState); ok {
					a.push(st)
				}
			})
		case m.Bound && m.State == "connecting" && !a.running:
			a.running = true
			cfg := peer.Config{
				Role: peer.Offerer, ICEServers: m.ICEServers, RelayOnly: m.RelayOnly, LoopbackOK: m.LoopbackOK,
				Signaler: agentSignaler{a.c, m.Session},
			}
			a.end.Hook(&cfg)
			if a.tune != nil {
				a.tune(&cfg)
			}
			a.end.StartHooked(a.t, cfg)
		}
	case protocol.SessionAnswer:
		a.end.Answer(m.SDP)
	case protocol.SessionCandidate:
		a.end.Candidate(m)
	case protocol.SessionRestart:
		a.end.RestartRequested()
	}
}

type agentSignaler struct {
	c  *client.Client
	id protocol.SessionID
}

func (s agentSignaler) SendOffer(sdp string) {
	_ = s.c.Notify(protocol.SessionOffer{Session: s.id, SDP: sdp})
}
func (s agentSignaler) SendAnswer(string) {}
func (s agentSignaler) SendRestart()      {}
func (s agentSignaler) SendCandidate(c protocol.SessionCandidate) {
	c.Session = s.id
	_ = s.c.Notify(c)
}

func (a *agent) ask(msg any) any {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), servertest.Patience)
	defer cancel()
	for {
		reply, err := a.c.Request(ctx, msg)
		if err == nil {
			return reply
		}
		if !errors.Is(err, client.ErrOffline) {
			a.t.Fatal(err)
		}
		if err := a.c.WaitOnline(ctx); err != nil { // the server was restarted
			a.t.Fatal(err)
		}
	}
}

// wantPush waits for something that the server pushed.
func wantPush[T any](a *agent, ok func(T) bool) T {
	a.t.Helper()
	deadline := time.After(servertest.Patience)
	for {
		a.mu.Lock()
		for _, m := range a.pushed {
			if v, is := m.(T); is && ok(v) {
				a.mu.Unlock()
				return v
			}
		}
		changed := a.changed
		a.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			var zero T
			a.t.Fatalf("the server did not push %T", zero)
		}
	}
}

// claim takes the customer's conversation, once the program has opened it.
func (a *agent) claim(p *program) protocol.ConversationID {
	a.t.Helper()
	id := protocol.ConversationID(p.wantState("conversation", "waiting").Conversation)
	a.ask(protocol.QueueClaim{Conversation: id, Hold: true})
	p.wantState("conversation", "claimed")
	return id
}

// see tells the customer what can be shown, acknowledges n pictures, and checks their numbers.
func (a *agent) see(n int) {
	a.t.Helper()
	a.end.WaitState(a.t, peer.Connected)
	if err := a.end.SendControl(protocol.ScreenCodecs{Decodable: a.codecs}); err != nil {
		a.t.Fatal(err)
	}
	a.watch(n)
}

func (a *agent) watch(n int) {
	a.t.Helper()
	base := uint32(0)
	for i := 1; i <= n; i++ {
		f := a.end.WaitFrames(a.t, i)[i-1]
		if err := a.end.SendControl(protocol.ScreenFeedback{Frame: f.Frame, ReceivedMs: time.Now().UnixMilli()}); err != nil && !errors.Is(err, peer.ErrNotConnected) {
			a.t.Fatal(err)
		}
		img, _, err := image.Decode(bytes.NewReader(f.Data))
		if err != nil {
			a.t.Fatal(err)
		}
		got, err := pattern.Read(img)
		if got == 0 {
			base = f.Frame // the pattern counts anew in each share, the frames go on
		}
		if err != nil || uint32(got) != f.Frame-base {
			a.t.Errorf("picture %d carries number %d, %v", f.Frame, got, err)
		}
	}
}

func TestChatBothWays(t *testing.T) {
	srv := servertest.New(t)
	home := t.TempDir()
	p := start(t, srv, home)
	ana := newAgent(t, srv)
	conv := ana.claim(p)
	p.typed("Hello")
	p.typed("//path/to/it")
	wantPush(ana, func(m protocol.ChatMessage) bool { return m.Text == "Hello" && m.From == "customer" })
	wantPush(ana, func(m protocol.ChatMessage) bool { return m.Text == "/path/to/it" })
	p.wantText("sent", "Hello")
	ana.ask(protocol.ChatSend{Conversation: conv, Text: "How can I help?"})
	if got := p.wantText("message", "How can I help?"); got.Name != "Ana" || got.From != "agent" || got.Seq < 3 {
		t.Errorf("message is %+v", got)
	}
	wantPush(ana, func(m protocol.ChatMarks) bool { return m.Marks.CustomerRead >= 3 })
	// The server is away: what is typed meanwhile arrives later, once and in order.
	srv.Stop()
	p.want("offline", 1, func(o Output) bool { return o.Event == "offline" })
	p.typed("one")
	p.typed("two")
	srv.Start()
	p.wantText("sent", "one")
	p.wantText("sent", "two")
	p.in.Close()
	p.stop()
	if code := p.exit(); code != exitInterrupted {
		t.Errorf("exit code is %d, want %d", code, exitInterrupted)
	}
	// The same customer comes back and is not told again what was read.
	again := start(t, srv, home)
	ana.ask(protocol.ChatSend{Conversation: conv, Text: "Still there?"})
	again.wantText("message", "Still there?")
	if n := again.count("message"); n != 1 {
		t.Errorf("%d messages after coming back, want 1", n)
	}
}

func TestAgentAsksAndSeesThePicture(t *testing.T) {
	for _, format := range []string{"png", "jpeg"} {
		t.Run(format, func(t *testing.T) {
			srv := servertest.New(t)
			p := start(t, srv, t.TempDir(), "--accept", "view", "--image", format)
			ana := newAgent(t, srv)
			conv := ana.claim(p)
			ana.ask(protocol.SessionRequest{Conversation: conv, Picture: true})
			for _, state := range []string{"asked", "picking", "on"} {
				wantPush(ana, func(m protocol.ConsentState) bool { return m.State == state })
			}
			ana.see(20)
			config := ana.end.WaitControl(t, 1)[0].(protocol.ScreenConfig)
			if want := (protocol.ScreenConfig{Type: "screen.config", Codec: "image/" + format, Width: 320, Height: 180, Surface: "pattern"}); config != want {
				t.Errorf("config is %+v, want %+v", config, want)
			}
			p.typed("/stop")
			wantPush(ana, func(m protocol.ConsentState) bool { return m.State == "off" && m.Cause == "stopped" })
			if m, ok := ana.end.WaitControl(t, 2)[1].(protocol.ScreenStopped); !ok || m.Cause != "stopped" {
				t.Errorf("got %+v, want screen.stopped", m)
			}
			shown := p.wantState("picture", "stopped").Frames
			// The session goes on without a picture, and a second share needs a yes of its own.
			p.typed("/direct only you")
			d := ana.end.WaitDirect(t, 1)[0].(protocol.DirectMessage)
			if d.Text != "only you" {
				t.Errorf("direct message is %+v", d)
			}
			if got := int64(len(ana.end.WaitFrames(t, 20))); got > shown {
				t.Errorf("%d pictures arrived, %d were shown before the stop", got, shown)
			}
			p.typed("/share")
			ana.watch(int(shown) + 2)
			ana.end.Close("")
			if got := p.wantState("session", "ended"); got.Reason != "agent_ended" {
				t.Errorf("ended with %q, want agent_ended", got.Reason)
			}
		})
	}
}

func TestDirectMessagesWithoutAPicture(t *testing.T) {
	srv := servertest.New(t)
	p := start(t, srv, t.TempDir(), "--accept", "direct")
	ana := newAgent(t, srv)
	conv := ana.claim(p)
	ana.ask(protocol.SessionRequest{Conversation: conv})
	ana.end.WaitState(t, peer.Connected)
	if err := ana.end.SendDirect(protocol.DirectMessage{ID: "1", Text: "psst", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	p.wantText("direct", "psst")
	if m, ok := ana.end.WaitDirect(t, 1)[0].(protocol.DirectAck); !ok || m.ID != "1" {
		t.Errorf("got %+v, want the ack of 1", m)
	}
	// A picture is another question, and nobody is there to answer it.
	ana.ask(protocol.ConsentAsk{Session: ana.session, Grant: "view"})
	wantPush(ana, func(m protocol.ConsentState) bool { return m.State == "off" && m.Cause == "declined" })
	p.typed("/hangup")
	if reason := ana.end.WaitState(t, peer.Ended); reason != "stopped" {
		t.Errorf("ended with %q, want stopped", reason)
	}
	wantPush(ana, func(m protocol.SessionState) bool { return m.State == "ended" })
}

func TestWithoutAYesNothingHappens(t *testing.T) {
	for _, picture := range []bool{true, false} {
		t.Run(fmt.Sprintf("picture=%v", picture), func(t *testing.T) {
			srv := servertest.New(t)
			p := start(t, srv, t.TempDir())
			ana := newAgent(t, srv)
			conv := ana.claim(p)
			ana.ask(protocol.SessionRequest{Conversation: conv, Picture: picture})
			if m := wantPush(ana, func(m protocol.SessionState) bool { return m.State == "ended" }); m.Reason != "declined" {
				t.Errorf("ended with %q, want declined", m.Reason)
			}
			if p.count("picture") != 0 {
				t.Error("a picture was made")
			}
		})
	}
}

func TestOwnShareAndLostSocket(t *testing.T) {
	srv := servertest.New(t)
	p := start(t, srv, t.TempDir(), "--share")
	ana := newAgent(t, srv)
	ana.claim(p)
	ana.see(5)
	wantPush(ana, func(m protocol.ConsentState) bool { return m.State == "on" && m.Surface == "pattern" })
	// The server restarts: the picture goes on, and both ends are bound again.
	srv.Stop()
	p.want("offline", 1, func(o Output) bool { return o.Event == "offline" })
	ana.watch(15)
	srv.Start()
	p.want("online again", 2, func(o Output) bool { return o.Event == "online" })
	ana.watch(25)
	if ana.end.State() == peer.Ended {
		t.Errorf("the agent's peer saw %v", ana.end.Seen())
	}
	p.stop()
	if reason := ana.end.WaitState(t, peer.Ended); reason != "left" {
		t.Errorf("ended with %q, want left", reason)
	}
	if code := p.exit(); code != exitInterrupted {
		t.Errorf("exit code is %d, want %d", code, exitInterrupted)
	}
}

// No acknowledgement comes: pictures are skipped, not piled up.
func TestSlowViewerSkipsPictures(t *testing.T) {
	srv := servertest.New(t)
	p := start(t, srv, t.TempDir(), "--share", "--fps", "60")
	ana := newAgent(t, srv)
	ana.claim(p)
	ana.end.WaitState(t, peer.Connected)
	if err := ana.end.SendControl(protocol.ScreenCodecs{Decodable: ana.codecs}); err != nil {
		t.Fatal(err)
	}
	ana.end.WaitFrames(t, 1)
	p.typed("/direct after a while")
	ana.end.WaitDirect(t, 1)
	wait := time.NewTimer(1500 * time.Millisecond) // 90 intervals
	<-wait.C
	p.typed("/stop")
	got := p.wantState("picture", "stopped")
	if got.Frames > 30 || got.Skipped == 0 {
		t.Errorf("%d pictures sent and %d skipped without one acknowledgement", got.Frames, got.Skipped)
	}
}

// onNetwork runs the program and an agent whose peers meet on a virtual network; the server is the real one.
func onNetwork(t *testing.T, gone time.Duration) (*program, *agent, *peertest.Network) {
	t.Helper()
	srv := servertest.New(t)
	network := peertest.NewNetwork(t, 0)
	onHost := func() func(*peer.Config) {
		host := network.Host(t)
		return func(cfg *peer.Config) { cfg.Net, cfg.ICEServers, cfg.Timers = host, nil, peertest.Fast() }
	}
	mine, theirs := onHost(), onHost()
	network.Start(t)
	key, err := loadKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, func(ctx context.Context, s term.Streams) int {
		err := run(ctx, Options{
			Server: srv.URL(), Key: key, Share: true, JSON: true, FPS: 30, Image: "png", tune: mine, gone: gone,
			NewSource: func() (capture.Source, error) { return capture.NewPattern(320, 180) },
		}, s)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		return 0
	})
	ana := newAgent(t, srv)
	ana.tune = theirs
	ana.claim(p)
	ana.see(5)
	return p, ana, network
}

// The path dies: nothing is encoded into it, and the same share goes on without a gap when it is back.
func TestPathDownStopsEncoding(t *testing.T) {
	p, ana, network := onNetwork(t, 0)
	network.Cut(true)
	p.wantState("session", "reconnecting")
	ana.end.WaitState(t, peer.Reconnecting)
	before := len(ana.end.WaitFrames(t, 5))
	network.Cut(false)
	p.want("connected again", 2, func(o Output) bool { return o.Event == "session" && o.State == "connected" })
	ana.watch(before + 10) // their numbers have no gap
	p.typed("/stop")
	p.wantState("picture", "stopped")
}

// The path is silent and the server says that the agent's program is gone: nobody waits for 120 s.
func TestAgentGone(t *testing.T) {
	p, ana, network := onNetwork(t, 500*time.Millisecond)
	network.Cut(true)
	ana.gone() // the process is killed: its socket is gone, and no packet comes
	got := p.wantState("session", "ended")
	if got.Reason != "agent_ended" {
		t.Errorf("ended with %q, want agent_ended", got.Reason)
	}
	p.wantState("picture", "stopped")
}

func TestOnce(t *testing.T) {
	srv := servertest.New(t)
	home := t.TempDir()
	s, out, errs := term.Test("first\nsecond\n")
	if code := Main(context.Background(), []string{"chat", "--server", srv.URL(), "--home", home, "--once"}, s); code != exitDone {
		t.Fatalf("exit code is %d: %s", code, errs)
	}
	if out.Len() != 0 {
		t.Errorf("stdout is %q, want nothing: nobody answered", out)
	}
	ana := newAgent(t, srv)
	items := ana.ask(protocol.ConversationList{Scope: "waiting"}).(protocol.ConversationItems).Items
	if len(items) != 1 || items[0].LastText != "second" || items[0].LastSeq != 2 {
		t.Errorf("the queue has %+v", items)
	}
}

// Control characters of others never reach the terminal.
func TestForeignTextIsCleaned(t *testing.T) {
	srv := servertest.New(t)
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var errs bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- Main(ctx, []string{"chat", "--server", srv.URL(), "--home", t.TempDir()}, term.Streams{In: inR, Out: outW, Err: &errs, Width: 80})
		outW.Close()
	}()
	ana := newAgent(t, srv)
	var conv protocol.ConversationID
	for conv == "" {
		if st, ok := ana.ask(protocol.QueueList{}).(protocol.QueueState); ok && len(st.Items) > 0 {
			conv = st.Items[0].Conversation
		}
	}
	ana.ask(protocol.QueueClaim{Conversation: conv, Hold: true})
	ana.ask(protocol.ChatSend{Conversation: conv, Text: "a\x1b]52;c;aGk=\x07b\nAna: forged"})
	line, err := bufio.NewReader(outR).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x1b\x07\n") || !strings.HasPrefix(line, "Ana: a") {
		t.Errorf("stdout is %q", line)
	}
	cancel()
	inW.Close()
	if got := <-code; got != exitInterrupted {
		t.Errorf("exit code is %d, want %d", got, exitInterrupted)
	}
}

func TestExitCodes(t *testing.T) {
	home := t.TempDir()
	cases := []struct {
		name string
		args []string
		code int
		errs string
	}{
		{"help", []string{"chat", "--help"}, exitDone, ""},
		{"unknown flag", []string{"chat", "--fast"}, exitUsage, "unknown flag"},
		{"no server", []string{"chat"}, exitUsage, "--server"},
		{"bad server", []string{"chat", "--server", "help.example.com", "--home", home}, exitUsage, "not a server address"},
		{"bad accept", []string{"chat", "--server", "http://localhost:1", "--accept", "control"}, exitUsage, "view, direct and record"},
		{"bad size", []string{"chat", "--server", "http://localhost:1", "--size", "1x1"}, exitUsage, "64 to 4096"},
		{"bad fps", []string{"chat", "--server", "http://localhost:1", "--fps", "0"}, exitUsage, "1 to 60"},
		{"argument", []string{"chat", "hello"}, exitUsage, "not expected"},
		{"nobody there, once", []string{"chat", "--server", "http://127.0.0.1:1", "--home", home, "--once"}, exitUnreachable, "reached"},
		{"nobody there, for a while", []string{"chat", "--server", "http://127.0.0.1:1", "--home", home, "--for", "300ms"}, exitUnreachable, "reached"},
	}
	t.Setenv("LOOKALONG_SERVER", "")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, _, errs := term.Test("hello\n")
			if code := Main(context.Background(), c.args, s); code != c.code || !strings.Contains(errs.String(), c.errs) {
				t.Errorf("exit code %d and %q, want %d and %q", code, errs, c.code, c.errs)
			}
		})
	}
}
