//go:build unix

package cli

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	xterm "golang.org/x/term"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// terminal is the person's side of a pseudo-terminal that a program runs on.
type terminal struct {
	t    *testing.T
	ptmx *os.File
	fd   int // of the program's side
	code chan int

	mu   sync.Mutex
	seen bytes.Buffer
	wake chan struct{}
}

// run starts a command line on a terminal of 80 columns.
func run(t *testing.T, ctx context.Context, args ...string) *terminal {
	t.Helper()
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(ptmx, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	p := &terminal{t: t, ptmx: ptmx, fd: int(tty.Fd()), code: make(chan int, 1), wake: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := ptmx.Read(buf)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.seen.Write(buf[:n])
			close(p.wake)
			p.wake = make(chan struct{})
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		tty.Close()
		_, _ = ptmx.WriteString("\r") // ends a read of the program's side that is under way
		<-done
		ptmx.Close()
	})
	s := term.Files(tty, tty, tty)
	go func() { p.code <- Main(ctx, args, s) }()
	return p
}

// want waits until the terminal was sent a text.
func (p *terminal) want(text string) {
	p.t.Helper()
	late := time.After(20 * time.Second)
	for {
		p.mu.Lock()
		found, all, wake := strings.Contains(p.seen.String(), text), p.seen.String(), p.wake
		p.mu.Unlock()
		if found {
			return
		}
		select {
		case <-wake:
		case <-late:
			p.t.Fatalf("waiting for %q; the terminal got %q", text, all)
		}
	}
}

func (p *terminal) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

func (p *terminal) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.Reset()
}

func (p *terminal) keys(s string) {
	p.t.Helper()
	if _, err := p.ptmx.WriteString(s); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for the program and returns its exit code.
func (p *terminal) end() int {
	p.t.Helper()
	select {
	case code := <-p.code:
		return code
	case <-time.After(20 * time.Second):
		p.t.Fatalf("the program did not end; the terminal got %q", p.all())
		return -1
	}
}

func TestChatOnATerminal(t *testing.T) {
	s := servertest.New(t)
	signedIn(t, s, "Ana")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := run(t, ctx, "chat", "--next")
	before, err := xterm.GetState(p.fd)
	if err != nil {
		t.Fatal(err)
	}
	p.want("Nobody is waiting. The next customer is yours")

	eve := s.Customer(servertest.NewCustomerKey())
	conv := eve.Conversation().Conversation
	eve.Say(conv, "Hello?")
	p.want("Customer: \x1b[0mHello?")
	p.want(string(conv[:6]) + " · online")

	// Typing is told; the message arrives and its way is shown.
	p.keys("Hi")
	servertest.Want(eve, func(m protocol.PresenceTyping) bool { return m.Typing && m.From == "agent" })
	p.keys(" there\r")
	m := servertest.Want(eve, func(m protocol.ChatMessage) bool { return m.Text == "Hi there" })
	p.want("Ana: \x1b[0mHi there")
	servertest.Want(eve, func(m protocol.PresenceTyping) bool { return !m.Typing })
	eve.Send(protocol.ChatMark{Conversation: conv, Received: m.Seq})
	p.want("✓✓ >")
	eve.Send(protocol.ChatMark{Conversation: conv, Received: m.Seq, Read: m.Seq})
	p.want("✓✓ read")
	servertest.Want(eve, func(m protocol.ChatMarks) bool { return m.Marks.AgentRead >= 1 })

	// What the customer does is shown; a half-written line survives what arrives.
	eve.Send(protocol.ChatTyping{Conversation: conv, Typing: true})
	p.want("typing…")
	eve.Send(protocol.PresencePage{Page: protocol.Page{Title: "Cart", URL: "https://x.example/", Active: true}})
	p.want("The customer is on “Cart”")
	p.keys("half")
	p.want("> half")
	p.forget()
	eve.Say(conv, "one more thing")
	p.want("one more thing")
	p.want("> half")
	p.keys(" a line\r")
	servertest.Want(eve, func(m protocol.ChatMessage) bool { return m.Text == "half a line" })

	// Another customer waits: the bell, and how many.
	bob := s.Customer(servertest.NewCustomerKey())
	bob.Conversation()
	p.want("\a")
	p.want("1 more waiting")

	// Nothing that a stranger writes reaches the terminal raw.
	p.forget()
	hostile := []string{"\x1b]52;c;cm0gLXJm\x07", "\x1b]8;;http://evil\x1b\\", "\x1bP$qm\x1b\\", "\x1b]0;owned\x07", "\u009b2J", "\u009d0;x\u009c", "\x1b[?1049h", "a\bb\x7f", "\u202egnp.exe"}
	for _, text := range hostile {
		eve.Say(conv, text)
		eve.Send(protocol.PresencePage{Page: protocol.Page{Title: text + "x", URL: "https://x.example/", Active: true}})
	}
	eve.Say(conv, "that was all")
	p.want("that was all")
	got := p.all()
	for _, raw := range []string{"\x1b]", "\x1bP", "\x1b\\", "\u009b", "\u009d", "\u009c", "\x1b[?1049h", "\x1b[2J", "\b", "\x7f", "\u202e"} {
		if strings.Contains(got, raw) {
			t.Errorf("%q reached the terminal", raw)
		}
	}
	p.want("�]52;c;cm0gLXJm�")

	// The server restarts: what is written meanwhile is sent then, once.
	p.forget()
	s.Stop()
	p.want("Reconnecting; what you write is sent then")
	p.keys("written offline\r")
	p.want("sending…")
	s.Start()
	p.want("Connected again")
	p.want("Ana: \x1b[0mwritten offline")

	// Ctrl-C leaves politely, keeps the claim, and gives the terminal back.
	p.keys("\x03")
	if code := p.end(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	p.want("stays yours for a minute")
	after, err := xterm.GetState(p.fd)
	if err != nil {
		t.Fatal(err)
	}
	if *before != *after {
		t.Error("the terminal was not given back as it was")
	}
	in, out, _ := term.Test("")
	if code := Main(context.Background(), []string{"history", "--json"}, in); code != 0 || !strings.Contains(out.String(), `"conversation":"`+string(conv)+`","state":"claimed"`) {
		t.Errorf("the claim was given up: %s", out)
	}
}

func TestTerminalIsGivenBackAfterAPanic(t *testing.T) {
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer ptmx.Close()
	defer tty.Close()
	before, err := xterm.GetState(int(tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		u, err := newUI(&app{io: term.Files(tty, tty, tty)})
		if err != nil {
			t.Fatal(err)
		}
		defer u.close()
		panic("something went wrong")
	}()
	after, err := xterm.GetState(int(tty.Fd()))
	if err != nil || *before != *after {
		t.Errorf("the terminal stays raw (%v)", err)
	}
}

func TestWideCharactersKeepTheInputLine(t *testing.T) {
	s := servertest.New(t)
	signedIn(t, s, "Ana")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	eve := s.Customer(servertest.NewCustomerKey())
	conv := eve.Conversation().Conversation
	p := run(t, ctx, "chat", string(conv))
	p.want("online > ")
	p.keys("你好吗")
	p.want("你好吗")
	p.keys("\x7f") // a redraw follows, from the beginning of the line
	p.want("\r\x1b[")
	p.want("online > 你好")
	p.forget()
	eve.Say(conv, "谢谢")
	p.want("谢谢")
	p.want("> 你好")
	p.keys("\r")
	servertest.Want(eve, func(m protocol.ChatMessage) bool { return m.Text == "你好" })
	p.keys("/quit\r")
	if code := p.end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
