package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	. "github.com/lookalong/lookalong/signaling/servertest"
)

// TestHelloAtItsSize: 4 KiB are read, one byte more is not.
func TestHelloAtItsSize(t *testing.T) {
	s := New(t)
	for _, n := range []int{4096, 4097, 40960} {
		c := s.Bare("/ws/customer")
		challenge := Want[protocol.HelloChallenge](c, nil)
		proof := string(protocol.Encode(NewCustomerKey().Proof("customer", s.Addr, challenge.Nonce)))
		// The server closes before it has read ten times too much, so that the rest may not be taken.
		_ = c.WS.WriteMessage(websocket.TextMessage, []byte("{"+strings.Repeat(" ", n-len(proof))+proof[1:]))
		end := protocol.CloseTooLarge
		if n == 4096 { // read, and found to be longer than a proof needs to be
			end = protocol.CloseBadMessage
		}
		c.WantClose(end)
	}
}

// TestRequestsAtTheirSizes: header, URL and body, at the limit, one above and ten times above.
func TestRequestsAtTheirSizes(t *testing.T) {
	s := New(t)
	status := func(request string) int {
		t.Helper()
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(Patience)); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(c, request) }() // the server may answer and close before it has read all
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	header := func(n int) string {
		start := "GET / HTTP/1.1\r\nHost: " + s.Addr + "\r\nX: "
		return start + strings.Repeat("x", n-len(start)-4) + "\r\n\r\n"
	}
	url := func(n int) string {
		return "GET /?" + strings.Repeat("x", n-2) + " HTTP/1.1\r\nHost: " + s.Addr + "\r\n\r\n"
	}
	body := func(n int) string {
		return fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", s.Addr, n, strings.Repeat("x", n))
	}
	for name, c := range map[string]struct {
		request string
		want    int
	}{
		"header 8 KiB": {header(8192), 200}, "header 8 KiB + 1": {header(8193), 431}, "header 80 KiB": {header(81920), 431},
		"URL 2 KiB": {url(2048), 200}, "URL 2 KiB + 1": {url(2049), 414}, "URL 20 KiB": {url(20480), 431}, // over the header's limit too
		"body 64 KiB": {body(65536), 200}, "body 64 KiB + 1": {body(65537), 413}, "body 640 KiB": {body(655360), 413},
	} {
		if got := status(c.request); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestReadLimitTenfold is T08's: ten times the limit closes as one byte more does, without being taken in.
func TestReadLimitTenfold(t *testing.T) {
	s := New(t)
	c := s.Customer(NewCustomerKey())
	_ = c.WS.WriteMessage(websocket.TextMessage, make([]byte, 10*protocol.MaxMessageBytes)) // fails where the server closes first
	c.WantClose(protocol.CloseTooLarge)
}

// TestFullServer is F25's: those within the cap stay healthy, the others are told to come back, and a place that gets
// free is given away.
func TestFullServer(t *testing.T) {
	s := NewWith(t, func(c *server.Config) { c.MaxSockets = 5 })
	var in []*Conn
	for range 5 {
		in = append(in, s.Customer(NewCustomerKey()))
	}
	for range 45 {
		c := s.Bare("/ws/customer")
		if e := Want[protocol.Error](c, nil); e.Code != protocol.CodeBusy || e.RetryAfterMs <= 0 {
			t.Fatalf("got %+v", e)
		}
		c.WantClose(protocol.CloseTryLater)
	}
	for i, c := range in {
		c.Send(protocol.Ping{ID: protocol.RequestID(fmt.Sprint(i))})
		Want[protocol.Pong](c, nil)
	}
	in[0].Close()
	deadline := time.Now().Add(Patience)
	for {
		c := s.Bare("/ws/customer")
		msg, err := c.Next()
		if _, ok := msg.(protocol.HelloChallenge); ok && err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the place is never given away: %+v, %v", msg, err)
		}
	}
}

// TestMoreSocketsThanFilesIsRefused: a cap that the file limit can't keep is a mistake at the start, not at the peak.
func TestMoreSocketsThanFilesIsRefused(t *testing.T) {
	code, _, errs := runMain(t, "serve", "--listen", "127.0.0.1:0", "--turn-listen", "127.0.0.1:0", "--data", t.TempDir()+"/data", "--max-sockets", "1048577")
	if code == 0 || !strings.Contains(errs, "open files") {
		t.Errorf("%d %s", code, errs)
	}
}

