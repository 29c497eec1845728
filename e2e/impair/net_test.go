package impair

import (
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/pion/transport/v5"
)

// echo answers every packet, on the machine's own network.
func echo(t *testing.T) *net.UDPAddr {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDP(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDP(buf[:n], from) // the other end waits for it
		}
	}()
	return c.LocalAddr().(*net.UDPAddr)
}

func open(t *testing.T) (*Network, transport.Net) {
	t.Helper()
	n := New(1)
	t.Cleanup(n.Close)
	w, err := n.Net()
	if err != nil {
		t.Fatal(err)
	}
	return n, w
}

// TestSockets sends through every way that opens a UDP socket and counts both directions: none gets past the line.
func TestSockets(t *testing.T) {
	to := echo(t)
	local := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	for _, way := range []struct {
		name string
		open func(transport.Net) (net.PacketConn, error)
	}{
		{"ListenUDP", func(w transport.Net) (net.PacketConn, error) { return w.ListenUDP("udp4", local) }},
		{"ListenPacket", func(w transport.Net) (net.PacketConn, error) { return w.ListenPacket("udp4", "127.0.0.1:0") }},
		{"CreateListenConfig", func(w transport.Net) (net.PacketConn, error) {
			return w.CreateListenConfig(&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
		}},
		{"DialUDP", func(w transport.Net) (net.PacketConn, error) { return w.DialUDP("udp4", nil, to) }},
		{"Dial", func(w transport.Net) (net.PacketConn, error) {
			c, err := w.Dial("udp4", to.String())
			return c.(net.PacketConn), err
		}},
		{"CreateDialer", func(w transport.Net) (net.PacketConn, error) {
			c, err := w.CreateDialer(&net.Dialer{}).Dial("udp4", to.String())
			return c.(net.PacketConn), err
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			n, w := open(t)
			c, err := way.open(w)
			if err != nil {
				t.Fatal(err)
			}
			if dialled, ok := c.(net.Conn); ok && dialled.RemoteAddr() != nil {
				_, err = dialled.Write([]byte("hello"))
			} else {
				_, err = c.WriteTo([]byte("hello"), to)
			}
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			size, from, err := c.ReadFrom(buf)
			if err != nil || string(buf[:size]) != "hello" || from.String() != to.String() {
				t.Errorf("read %q from %v: %v", buf[:size], from, err)
			}
			if out, in := n.Counts(); out.Bytes != 33 || in.Bytes != 33 {
				t.Errorf("counted %+v out, %+v in; want 33 bytes each", out, in)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if _, _, err := c.ReadFrom(buf); !errors.Is(err, net.ErrClosed) {
				t.Errorf("reading after Close: %v", err)
			}
		})
	}
}

// TestDeadlineAndCut: nothing comes over a cut line, so the deadline passes; and all of it by a controller's word.
func TestDeadlineAndCut(t *testing.T) {
	to := echo(t)
	n, w := open(t)
	srv := httptest.NewServer(n)
	defer srv.Close()
	remote := Remote(srv.URL)
	c, err := w.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := remote.Set(Conditions{Cut: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTo([]byte("lost"), to); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	buf := make([]byte, 100)
	if size, _, err := c.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %q over a cut line: %v", buf[:size], err)
	}
	if err := remote.Set(Conditions{}); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Time{})
	if _, err := c.WriteTo([]byte("back"), to); err != nil {
		t.Fatal(err)
	}
	if size, _, err := c.ReadFrom(buf); err != nil || string(buf[:size]) != "back" {
		t.Errorf("read %q: %v", buf[:size], err)
	}
	if s, err := remote.State(); err != nil || s.Out.Cut != 1 || s.In.Packets != 1 {
		t.Errorf("the controller counts %+v: %v", s, err)
	}
	if err := remote.Set(Conditions{Loss: 2}); err == nil {
		t.Error("the controller took a loss of 2")
	}
}

// TestNoTCP: nothing that pion could relay over gets past the line.
func TestNoTCP(t *testing.T) {
	_, w := open(t)
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	_, dialled := w.DialTCP("tcp4", nil, local)
	_, listened := w.ListenTCP("tcp4", local)
	_, dial := w.Dial("tcp", "127.0.0.1:1")
	_, dialer := w.CreateDialer(&net.Dialer{}).Dial("tcp4", "127.0.0.1:1")
	_, listen := w.CreateListenConfig(&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	for i, err := range []error{dialled, listened, dial, dialer, listen} {
		if !errors.Is(err, ErrTCP) {
			t.Errorf("way %d: %v", i, err)
		}
	}
}
