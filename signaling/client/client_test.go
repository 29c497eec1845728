package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/lookalong/lookalong/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))

// server is a small real WebSocket server: it does the hello and hands each socket to serve.
type server struct {
	t     *testing.T
	http  *httptest.Server
	serve func(n int, ws *websocket.Conn)
	mu    sync.Mutex
	count int
}

func newServer(t *testing.T, serve func(n int, ws *websocket.Conn)) *server {
	s := &server{t: t, serve: serve}
	s.http = httptest.NewServer(http.HandlerFunc(s.handle))
	t.Cleanup(s.http.Close)
	return s
}

func (s *server) handle(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") != "" || r.URL.Path != "/ws/agent" {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	if ext := r.Header.Get("Sec-WebSocket-Extensions"); ext != "" {
		s.t.Errorf("the client asked for %s", ext)
	}
	up := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}}
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	s.mu.Lock()
	n := s.count
	s.count++
	s.mu.Unlock()
	nonce := bytes.Repeat([]byte{9}, 32)
	put(ws, protocol.HelloChallenge{Nonce: protocol.B64.EncodeToString(nonce), ServerTime: time.Now(), Versions: []int{1, 99}})
	_, data, err := ws.ReadMessage()
	if err != nil {
		return
	}
	msg, err := protocol.Decode(data, protocol.Agent)
	proof, ok := msg.(protocol.HelloProof)
	if err != nil || !ok {
		s.t.Errorf("proof: %v %T", err, msg)
		return
	}
	pub, _ := protocol.B64.DecodeString(proof.Pub)
	cnonce, _ := protocol.B64.DecodeString(proof.CNonce)
	sig, _ := protocol.B64.DecodeString(proof.Sig)
	if proof.Host != r.Host || !ed25519.Verify(pub, protocol.HelloBytes("agent", r.Host, nonce, cnonce, pub), sig) {
		s.t.Errorf("the proof does not verify for host %q", proof.Host)
	}
	s.serve(n, ws)
}

func put(ws *websocket.Conn, msg any) {
	_ = ws.WriteMessage(websocket.TextMessage, protocol.Encode(msg))
}

func welcome(ws *websocket.Conn) {
	put(ws, protocol.HelloWelcome{Connection: "c1", Version: 1, SiteName: "Example", ReconnectSpreadMs: 1})
}

func closeWith(ws *websocket.Conn, code protocol.CloseCode, reason string) {
	_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(int(code), reason), time.Now().Add(time.Second))
	_, _, _ = ws.ReadMessage() // the client's own close
}

// each hands decoded messages to fn until the socket ends.
func each(ws *websocket.Conn, fn func(msg any)) {
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return
		}
		if msg, err := protocol.Decode(data, protocol.Agent); err == nil {
			fn(msg)
		}
	}
}