// TestAFloodOfRefusedSocketsIsCheap: beyond those that are told why over a WebSocket, the answer is a bare 503.
func TestAFloodOfRefusedSocketsIsCheap(t *testing.T) {
	s := NewWith(t, func(c *server.Config) { c.MaxSockets = 1 })
	good := s.Customer(NewCustomerKey())
	var open []*websocket.Conn
	bare := 0
	for bare == 0 && len(open) < 1000 {
		ws, resp, err := s.Dial("/ws/native", nil)
		switch {
		case err == nil: // it doesn't answer the close frame, so that its farewell lasts
			ws.SetCloseHandler(func(int, string) error { return nil })
			open = append(open, ws)
			defer ws.Close()
		case resp != nil && resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "5":
			bare++
		default:
			t.Fatal(err)
		}
	}
	if bare == 0 {
		t.Error("a thousand refused sockets, and each was told why at length")
	}
	good.Send(protocol.Ping{ID: "p"})
	Want[protocol.Pong](good, nil)
}

// TestPingsComeAndSilenceEnds is F09's: each socket is pinged, one that answers stays, one that does not is closed.
func TestPingsComeAndSilenceEnds(t *testing.T) {
	s := limited(t, func(l *server.Limits) { l.Ping, l.Dead = 50*time.Millisecond, 2*time.Second })
	silent, good := s.Customer(NewCustomerKey()), s.Customer(NewCustomerKey())
	pings := 0
	silent.WS.SetPingHandler(func(string) error { pings++; return nil })
	answered := good.Drain() // its library answers pings while it reads
	silent.WantClose(protocol.CloseIdle)
	if pings < 2 {
		t.Errorf("%d pings before the end", pings)
	}
	if err := good.WS.WriteMessage(websocket.TextMessage, protocol.Encode(protocol.Ping{ID: "p"})); err != nil {
		t.Errorf("the one that answers pings was closed too: %v", err)
	}
	until(t, "a line about the end", func() bool { return strings.Contains(s.Log.String(), "close=4002") })
	if log := s.Log.String(); strings.Count(log, "close=4002") != 1 {
		t.Errorf("not one end by silence:\n%s", log)
	}
	good.Close()
	answered()
}

// TestAFloodingSocketIsReadSlowly: what exceeds the burst is read at the rate, and nothing of it is lost.
func TestAFloodingSocketIsReadSlowly(t *testing.T) {
	s := limited(t, func(l *server.Limits) { l.SocketPerSecond, l.SocketBurst = 10, 5 })
	c := s.Customer(NewCustomerKey())
	begin := time.Now()
	const n = 15
	for i := range n {
		c.Send(protocol.Ping{ID: protocol.RequestID(fmt.Sprint(i))})
	}
	for i := range n {
		if p := Want[protocol.Pong](c, nil); p.ID != protocol.RequestID(fmt.Sprint(i)) {
			t.Fatalf("answer %d is for %s", i, p.ID)
		}
	}
	// Never faster, however slow this machine is: ten messages beyond the burst at ten a second.
	if took := time.Since(begin); took < 900*time.Millisecond {
		t.Errorf("%d messages were read in %s", n, took)
	}
}

// TestTheCloseFrameArrives: a client that goes on sending still learns why it was closed.
func TestTheCloseFrameArrives(t *testing.T) {
	s := New(t)
	for range 10 {
		c := s.Customer(NewCustomerKey())
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					if c.WS.WriteMessage(websocket.TextMessage, []byte(`{"type":"no such"}`)) != nil {
						return
					}
				}
			}
		}()
		c.WantClose(protocol.CloseBadMessage)
		close(stop)
		c.Close()
		<-stopped
	}
}

