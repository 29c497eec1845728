// The relay with real sockets and real pion/turn clients, on loopback.

package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

var loopback = netip.MustParseAddr("127.0.0.1")

// world is one running relay: UDP on its own port, TCP through Split with HTTP beside it.
type world struct {
	*Server
	t    *testing.T
	udp  string
	tcp  string
	mu   sync.Mutex
	user map[string]string
	log  *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (w *world) secret(user string) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.user[user]
	return p, ok
}

func (w *world) end(user string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.user, user)
}

func start(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, user: map[string]string{"s1:a": "pw-a", "s1:c": "pw-c"}, log: &safeBuffer{}}
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.udp, w.tcp = udp.LocalAddr().String(), tcp.Addr().String()
	split := Split(tcp)
	cfg := Config{
		UDP: udp, TCP: split.STUN(), RelayIP: loopback, Secret: w.secret, AnonymousPerSecond: 1000,
		Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	if w.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	web := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprint(rw, "hello "+r.URL.Path)
	})}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, run := range []func() error{
		func() error { return w.Run(ctx) }, func() error { return split.Run(ctx) },
		func() error { return ignore(web.Serve(split.HTTP()), net.ErrClosed) },
	} {
		all.Go(func() {
			if err := run(); err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		all.Wait()
		web.Close()
		if n := w.Count(); n != 0 {
			t.Errorf("%d relays left after Run", n)
		}
		for _, secret := range []string{"s1:", "pw-", "127.0.0.1"} {
			if strings.Contains(w.log.String(), secret) {
				t.Errorf("log at info holds %q:\n%s", secret, w.log)
			}
		}
	})
	return w
}

func ignore(err, target error) error {
	if err == target {
		return nil
	}
	return err
}

func quiet() logging.LoggerFactory { return pionLog{slog.New(slog.DiscardHandler)} }

// client returns a listening turn client of user over "udp" or "tcp". It is closed by the test's end.
func (w *world) client(network, user, password string) (*turn.Client, net.PacketConn) {
	w.t.Helper()
	var conn net.PacketConn
	if network == "tcp" {
		c, err := net.Dial("tcp4", w.tcp)
		if err != nil {
			w.t.Fatal(err)
		}
		conn = turn.NewSTUNConn(c)
	} else {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		conn = c
	}
	addr := map[string]string{"udp": w.udp, "tcp": w.tcp}[network]
	c, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: addr, TURNServerAddr: addr, Conn: conn, Username: user, Password: password, Realm: "lookalong",
		LoggerFactory: quiet(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close(); conn.Close() })
	return c, conn
}

// allocate returns a relayed socket of user.
func (w *world) allocate(network, user string) (net.PacketConn, *turn.Client) {
	w.t.Helper()
	password, _ := w.secret(user)
	c, _ := w.client(network, user, password)
	r, err := c.Allocate()
	if err != nil {
		w.t.Fatalf("allocate over %s: %v", network, err)
	}
	w.t.Cleanup(func() { r.Close() })
	return r, c
}

// socket returns the server's side of the one relay of user.
func (w *world) socket(user string) *relayConn {
	w.t.Helper()
	w.Server.mu.RLock()
	defer w.Server.mu.RUnlock()
	for _, r := range w.relays {
		if r.user == user {
			return r
		}
	}
	w.t.Fatalf("no relay of %s", user)
	return nil
}

// until polls a condition, with patience.
func until(t *testing.T, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// talk sends text from a to b, again and again until it arrives, and says whether it did.
func talk(a, b net.PacketConn, text string, limit time.Duration) bool {
	buf := make([]byte, 2000)
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if _, err := a.WriteTo([]byte(text), b.LocalAddr()); err != nil {
			return false
		}
		b.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		for {
			n, from, err := b.ReadFrom(buf)
			if err != nil {
				break
			}
			if string(buf[:n]) == text && from.String() == a.LocalAddr().String() {
				return true
			}
		}
	}
	return false
}