// start runs a client and returns the channel of Run's error.
func start(t *testing.T, cfg Config) (*Client, chan error) {
	t.Helper()
	cfg.Role, cfg.Key = "agent", testKey
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	done := make(chan struct{})
	go func() { ended <- c.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return c, ended
}

func ctx10(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestRequestAndPush(t *testing.T) {
	s := newServer(t, func(_ int, ws *websocket.Conn) {
		welcome(ws)
		each(ws, func(msg any) {
			switch m := msg.(type) {
			case protocol.Ping:
				_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"future.thing","x":1}`))
				_ = ws.WriteMessage(websocket.TextMessage, []byte(`not json`))
				put(ws, protocol.PresenceTyping{Conversation: "k", From: "customer", Typing: true})
				put(ws, protocol.Pong{ID: m.ID})
			case protocol.QueueClaim:
				put(ws, protocol.Error{ID: m.ID, Code: protocol.CodeTaken, Text: "Taken by Ana."})
			}
		})
	})
	var got []any
	c, _ := start(t, Config{URL: s.http.URL, OnMessage: func(msg any) { got = append(got, msg) }})
	if err := c.WaitOnline(ctx10(t)); err != nil {
		t.Fatal(err)
	}
	if c.Welcome().SiteName != "Example" {
		t.Errorf("welcome: %+v", c.Welcome())
	}
	reply, err := c.Request(ctx10(t), protocol.Ping{})
	if _, ok := reply.(protocol.Pong); !ok || err != nil {
		t.Fatalf("got %T, %v", reply, err)
	}
	if len(got) != 1 { // happened before the answer, in order
		t.Errorf("pushes: %v", got)
	}
	_, err = c.Request(ctx10(t), protocol.QueueClaim{Conversation: "k"})
	if u := new(protocol.UserError); !errors.As(err, &u) || u.Code != protocol.CodeTaken || u.Text != "Taken by Ana." {
		t.Errorf("got %v", err)
	}
}

func TestChatIsResentInOrderUntilStored(t *testing.T) {
	var mu sync.Mutex
	seen := map[protocol.RequestID]int{}
	var stored []string
	var refused bool
	s := newServer(t, func(n int, ws *websocket.Conn) {
		welcome(ws)
		each(ws, func(msg any) {
			m, ok := msg.(protocol.ChatSend)
			if !ok {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen[m.ID]++
			if n == 0 { // the first socket loses everything after it took two
				if len(seen) == 2 {
					ws.Close()
				}
				return
			}
			if !refused { // then one pause
				refused = true
				put(ws, protocol.Error{ID: m.ID, Code: protocol.CodeRate, Text: "Slower.", RetryAfterMs: 1})
				return
			}
			for i, text := range stored {
				if text == m.Text {
					put(ws, protocol.Ack{ID: m.ID, Seq: int64(i + 1)})
					return
				}
			}
			stored = append(stored, m.Text)
			put(ws, protocol.Ack{ID: m.ID, Seq: int64(len(stored))})
		})
	})
	c, _ := start(t, Config{URL: s.http.URL})
	if err := c.WaitOnline(ctx10(t)); err != nil {
		t.Fatal(err)
	}
	const n = 300 // more than the window and the outbox of the socket
	acks := make(chan protocol.Ack, n)
	for i := range n {
		c.Post("k", fmt.Sprint("text ", i), func(ack protocol.Ack, err error) {
			if err != nil {
				t.Error(err)
			}
			acks <- ack
		})
	}
	for range n {
		select {
		case <-acks:
		case <-ctx10(t).Done():
			t.Fatal("a message was never acknowledged")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(stored) != n {
		t.Fatalf("stored %d", len(stored))
	}
	// The refused first one is overtaken by at most a window; all others keep their order.
	for i := 1; i < len(stored); i++ {
		if stored[i] != "text 0" && stored[i-1] != "text 0" && number(stored[i]) < number(stored[i-1]) {
			t.Fatalf("out of order: %q after %q", stored[i], stored[i-1])
		}
	}
}

// TestOnDelayTellsWhyChatWaits: once for the pause, with the server's reason for the first that it refused.
func TestOnDelayTellsWhyChatWaits(t *testing.T) {
	const n = 5
	var got []protocol.ChatSend
	s := newServer(t, func(_ int, ws *websocket.Conn) {
		welcome(ws)
		each(ws, func(msg any) {
			m, ok := msg.(protocol.ChatSend)
			if !ok {
				return
			}
			if got = append(got, m); len(got) > n {
				put(ws, protocol.Ack{ID: m.ID, Seq: int64(len(got) - n)})
			}
			if len(got) == n {
				for i, m := range got {
					why := protocol.Error{ID: m.ID, Code: protocol.CodeReadOnly, Text: "Full.", RetryAfterMs: 1000}
					if i > 0 {
						why.Code, why.Text = protocol.CodeRate, "Slower."
					}
					put(ws, why)
				}
			}
		})
	})
	var told []protocol.UserError
	c, _ := start(t, Config{URL: s.http.URL, OnDelay: func(why *protocol.UserError) { told = append(told, *why) }})
	if err := c.WaitOnline(ctx10(t)); err != nil {
		t.Fatal(err)
	}
	stored := make(chan error, n)
	for i := range n {
		c.Post("k", fmt.Sprint("text ", i), func(_ protocol.Ack, err error) { stored <- err })
	}
	for range n {
		select {
		case err := <-stored:
			if err != nil {
				t.Error(err)
			}
		case <-ctx10(t).Done():
			t.Fatal("a message was never stored")
		}
	}
	if len(told) != 1 || told[0] != (protocol.UserError{Code: protocol.CodeReadOnly, Text: "Full.", RetryAfterMs: 1000}) {
		t.Errorf("told %+v", told)
	}
}

// The server limits: it refuses everything until the announced wait is over. Order is kept, and nobody knocks meanwhile.
func TestOrderIsKeptAcrossARefusal(t *testing.T) {
	const n, burst, wait = 40, 5, 300 * time.Millisecond
	var mu sync.Mutex
	var stored []string
	var refused, left = 0, burst
	var until time.Time
	posted := make(chan struct{})
	s := newServer(t, func(_ int, ws *websocket.Conn) {
		welcome(ws)
		<-posted // all that may be under way is
		each(ws, func(msg any) {
			m, ok := msg.(protocol.ChatSend)
			if !ok {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now(); left == 0 && len(stored) == burst {
				if until.IsZero() {
					until = now.Add(wait)
				}
				if now.Before(until) {
					refused++
					put(ws, protocol.Error{ID: m.ID, Code: protocol.CodeRate, Text: "Slower.", RetryAfterMs: until.Sub(now).Milliseconds() + 1})
					return
				}
			} else if left > 0 {
				left--
			}
			stored = append(stored, m.Text)
			put(ws, protocol.Ack{ID: m.ID, Seq: int64(len(stored))})
		})
	})
	c, _ := start(t, Config{URL: s.http.URL})
	if err := c.WaitOnline(ctx10(t)); err != nil {
		t.Fatal(err)
	}
	acks := make(chan error, n)
	for i := range n {
		c.Post("k", fmt.Sprint("text ", i), func(_ protocol.Ack, err error) { acks <- err })
	}
	close(posted)
	for range n {
		select {
		case err := <-acks:
			if err != nil {
				t.Error(err)
			}
		case <-ctx10(t).Done():
			t.Fatal("a message was never acknowledged")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for i, text := range stored {
		if number(text) != i {
			t.Fatalf("out of order: %q", stored)
		}
	}
	if refused == 0 || refused > 16 { // the burst that the server allows is 20
		t.Errorf("%d refused, want 1 to 16", refused)
	}
}

func number(s string) (n int) { fmt.Sscanf(s, "text %d", &n); return }

func TestPermanentErrorEndsAPost(t *testing.T) {
	s := newServer(t, func(_ int, ws *websocket.Conn) {
		welcome(ws)
		each(ws, func(msg any) {
			if m, ok := msg.(protocol.ChatSend); ok {
				put(ws, protocol.Error{ID: m.ID, Code: protocol.CodeNotOwner, Text: "Claim it first."})
			}
		})
	})
	c, _ := start(t, Config{URL: s.http.URL})
	_, err := c.Send(ctx10(t), "k", "hello") // also before it is online
	if u := new(protocol.UserError); !errors.As(err, &u) || u.Code != protocol.CodeNotOwner {
		t.Errorf("got %v", err)
	}
	if len(c.outbox) != 0 {
		t.Error("the refused message stayed in the outbox")
	}
}

func TestRequestFailsWhenTheSocketDrops(t *testing.T) {
	s := newServer(t, func(n int, ws *websocket.Conn) {
		welcome(ws)
		each(ws, func(any) { ws.Close() })
	})
	c, _ := start(t, Config{URL: s.http.URL})
	if err := c.WaitOnline(ctx10(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Request(ctx10(t), protocol.Ping{}); !errors.Is(err, ErrOffline) {
		t.Errorf("got %v", err)
	}
}

func TestCloseCodes(t *testing.T) {
	for _, row := range protocol.CloseTable {
		t.Run(row.Name, func(t *testing.T) {
			s := newServer(t, func(n int, ws *websocket.Conn) {
				if row.Code == protocol.CloseAuth { // refused in the hello, with a sentence
					put(ws, protocol.Error{Code: protocol.CodeInvite, Text: "This invite was used already."})
				} else {
					welcome(ws)
				}
				closeWith(ws, row.Code, "E_SOMETHING")
			})
			waiting := make(chan error, 100) // more than the retries of one test
			_, ended := start(t, Config{URL: s.http.URL, OnState: func(st State, err error) {
				if st == Waiting {
					waiting <- err
				}
			}})
			select {
			case err := <-ended:
				stop := new(StopError)
				if row.Reconnect || !errors.As(err, &stop) || stop.Code != row.Code || stop.Text == "" {
					t.Errorf("ended with %v", err)
				}
				if row.Code == protocol.CloseAuth && stop.Text != "This invite was used already." {
					t.Errorf("got %q", stop.Text)
				}
			case err := <-waiting:
				lost := new(LostError)
				if !row.Reconnect || !errors.As(err, &lost) || lost.Code != row.Code || strings.Contains(lost.Text, "(") {
					t.Errorf("waits after %v", err)
				}
			case <-ctx10(t).Done():
				t.Fatal("nothing happened")
			}
		})
	}
}

func TestFailFast(t *testing.T) {
	s := newServer(t, nil)
	s.http.Close()
	_, ended := start(t, Config{URL: s.http.URL, FailFast: true})
	if err := <-ended; !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	_, ended = start(t, Config{URL: web.URL, FailFast: true})
	if err := <-ended; !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "not as a Lookalong server") {
		t.Errorf("got %v", err)
	}
}

func TestOnlineRunsBeforeChat(t *testing.T) {
	order := make(chan string, 4)
	s := newServer(t, func(_ int, ws *websocket.Conn) {
		welcome(ws)
		each(ws, func(msg any) { order <- protocol.RowOf(msg).Type })
	})
	var c *Client
	ready := make(chan struct{})
	c, _ = start(t, Config{URL: s.http.URL, OnState: func(st State, _ error) {
		if st == Online {
			<-ready
			c.Post("k", "from a callback", func(protocol.Ack, error) {})
			c.Ask(protocol.ConversationWatch{Conversation: "k", Hold: true}, func(any, error) {})
		}
	}})
	c.Post("k", "early", func(protocol.Ack, error) {})
	close(ready)
	if first := <-order; first != "conversation.watch" {
		t.Errorf("first came %s", first)
	}
}

func TestBackoff(t *testing.T) {
	spread := 3 * time.Second
	for _, c := range []struct {
		attempt int
		random  float64
		want    time.Duration
	}{
		{0, 0, 0}, {0, 0.5, 1500 * time.Millisecond}, {1, 1, 500 * time.Millisecond}, {2, 1, time.Second},
		{3, 0.5, time.Second}, {6, 1, 16 * time.Second}, {7, 1, 20 * time.Second}, {1000, 1, 20 * time.Second}, {4, 0, 0},
	} {
		if got := Backoff(c.attempt, spread, c.random); got != c.want {
			t.Errorf("Backoff(%d, %s, %v) = %s, want %s", c.attempt, spread, c.random, got, c.want)
		}
	}
}

func TestNewRefusesBadAddresses(t *testing.T) {
	for _, u := range []string{"", "localhost:8080", "ftp://x", "http://", "http://u:p@x", "http://x/path", "http://x?q", "http://x#f"} {
		if _, err := New(Config{URL: u, Role: "agent", Key: testKey}); err == nil {
			t.Errorf("%q was accepted", u)
		}
	}
	if _, err := New(Config{URL: "https://help.example.com/", Role: "agent", Key: testKey}); err != nil {
		t.Error(err)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	cfg := Config{URL: "http://x", Role: "agent", Key: testKey, Invite: "SECRET-INVITE"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "cfg", cfg)
	for _, s := range []string{fmt.Sprintf("%v", cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg), log.String()} {
		if strings.Contains(s, "SECRET") || strings.Contains(s, fmt.Sprint([]byte(testKey)[:4])) || !strings.Contains(s, "[redacted]") {
			t.Errorf("got %s", s)
		}
	}
}
