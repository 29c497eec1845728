// Hand-made STUN and TURN requests, for what a decent client does not send; and the limits on strangers.

package relay

import (
	"net"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// rawClient is user s1:a with one socket.
type rawClient struct {
	t     *testing.T
	w     *world
	conn  net.Conn
	in    net.PacketConn // frames of a stream
	nonce stun.Nonce
}

func (w *world) raw(network string) *rawClient {
	w.t.Helper()
	addr := map[string]string{"udp4": w.udp, "tcp4": w.tcp}[network]
	c, err := net.Dial(network, addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	r := &rawClient{t: w.t, w: w, conn: c}
	if network == "tcp4" {
		r.in = turn.NewSTUNConn(c)
	}
	return r
}

// do sends one request and returns its answer, or nil after limit.
func (r *rawClient) do(limit time.Duration, setters ...stun.Setter) *stun.Message {
	r.t.Helper()
	m, err := stun.Build(append([]stun.Setter{stun.TransactionID}, setters...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.conn.Write(m.Raw); err != nil {
		r.t.Fatal(err)
	}
	r.conn.SetReadDeadline(time.Now().Add(limit))
	for {
		buf := make([]byte, 2000)
		var n int
		if r.in != nil {
			n, _, err = r.in.ReadFrom(buf)
		} else {
			n, err = r.conn.Read(buf)
		}
		if err != nil {
			return nil
		}
		got := &stun.Message{Raw: buf[:n]}
		if got.Decode() == nil && got.TransactionID == m.TransactionID {
			return got
		}
	}
}

func errorCode(m *stun.Message) stun.ErrorCode {
	var code stun.ErrorCodeAttribute
	if m == nil {
		return -1
	}
	if code.GetFrom(m) != nil {
		return 0
	}
	return code.Code
}

type setter func(*stun.Message) error

func (s setter) AddTo(m *stun.Message) error { return s(m) }

// authed sends a request with credentials and returns the error code, 0 for success, -1 for none.
func (r *rawClient) authed(method stun.Method, more ...setter) stun.ErrorCode {
	r.t.Helper()
	kind := stun.NewType(method, stun.ClassRequest)
	if r.nonce == nil {
		first := r.do(patience, kind, setter(func(m *stun.Message) error { m.Add(stun.AttrRequestedTransport, []byte{17, 0, 0, 0}); return nil }))
		if first == nil || errorCode(first) != stun.CodeUnauthorized || r.nonce.GetFrom(first) != nil {
			r.t.Fatalf("no nonce: %v", first)
		}
	}
	set := []stun.Setter{kind}
	for _, s := range more {
		set = append(set, s)
	}
	set = append(set, stun.NewUsername("s1:a"), stun.NewRealm("lookalong"), r.nonce,
		stun.NewLongTermIntegrity("s1:a", "lookalong", "pw-a"))
	return errorCode(r.do(patience, set...))
}

func (r *rawClient) allocate(transport byte, more ...setter) stun.ErrorCode {
	r.t.Helper()
	add := func(m *stun.Message) error {
		m.Add(stun.AttrRequestedTransport, []byte{transport, 0, 0, 0})
		return nil
	}
	return r.authed(stun.MethodAllocate, append([]setter{add}, more...)...)
}

// TestStrangersAreLimited is T36: a flood of unauthenticated requests gets few answers, and live relays go on.
func TestStrangersAreLimited(t *testing.T) {
	const perSecond = 20
	w := start(t, func(c *Config) { c.AnonymousPerSecond = perSecond })
	a, client := w.allocate("udp", "s1:a")
	c, _ := w.allocate("tcp", "s1:c")
	if _, err := c.WriteTo([]byte("open"), a.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if !talk(a, c, "before", patience) {
		t.Fatal("no path")
	}
	flood, err := net.Dial("udp4", w.udp)
	if err != nil {
		t.Fatal(err)
	}
	defer flood.Close()
	began := time.Now()
	request := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest))
	const requests = 2000
	for range requests {
		if _, err := flood.Write(request.Raw); err != nil {
			t.Fatal(err)
		}
	}
	if !talk(a, c, "during", patience) {
		t.Error("the flood stopped a live relay")
	}
	if err := client.CreatePermission(&net.UDPAddr{IP: net.IPv4(8, 8, 8, 8), Port: 1}); err != nil {
		t.Errorf("an authenticated request had no answer during the flood: %v", err)
	}
	answers := 0
	flood.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	for buf := make([]byte, 2000); ; answers++ {
		if _, err := flood.Read(buf); err != nil {
			break
		}
	}
	if most := int(perSecond*time.Since(began).Seconds()) + perSecond + 1; answers > most {
		t.Errorf("%d answers to %d requests, want at most %d", answers, requests, most)
	}
}

func TestAccept(t *testing.T) {
	w := start(t, func(c *Config) { c.AnonymousPerSecond = 1 })
	s, from := w.Server, source{addr: loopbackPort(4000)}
	build := func(method stun.Method, class stun.MessageClass) []byte {
		return stun.MustBuild(stun.TransactionID, stun.NewType(method, class)).Raw
	}
	for name, b := range map[string][]byte{
		"empty":                 {},
		"HTTP":                  []byte("GET / HTTP/1.1\r\n\r\n"),
		"channel data":          {0x40, 0, 0, 1, 'x', 0, 0, 0},
		"send indication":       build(stun.MethodSend, stun.ClassIndication),
		"response":              build(stun.MethodBinding, stun.ClassSuccessResponse),
		"DTLS":                  {22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"cookie behind garbage": append([]byte{0xff}, build(stun.MethodBinding, stun.ClassRequest)[1:]...),
	} {
		if s.accept(b, from) {
			t.Errorf("%s: accepted from a stranger", name)
		}
	}
	b := build(stun.MethodBinding, stun.ClassRequest)
	if !s.accept(b, from) || s.accept(b, from) {
		t.Error("a binding request must take exactly the one token")
	}
	from.addr = loopbackPort(4001)
	if s.accept(b, from) {
		t.Error("another port of the same address has its own tokens")
	}
}

// TestTCPFrames: broken framing ends the connection, and only that one.
func TestTCPFrames(t *testing.T) {
	w := start(t)
	good := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	for name, junk := range map[string][]byte{
		"long STUN":         {0, 1, 0xff, 0xfc, 0x21, 0x12, 0xa4, 0x42},
		"long channel data": {0x40, 0, 0xff, 0xff},
		"neither":           {0xff, 0xff, 0, 0},
	} {
		c, err := net.Dial("tcp4", w.tcp)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(append(append([]byte{}, good...), junk...))
		c.SetReadDeadline(time.Now().Add(patience))
		in := turn.NewSTUNConn(c)
		buf := make([]byte, 2000)
		for {
			_, _, err = in.ReadFrom(buf)
			if err != nil {
				break
			}
		}
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	raw := w.raw("tcp4")
	if raw.do(patience, stun.BindingRequest) == nil {
		t.Error("others are not served any more")
	}
}