// TestProxiesClientsAreCountedApart is T35's at the gateway: behind a trusted proxy each client has its own limits, and
// without one nobody gets new ones by writing a header.
func TestProxiesClientsAreCountedApart(t *testing.T) {
	open := func(s *Server, ip string) error {
		ws, _, err := s.Dial("/ws/native", http.Header{"X-Forwarded-For": {ip}})
		if err != nil {
			return err
		}
		t.Cleanup(func() { ws.Close() })
		_, data, err := ws.ReadMessage()
		if err == nil && !strings.Contains(string(data), "hello.challenge") {
			err = fmt.Errorf("%s", data)
		}
		return err
	}
	few := func(c *server.Config) {
		c.Limits = server.DefaultLimits()
		c.Limits.IPSockets = 2
	}
	s := NewWith(t, func(c *server.Config) {
		few(c)
		c.TrustedProxies = prefixes("127.0.0.0/8")
	})
	for i := range 20 {
		if err := open(s, fmt.Sprintf("198.51.100.%d", i/2)); err != nil {
			t.Fatalf("socket %d: %v", i, err)
		}
	}
	if err := open(s, "198.51.100.0"); err == nil || !strings.Contains(err.Error(), "E_IP_LIMIT") {
		t.Errorf("a third of one address: %v", err)
	}
	s = NewWith(t, few)
	for i := range 2 {
		if err := open(s, fmt.Sprintf("198.51.100.%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(s, "198.51.100.2"); err == nil || !strings.Contains(err.Error(), "E_IP_LIMIT") {
		t.Errorf("a third that says it is another: %v", err)
	}
}

// TestDrain is F07's: while the server stops it says so, refuses new sockets with a time to come back, tells the open
// ones, and waits for one that does not answer no longer than it must.
func TestDrain(t *testing.T) {
	s := New(t)
	conns := make([]*Conn, 120)
	for i := range conns {
		conns[i] = s.Customer(NewCustomerKey())
	}
	deaf := s.Customer(NewCustomerKey())
	deaf.WS.SetCloseHandler(func(int, string) error { return nil })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Stop()
	}()
	for _, c := range conns {
		c.WantClose(protocol.CloseRestart)
	}
	resp, err := http.Get(s.URL() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var ready struct {
		Ready   bool
		Reasons []map[string]string
	}
	if err := json.NewDecoder(resp.Body).Decode(&ready); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusServiceUnavailable || ready.Ready || len(ready.Reasons) != 1 || ready.Reasons[0]["what"] != "drain" {
		t.Errorf("/readyz says %d %+v", resp.StatusCode, ready)
	}
	c := s.Bare("/ws/customer")
	if e := Want[protocol.Error](c, nil); e.Code != protocol.CodeBusy || e.RetryAfterMs <= 0 {
		t.Errorf("a new socket got %+v", e)
	}
	c.WantClose(protocol.CloseRestart)
	<-stopped
	deaf.WantClose(protocol.CloseRestart)
}

// TestKnownCustomersComeBack: the second hello of a key is the same customer.
func TestKnownCustomersComeBack(t *testing.T) {
	s := New(t)
	k := NewCustomerKey()
	first := s.Customer(k).Welcome.Customer
	if again := s.Customer(k).Welcome.Customer; again != first {
		t.Errorf("came back as %s, was %s", again, first)
	}
	s.Stop()
	s.Start()
	if again := s.Customer(k).Welcome.Customer; again != first {
		t.Errorf("came back after the restart as %s, was %s", again, first)
	}
}

// TestAHandshakeInAnyPiecesOpensASocket: whether it comes in one piece or byte by byte, and what is not allowed to come
// in gets the same answer.
func TestAHandshakeInAnyPiecesOpensASocket(t *testing.T) {
	s := New(t)
	const shake = "GET /ws/native HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Protocol: " + protocol.Subprotocol + "\r\nSec-WebSocket-Key: %s\r\n%s\r\n"
	const key = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 section 1.3
	for name, c := range map[string]struct {
		request string
		want    int
	}{
		"socket":     {fmt.Sprintf(shake, s.Addr, key, ""), 101},
		"origin":     {fmt.Sprintf(shake, s.Addr, key, "Origin: https://elsewhere.example\r\n"), 403},
		"host":       {fmt.Sprintf(shake, "elsewhere.example", key, ""), 421},
		"key":        {fmt.Sprintf(shake, s.Addr, "short", ""), 400},
		"no upgrade": {strings.Replace(fmt.Sprintf(shake, s.Addr, key, ""), "Upgrade: websocket\r\n", "", 1), 400},
	} {
		for _, piece := range []int{len(c.request), len(c.request) - 1, 1} {
			t.Run(fmt.Sprint(name, " in pieces of ", piece), func(t *testing.T) {
				conn, err := net.Dial("tcp", s.Addr)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if err := conn.SetDeadline(time.Now().Add(Patience)); err != nil {
					t.Fatal(err)
				}
				for part := range slices.Chunk([]byte(c.request), piece) {
					if _, err := conn.Write(part); err != nil {
						t.Fatal(err)
					}
				}
				read := bufio.NewReader(conn)
				resp, err := http.ReadResponse(read, nil)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != c.want || c.want == 101 && resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
					t.Fatalf("status %d, headers %v", resp.StatusCode, resp.Header)
				}
				if c.want != 101 {
					return
				}
				frame := make([]byte, 4)
				if _, err := io.ReadFull(read, frame); err != nil || frame[0] != 0x81 || frame[1] != 126 {
					t.Fatalf("%x, %v", frame, err)
				}
				data := make([]byte, int(frame[2])<<8|int(frame[3]))
				if _, err := io.ReadFull(read, data); err != nil {
					t.Fatal(err)
				}
				msg, err := protocol.Decode(data, protocol.Server)
				if _, ok := msg.(protocol.HelloChallenge); !ok || err != nil {
					t.Errorf("%s, %v", data, err)
				}
			})
		}
	}
}
