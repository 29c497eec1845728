package fault

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

const patience = 20 * time.Second

// echo is a server that sends back what it gets, and keeps its connections.
type echo struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
	ended chan error // of each connection
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: l, ended: make(chan error, 100)}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.mu.Lock()
			e.conns = append(e.conns, c)
			e.mu.Unlock()
			tasks.Go(func() {
				_, err := io.Copy(c, c)
				c.Close()
				e.ended <- err
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		e.mu.Lock()
		for _, c := range e.conns {
			c.Close()
		}
		e.mu.Unlock()
		tasks.Wait()
	})
	return e
}

func newTestProxy(t *testing.T, e *echo, sources int) *Proxy {
	t.Helper()
	p, err := NewProxy(ProxyOptions{Target: e.Addr().String(), Sources: sources})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func do(t *testing.T, p *Proxy, line string) {
	t.Helper()
	s, err := Parse("at 0s " + line)
	if err != nil {
		t.Fatal(err)
	}
	p.Do(s.Steps[0], Rand(1))
}

// says sends and expects the same back.
func says(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v", got, err)
	}
}

// silent checks that nothing comes: what would come was sent before the other connection's round trip.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	var b [1]byte
	if n, err := c.Read(b[:]); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %d bytes, %v; nothing should come", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
}

func wantReset(t *testing.T, c net.Conn) {
	t.Helper()
	var b [1]byte
	if _, err := c.Read(b[:]); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %v, want a reset", err)
	}
}

func TestProxyForwards(t *testing.T) {
	e := newEcho(t)
	p := newTestProxy(t, e, 3)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for range 4 {
		c := dial(t, p)
		says(t, c, "hello")
		go c.Write(big)
		got := make([]byte, len(big))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, big) {
			t.Fatalf("1 MiB came back changed, %v", err)
		}
	}
	from := map[string]bool{}
	e.mu.Lock()
	for _, c := range e.conns {
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		from[host] = true
	}
	e.mu.Unlock()
	if len(from) != 3 {
		t.Errorf("4 connections from %d addresses, want 3: %v", len(from), from)
	}
}

func TestProxyClosesAsTheOtherEndDoes(t *testing.T) {
	e := newEcho(t)
	p := newTestProxy(t, e, 0)
	c := dial(t, p)
	says(t, c, "hello")
	c.Close()
	if err := <-e.ended; err != nil {
		t.Errorf("the server saw %v instead of a close", err)
	}
}

func TestProxyServerDown(t *testing.T) {
	e := newEcho(t)
	p := newTestProxy(t, e, 0)
	e.Close()
	c, err := net.Dial("tcp", p.Addr())
	if err == nil { // the reset may come a moment later
		defer c.Close()
		var b [1]byte
		_, err = c.Read(b[:])
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection to a server that is down: %v", err)
	}
}

// TestProxyDrop: half-open. Bytes and closes vanish in one direction; afterwards the connection is reset.
func TestProxyDrop(t *testing.T) {
	e := newEcho(t)
	p := newTestProxy(t, e, 0)
	c, idle := dial(t, p), dial(t, p)
	says(t, c, "hello")
	says(t, idle, "hello")
	do(t, p, "drop s->c")
	io.WriteString(c, "lost")
	silent(t, c)
	do(t, p, "resume")
	wantReset(t, c)
	says(t, idle, "an idle connection has lost nothing and lives")
	says(t, dial(t, p), "new")
}

func TestProxyPause(t *testing.T) {
	p := newTestProxy(t, newEcho(t), 0)
	c := dial(t, p)
	says(t, c, "hello")
	do(t, p, "pause c->s")
	io.WriteString(c, "later")
	silent(t, c)
	do(t, p, "resume c->s")
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "later" {
		t.Errorf("got %q, %v", got, err)
	}
	do(t, p, "pause 30ms")
	says(t, c, "it ends by itself")
}

func TestProxyLatencyRateTrickle(t *testing.T) {
	p := newTestProxy(t, newEcho(t), 0)
	c := dial(t, p)
	for line, least := range map[string]time.Duration{"latency 30ms": 60 * time.Millisecond, "rate c->s 2000": 200 * time.Millisecond, "trickle": 0} {
		do(t, p, line)
		start := time.Now()
		says(t, c, string(bytes.Repeat([]byte("x"), 500)))
		if took := time.Since(start); took < least {
			t.Errorf("%s: a round trip took %s, at least %s was due", line, took, least)
		}
		do(t, p, "resume")
	}
}

func TestProxyCut(t *testing.T) {
	e := newEcho(t)
	p := newTestProxy(t, e, 0)
	c := dial(t, p)
	says(t, c, "hello")
	do(t, p, "cut s->c 7")
	io.WriteString(c, "0123456789")
	got, err := io.ReadAll(c)
	if !errors.Is(err, syscall.ECONNRESET) || len(got) > 7 { // a reset may overtake the bytes before it
		t.Errorf("got %q, %v", got, err)
	}
}

func TestProxyReset(t *testing.T) {
	e := newEcho(t)
	p := newTestProxy(t, e, 0)
	c := dial(t, p)
	says(t, c, "hello")
	do(t, p, "reset one")
	wantReset(t, c)
	if err := <-e.ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server saw %v", err)
	}
}

// TestProxyDuplicate: the client's end is gone, the server still has a connection, and gets a second one.
func TestProxyDuplicate(t *testing.T) {
	e := newEcho(t)
	p := newTestProxy(t, e, 0)
	c := dial(t, p)
	says(t, c, "hello")
	do(t, p, "duplicate")
	wantReset(t, c)
	says(t, dial(t, p), "again")
	select {
	case err := <-e.ended:
		t.Errorf("the server's first connection ended: %v", err)
	default:
	}
	if open, ever := p.Links(); open != 2 || ever != 2 {
		t.Errorf("%d of %d connections open", open, ever)
	}
}

func TestFlip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	before := bytes.Repeat([]byte{0x5a}, 100)
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	at, bit, err := Flip(path, 10, 20, Rand(5))
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range after {
		want := before[i]
		if int64(i) == at {
			want ^= 1 << bit
		}
		if after[i] != want {
			t.Errorf("byte %d is %#x, want %#x", i, after[i], want)
		}
	}
	if at < 10 || at >= 20 {
		t.Errorf("flipped at %d", at)
	}
	if _, _, err := Flip(path, 100, 0, Rand(5)); err == nil {
		t.Error("a flip behind the end")
	}
}

// TestProxyDropOne: one connection hangs, the others and new ones do not.
func TestProxyDropOne(t *testing.T) {
	p := newTestProxy(t, newEcho(t), 0)
	c := dial(t, p)
	says(t, c, "hello")
	do(t, p, "drop one")
	io.WriteString(c, "lost")
	other := dial(t, p)
	says(t, other, "fine")
	silent(t, c)
	do(t, p, "resume")
	wantReset(t, c)
	says(t, other, "still fine")
}