func TestRelayBetweenTwoRelays(t *testing.T) {
	for _, first := range []string{"udp", "tcp"} {
		for _, second := range []string{"udp", "tcp"} {
			t.Run(first+" to "+second, func(t *testing.T) {
				w := start(t)
				a, _ := w.allocate(first, "s1:a")
				c, _ := w.allocate(second, "s1:c")
				// Each end opens its permission by its first packet.
				if _, err := c.WriteTo([]byte("open"), a.LocalAddr()); err != nil {
					t.Fatal(err)
				}
				long := strings.Repeat("x", 1200)
				for _, text := range []string{"x", "12345", "hello", long} {
					if !talk(a, c, text, patience) || !talk(c, a, text+"!", patience) {
						t.Fatalf("%d bytes did not arrive", len(text))
					}
				}
				if n := w.Bytes(); n < 4*1200 { // the longest both ways, through two relays
					t.Errorf("%d bytes were counted", n)
				}
			})
		}
	}
}

func TestBindingAndHTTPOnOnePort(t *testing.T) {
	w := start(t)
	for _, network := range []string{"udp", "tcp"} {
		c, conn := w.client(network, "", "")
		got, err := c.SendBindingRequest()
		if err != nil || got.String() != conn.LocalAddr().String() {
			t.Errorf("binding over %s: got %v, %v; want %v", network, got, err, conn.LocalAddr())
		}
	}
	r, err := http.Get("http://" + w.tcp + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if b, _ := io.ReadAll(r.Body); string(b) != "hello /x" {
		t.Errorf("HTTP: got %q", b)
	}
}

// TestNoLoopbackThroughRelay is T13 live: the own address is permitted for relays and reaches no other program there.
func TestNoLoopbackThroughRelay(t *testing.T) {
	w := start(t)
	victim, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer victim.Close()
	a, client := w.allocate("udp", "s1:a")
	c, _ := w.allocate("tcp", "s1:c")
	hit := make(chan string, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, 100)
		if n, from, err := victim.ReadFrom(b); err == nil {
			hit <- fmt.Sprintf("%q from %v", b[:n], from)
		}
	})
	// The port of the victim lies outside the relay range or inside it; no relay lives there in either case.
	for range 50 {
		for _, r := range []net.PacketConn{a, c} {
			if _, err := r.WriteTo([]byte("attack"), victim.LocalAddr()); err != nil {
				t.Logf("write: %v", err)
			}
		}
	}
	for _, ip := range []string{
		"127.0.0.2", "0.0.0.0", "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.168.1.1", "10.0.0.1",
		"172.16.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255",
	} {
		if err := client.CreatePermission(&net.UDPAddr{IP: net.ParseIP(ip), Port: 80}); err == nil {
			t.Errorf("permission for %s was given", ip)
		}
	}
	// Everything before this has passed the relay: both ends are in order.
	if _, err := c.WriteTo([]byte("open"), a.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if !talk(a, c, "done", patience) || !talk(c, a, "done", patience) {
		t.Fatal("the relay has stopped")
	}
	select {
	case what := <-hit:
		t.Fatalf("the echo server received %s", what)
	default:
	}
	victim.Close()
	reading.Wait()
}

// TestWriteAsksAgain is the second check of T13: what the permission let through is judged for each packet.
func TestWriteAsksAgain(t *testing.T) {
	w := start(t)
	w.allocate("udp", "s1:a")
	r := w.socket("s1:a")
	for _, to := range []string{"127.0.0.2", "127.0.0.1"} {
		victim, err := net.ListenPacket("udp4", to+":0")
		if err != nil {
			t.Fatal(err)
		}
		defer victim.Close()
		if _, err := r.WriteTo([]byte("attack"), victim.LocalAddr()); !errors.Is(err, errPeer) {
			t.Errorf("write to %v: %v, want %v", victim.LocalAddr(), err, errPeer)
		}
		victim.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, _, err := victim.ReadFrom(make([]byte, 10)); err == nil {
			t.Errorf("%v received %d bytes", victim.LocalAddr(), n)
		}
	}
}

// TestTranslatedAddress: where the advertised address is not this host's (a cloud's one-to-one NAT), two relays still
// reach each other, and see the advertised address.
func TestTranslatedAddress(t *testing.T) {
	public := netip.MustParseAddr("198.41.0.4")
	w := start(t, func(c *Config) { c.RelayIP, c.BindIP = public, loopback })
	a, _ := w.allocate("udp", "s1:a")
	c, _ := w.allocate("tcp", "s1:c")
	if !strings.HasPrefix(a.LocalAddr().String(), "198.41.0.4:") {
		t.Fatalf("advertised as %v", a.LocalAddr())
	}
	if _, err := c.WriteTo([]byte("open"), a.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if !talk(a, c, "hello", patience) || !talk(c, a, "hello", patience) {
		t.Error("no path")
	}
}

// TestBytesRunOut: the relay of a session that has used its bytes is closed.
func TestBytesRunOut(t *testing.T) {
	w := start(t)
	a, _ := w.allocate("udp", "s1:a")
	c, _ := w.allocate("udp", "s1:c")
	w.socket("s1:a").use.bytes.Store(maxSessionBytes)
	if _, err := a.WriteTo([]byte("one more"), c.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	until(t, "the relay is closed", patience, func() bool { return w.Count() < 2 })
}

// TestOutsiderCannotSpeak: on the own address, a permission covers relays only, also inwards.
func TestOutsiderCannotSpeak(t *testing.T) {
	w := start(t)
	a, client := w.allocate("udp", "s1:a")
	c, _ := w.allocate("udp", "s1:c")
	if err := client.CreatePermission(c.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	stranger, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.WriteTo([]byte("hi"), a.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTo([]byte("real"), a.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	a.SetReadDeadline(time.Now().Add(patience))
	if n, _, err := a.ReadFrom(b); err != nil || string(b[:n]) != "real" {
		t.Errorf("first packet: %q, %v", b[:n], err)
	}
}

// TestQuotaConcurrent is T14: of 40 at once exactly 16 succeed, the rest is told 486.
func TestQuotaConcurrent(t *testing.T) {
	w := start(t)
	var mu sync.Mutex
	var all sync.WaitGroup
	got := map[string]int{}
	for i := range 40 {
		network := []string{"udp", "tcp"}[i%2]
		c, _ := w.client(network, "s1:a", "pw-a")
		all.Go(func() {
			r, err := c.Allocate()
			if err == nil {
				t.Cleanup(func() { r.Close() })
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				got["ok"]++
			case strings.Contains(err.Error(), "486"):
				got["486"]++
			default:
				got[err.Error()]++
			}
		})
	}
	all.Wait()
	if got["ok"] != maxPerUser || got["486"] != 40-maxPerUser {
		t.Errorf("got %v, want %d ok and the rest 486", got, maxPerUser)
	}
	w.CloseUser("s1:a")
	until(t, "places are free again", time.Second, func() bool { return w.Count() == 0 })
	w.allocate("udp", "s1:a")
}

// TestTurnAfterEnd is T15: when the session is over, requests fail and bytes stop, with CloseUser at once and without
// it within a second.
func TestTurnAfterEnd(t *testing.T) {
	for _, tell := range []bool{true, false} {
		t.Run(fmt.Sprintf("CloseUser=%v", tell), func(t *testing.T) {
			t.Parallel()
			w := start(t)
			a, client := w.allocate("udp", "s1:a")
			c, _ := w.allocate("tcp", "s1:c")
			if _, err := c.WriteTo([]byte("open"), a.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			if !talk(a, c, "before", patience) {
				t.Fatal("no path")
			}
			socket := w.socket("s1:a")
			w.end("s1:a")
			if tell {
				w.CloseUser("s1:a")
				if err := socket.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
					t.Errorf("CloseUser returned before the relay was closed: %v", err)
				}
			}
			if err := client.CreatePermission(&net.UDPAddr{IP: net.IPv4(8, 8, 8, 8), Port: 1}); err == nil {
				t.Error("a request after the end succeeded")
			}
			until(t, "the relay is closed", time.Second, func() bool { return w.Count() == 1 })
			if talk(a, c, "after", 300*time.Millisecond) || talk(c, a, "after", 300*time.Millisecond) {
				t.Error("bytes still pass")
			}
			for _, password := range []string{"pw-a", ""} {
				again, _ := w.client("udp", "s1:a", password)
				if _, err := again.Allocate(); err == nil || !strings.Contains(err.Error(), "401") {
					t.Errorf("allocation after the end with password %q: %v, want 401", password, err)
				}
			}
		})
	}
}

// TestOrphanCloses: a client may be granted an hour; it must still be heard of within the allocation's five minutes.
func TestOrphanCloses(t *testing.T) {
	w := start(t)
	w.allocate("udp", "s1:a")
	w.socket("s1:a").heard.Store(time.Now().Add(-allocationLife - refreshSlack - time.Second).UnixNano())
	until(t, "the orphan is closed", patience, func() bool { return w.Count() == 0 })
}

// TestNoTCPRelay is T16, with a hand-made request: pion's library would make a listener for it.
func TestNoTCPRelay(t *testing.T) {
	w := start(t)
	for _, network := range []string{"udp4", "tcp4"} {
		raw := w.raw(network)
		if code := raw.allocate(6); code != stun.CodeInsufficientCapacity {
			t.Errorf("TCP allocation over %s: got %d, want %d", network, code, stun.CodeInsufficientCapacity)
		}
		if code := raw.allocate(17); code != 0 {
			t.Fatalf("UDP allocation over %s: got %d", network, code)
		}
		own := stun.XORMappedAddress{IP: net.IPv4(127, 0, 0, 1), Port: 80}
		code := raw.authed(stun.MethodConnect, func(m *stun.Message) error { return own.AddToAs(m, stun.AttrXORPeerAddress) })
		if code != stun.CodeConnTimeoutOrFailure {
			t.Errorf("Connect over %s: got %d, want %d", network, code, stun.CodeConnTimeoutOrFailure)
		}
	}
}

// TestNoWishedPorts: EVEN-PORT would probe ports without a user, and reserve others.
func TestNoWishedPorts(t *testing.T) {
	raw := start(t).raw("udp4")
	even := func(m *stun.Message) error { m.Add(stun.AttrEvenPort, []byte{0x80}); return nil }
	if code := raw.allocate(17, even); code != stun.CodeInsufficientCapacity {
		t.Errorf("got %d, want %d", code, stun.CodeInsufficientCapacity)
	}
}

// TestZeroLifetimeKeepsQuota: an Allocate that reserves a place and then fails in the library must not keep it.
func TestZeroLifetimeKeepsQuota(t *testing.T) {
	t.Parallel()
	w := start(t)
	raw := w.raw("udp4")
	if code := raw.allocate(17, func(m *stun.Message) error { m.Add(stun.AttrLifetime, make([]byte, 4)); return nil }); code == 0 {
		t.Fatal("a lifetime of zero was granted")
	}
	w.quota.mu.Lock()
	left := len(w.quota.reserved["s1:a"])
	w.quota.mu.Unlock()
	if left != 1 {
		t.Fatalf("%d reservations", left)
	}
	until(t, "the reservation lapses", reservationLife+2*time.Second, func() bool {
		w.quota.mu.Lock()
		defer w.quota.mu.Unlock()
		return len(w.quota.users) == 0
	})
}

func TestPermissionsAreBounded(t *testing.T) {
	w := start(t)
	_, client := w.allocate("udp", "s1:a")
	granted := 0
	for i := range maxPermissions + 10 {
		if client.CreatePermission(&net.UDPAddr{IP: net.IPv4(8, 8, 8, byte(i+1)), Port: 1}) == nil {
			granted++
		}
	}
	if granted != maxPermissions {
		t.Errorf("%d permissions, want %d", granted, maxPermissions)
	}
	if err := client.CreatePermission(&net.UDPAddr{IP: net.IPv4(8, 8, 8, 1), Port: 2}); err != nil {
		t.Errorf("refresh of a permission: %v", err)
	}
}

func TestNewRefusesBadConfig(t *testing.T) {
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for name, change := range map[string]func(*Config){
		"no socket":         func(c *Config) { c.UDP = nil },
		"no secret":         func(c *Config) { c.Secret = nil },
		"no address":        func(c *Config) { c.RelayIP = netip.Addr{} },
		"unspecified":       func(c *Config) { c.RelayIP = netip.IPv4Unspecified() },
		"other family":      func(c *Config) { c.BindIP = netip.IPv6Loopback() },
		"ports upside down": func(c *Config) { c.MinPort, c.MaxPort = 5000, 4000 },
		"all private":       func(c *Config) { c.AllowPrefixes = prefixes("10.0.0.0/8") },
		"metadata":          func(c *Config) { c.AllowPrefixes = prefixes("169.254.0.0/16") },
		"public":            func(c *Config) { c.AllowPrefixes = prefixes("8.8.0.0/16") },
		"host bits":         func(c *Config) { c.AllowPrefixes = prefixes("10.1.2.3/16") },
		"rate":              func(c *Config) { c.AnonymousPerSecond = -1 },
	} {
		cfg := Config{UDP: udp, RelayIP: loopback, Secret: func(string) (string, bool) { return "", false }}
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
