package viewer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/lookalong/lookalong/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var files = fstest.MapFS{
	"viewer.html": {Data: []byte("<!doctype html>viewer")},
	"viewer.js":   {Data: []byte("1")},
}

// start runs a viewer until the test ends.
func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Files = files
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func (s *Server) addr() string { return s.ln.Addr().String() }

// codeOf cuts the code out of a viewer's address.
func codeOf(url string) string {
	_, code, _ := strings.Cut(url, "#code=")
	return code
}

// get makes a request with a Host of its own, as a rebound name or another site's page would.
func get(t *testing.T, s *Server, method, path, host string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+s.addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func dial(s *Server, origin, host string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	if origin != "" {
		h.Set("Origin", origin)
	}
	if host != "" {
		h.Set("Host", host)
	}
	return websocket.DefaultDialer.Dial("ws://"+s.addr()+"/ws", h)
}

// open opens a page with a code or a token and returns its socket and token.
func open(t *testing.T, s *Server, hello protocol.ViewerHello) (*websocket.Conn, string) {
	t.Helper()
	ws, _, err := dial(s, "http://"+s.addr(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	send(ws, hello)
	w, ok := next(t, ws).(protocol.ViewerWelcome)
	if !ok || len(w.Token) != 43 {
		t.Fatalf("no welcome: %+v", w)
	}
	return ws, w.Token
}

func send(ws *websocket.Conn, msg any) {
	_ = ws.WriteMessage(websocket.TextMessage, protocol.Encode(msg))
}

// next reads the next message: a value of the protocol, or a *protocol.Frame.
func next(t *testing.T, ws *websocket.Conn) any {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	kind, data, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if kind == websocket.BinaryMessage {
		c, payload, err := protocol.ParseChunk(data[:min(len(data), protocol.MaxChannelBytes)])
		if err != nil || c.Chunk != 0 || c.Chunks != 1 {
			t.Fatalf("frame header: %+v, %v", c, err)
		}
		return &protocol.Frame{Kind: c.Kind, Stream: c.Stream, Frame: c.Frame, CaptureMs: c.CaptureMs, Data: payload}
	}
	msg, err := protocol.Decode(data, protocol.ViewerHost)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func nextFrame(t *testing.T, ws *websocket.Conn) *protocol.Frame {
	t.Helper()
	for {
		if f, ok := next(t, ws).(*protocol.Frame); ok {
			return f
		}
	}
}

// closed reads until the socket closes and returns the close error.
func closed(t *testing.T, ws *websocket.Conn) *websocket.CloseError {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			ce := &websocket.CloseError{}
			if !errors.As(err, &ce) {
				t.Fatalf("ended with %v", err)
			}
			return ce
		}
	}
}

func TestFilesAreForThisHostOnly(t *testing.T) {
	s := start(t, Config{})
	for _, c := range []struct {
		method, path, host string
		want               int
	}{
		{"GET", "/", "", 200}, {"HEAD", "/", "", 200}, {"GET", "/assets/viewer.js", "", 200},
		{"GET", "/viewer.html", "", 404}, {"GET", "/assets/../viewer.html", "", 404}, {"GET", "/assets/nothing.js", "", 404}, {"GET", "/assets/", "", 404},
		{"POST", "/", "", 403}, {"OPTIONS", "/", "", 403}, {"PUT", "/assets/viewer.js", "", 403},
		{"GET", "/", "evil.example", 403}, {"GET", "/", "localhost:" + port(s), 403}, {"GET", "/", "127.0.0.1", 403},
		{"GET", "/", "127.0.0.1:1", 403}, {"GET", "/", "127.0.0.1:" + port(s) + ".evil.example", 403},
		{"GET", "/assets/viewer.js", "evil.example:" + port(s), 403},
		{"GET", "/ws", "", 403}, // no Origin
	} {
		resp := get(t, s, c.method, c.path, c.host)
		if resp.StatusCode != c.want {
			t.Errorf("%s %s with Host %q: %d, want %d", c.method, c.path, c.host, resp.StatusCode, c.want)
		}
		for _, h := range []string{"Access-Control-Allow-Origin", "Set-Cookie"} {
			if resp.Header.Get(h) != "" {
				t.Errorf("%s %s: header %s", c.method, c.path, h)
			}
		}
	}
	resp := get(t, s, "GET", "/", "")
	body, _ := io.ReadAll(resp.Body)
	if !bytes.Contains(body, []byte("viewer")) {
		t.Errorf("body: %s", body)
	}
	csp := resp.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "connect-src 'self' ws://" + s.addr(), "require-trusted-types-for 'script'"} {
		if !strings.Contains(csp, part) {
			t.Errorf("the policy lacks %s: %s", part, csp)
		}
	}
}

func port(s *Server) string { _, p, _ := net.SplitHostPort(s.addr()); return p }

func TestSocketNeedsOurOriginAndHost(t *testing.T) {
	s := start(t, Config{})
	for _, c := range []struct{ origin, host string }{
		{"", ""}, {"null", ""}, {"http://evil.example", ""}, {"http://localhost:" + port(s), ""}, {"https://" + s.addr(), ""},
		{"http://127.0.0.1", ""}, {"http://" + s.addr() + "/", ""}, {"http://" + s.addr() + ".evil.example", ""},
		{"http://" + s.addr(), "evil.example"}, {"http://evil.example:" + port(s), "evil.example:" + port(s)},
	} {
		ws, resp, err := dial(s, c.origin, c.host)
		if err == nil {
			ws.Close()
			t.Errorf("Origin %q, Host %q was let in", c.origin, c.host)
		} else if resp == nil || resp.StatusCode != 403 {
			t.Errorf("Origin %q, Host %q: %v", c.origin, c.host, err)
		}
	}
}

func TestCodeIsGoodOnce(t *testing.T) {
	s := start(t, Config{})
	url := s.URL()
	if !strings.HasPrefix(url, "http://"+s.addr()+"/#code=") {
		t.Fatal(url)
	}
	_, token := open(t, s, protocol.ViewerHello{Code: codeOf(url)})
	open(t, s, protocol.ViewerHello{Token: token}) // the page comes back with its token
	for _, hello := range []protocol.ViewerHello{{Code: codeOf(url)}, {}, {Code: "guess"}, {Token: "guess"}, {Token: codeOf(url)}} {
		ws, _, err := dial(s, "http://"+s.addr(), "")
		if err != nil {
			t.Fatal(err)
		}
		send(ws, hello)
		if ce := closed(t, ws); ce.Code != int(protocol.CloseAuth) || ce.Text != string(ErrCode) {
			t.Errorf("%+v: closed with %d %q", hello, ce.Code, ce.Text)
		}
		ws.Close()
	}
}

func TestCodeLapses(t *testing.T) {
	g := NewGuard(1)
	now := time.Now()
	g.now = func() time.Time { return now }
	late, timely := g.Code(), g.Code()
	now = now.Add(codeLife)
	if _, err := g.Admit(protocol.ViewerHello{Code: timely}); err != nil {
		t.Errorf("after 60 s: %v", err)
	}
	now = now.Add(time.Millisecond)
	if _, err := g.Admit(protocol.ViewerHello{Code: late}); err != ErrCode {
		t.Errorf("after 60.001 s: %v", err)
	}
	first := g.Code()
	for range maxCodes {
		g.Code()
	}
	if _, err := g.Admit(protocol.ViewerHello{Code: first}); err != ErrCode {
		t.Errorf("the oldest of too many codes: %v", err)
	}
}

func TestBadMessageClosesThePage(t *testing.T) {
	s := start(t, Config{})
	ws, _ := open(t, s, protocol.ViewerHello{Code: codeOf(s.URL())})
	_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"viewer.painted","frame":1,"atMs":1,"more":1}`))
	if ce := closed(t, ws); ce.Code != int(protocol.CloseBadMessage) {
		t.Errorf("closed with %d", ce.Code)
	}
}

func TestPictureReachesEachPage(t *testing.T) {
	codecs, painted, keys := make(chan []string, 4), make(chan uint32, 4), make(chan struct{}, 100)
	s := start(t, Config{
		OnCodecs: func(c []string) { codecs <- c }, OnPainted: func(_ uint8, f uint32, _ int64) { painted <- f },
		OnKeyframe: func(uint8) { keys <- struct{}{} },
	})
	ws, _ := open(t, s, protocol.ViewerHello{Code: codeOf(s.URL())})
	if st := next(t, ws).(protocol.ViewerState); st.State != "waiting" || st.Verification != "unchecked" {
		t.Errorf("first state: %+v", st)
	}
	send(ws, protocol.ViewerCodecs{Decodable: []string{"av01"}})
	if got := <-codecs; len(got) != 1 || got[0] != "av01" {
		t.Errorf("codecs: %v", got)
	}
	s.Push(key(1)) // before the configuration: it waits
	s.SetState(protocol.ViewerState{State: "connected", Conversation: "abcdef"})
	s.SetConfig(protocol.ViewerConfig{Codec: "av01", Width: 10, Height: 10, Surface: "window"})
	s.Push(delta(2))
	var got []string
	for len(got) < 4 {
		switch m := next(t, ws).(type) {
		case protocol.ViewerState:
			got = append(got, m.State)
		case protocol.ViewerConfig:
			got = append(got, m.Codec)
		case *protocol.Frame:
			got = append(got, string(m.Data))
		}
	}
	if strings.Join(got, " ") != "connected av01 k1 d2" {
		t.Errorf("got %v", got)
	}
	send(ws, protocol.ViewerPainted{Frame: 2, AtMs: 5})
	if f := <-painted; f != 2 {
		t.Errorf("painted %d", f)
	}
	// A new page begins with the chain since the last key frame.
	ws2, _ := open(t, s, protocol.ViewerHello{Code: codeOf(s.URL())})
	if a, b := nextFrame(t, ws2), nextFrame(t, ws2); a.Frame != 1 || a.Kind != protocol.FrameKey || b.Frame != 2 {
		t.Errorf("chain: %d, %d", a.Frame, b.Frame)
	}
	// A page that cannot decode gets nothing before the next key frame.
	send(ws2, protocol.ViewerKeyframe{})
	<-keys
	s.Push(delta(3))
	if f := nextFrame(t, ws); f.Frame != 3 {
		t.Errorf("the other page got frame %d", f.Frame)
	}
	s.Push(key(4))
	if f := nextFrame(t, ws2); f.Frame != 4 {
		t.Errorf("after the broken chain came frame %d", f.Frame)
	}
}

func TestPortIsTaken(t *testing.T) {
	s := start(t, Config{})
	if _, err := New(Config{Files: files, Port: s.Port()}); err == nil || !strings.Contains(err.Error(), "127.0.0.1:"+port(s)) {
		t.Errorf("got %v", err)
	}
}

func key(n uint32) *protocol.Frame { return frame(protocol.FrameKey, n, "k") }

func delta(n uint32) *protocol.Frame { return frame(protocol.FrameDelta, n, "d") }

func frame(kind protocol.FrameKind, n uint32, mark string) *protocol.Frame {
	return &protocol.Frame{Kind: kind, Frame: n, Data: append([]byte(mark), byte('0'+n%10))}
}

func TestQueue(t *testing.T) {
	asked := 0
	q := NewQueue(func() { asked++ })
	take := func(r *Reader) (out []uint32) {
		for f := q.Take(r); f != nil; f = q.Take(r) {
			out = append(out, f.Frame)
		}
		return out
	}
	want := func(what string, got []uint32, want ...uint32) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: got %v, want %v", what, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%s: got %v, want %v", what, got, want)
			}
		}
	}
	early := q.Join(make(chan struct{}, 1))
	if asked != 0 {
		t.Fatal("asked for a key frame before there was a stream")
	}
	q.Push(key(1))
	want("the first", take(early), 1)
	slow := q.Join(make(chan struct{}, 1))
	for n := uint32(2); n <= maxChainFrames; n++ {
		q.Push(delta(n))
		take(early)
	}
	q.Push(delta(maxChainFrames + 1)) // over the bound: the slow page is lost, the other goes on
	want("up to date at the overflow", take(early), maxChainFrames+1)
	want("behind at the overflow", take(slow))
	if asked == 0 {
		t.Fatal("no key frame was asked for")
	}
	asked = 0
	late := q.Join(make(chan struct{}, 1)) // no whole chain any more
	if asked != 1 {
		t.Fatal("a page that joins needs a key frame")
	}
	q.Push(key(500))
	for _, r := range []*Reader{early, slow, late} {
		want("after the key frame", take(r), 500)
	}
	asked = 0
	q.Push(delta(502)) // 501 is missing
	want("after a gap", take(early))
	if asked != 1 {
		t.Fatal("a gap needs a key frame")
	}
	q.Push(key(600))
	big := &protocol.Frame{Kind: protocol.FrameDelta, Frame: 601, Data: make([]byte, maxChainBytes)}
	q.Push(big)
	if len(q.frames) != 1 || q.bytes != maxChainBytes {
		t.Fatalf("%d frames of %d bytes are kept", len(q.frames), q.bytes)
	}
	q.Reset()
	q.Push(delta(700)) // of another session, without a key frame
	want("after a reset", take(early))
	q.Leave(early)
}

// TestQueueWaitsForABurst: at the chain's end a page that has not taken the last few frames loses none of them; one that is
// far behind does, and the others go on.
func TestQueueWaitsForABurst(t *testing.T) {
	asked := 0
	q := NewQueue(func() { asked++ })
	near, far := q.Join(make(chan struct{}, 1)), q.Join(make(chan struct{}, 1))
	q.Push(key(1))
	for n := uint32(2); n <= maxChainFrames; n++ {
		if n <= maxChainFrames-maxBehind {
			q.Take(far)
		}
		if n < maxChainFrames-5 {
			q.Take(near)
		}
		q.Push(delta(n))
	}
	for n := uint32(maxChainFrames + 1); n < maxChainFrames+4; n++ {
		q.Push(delta(n))
	}
	for want := uint32(maxChainFrames - 6); want < maxChainFrames+4; want++ {
		if f := q.Take(near); f == nil || f.Frame != want {
			t.Fatalf("took %+v, want frame %d", f, want)
		}
	}
	if f := q.Take(far); f != nil || asked == 0 {
		t.Errorf("the page far behind got frame %+v, and %d key frames were asked for", f, asked)
	}
	q.Push(key(300))
	for _, r := range []*Reader{near, far} {
		if f := q.Take(r); f == nil || f.Frame != 300 {
			t.Errorf("got %+v, want the key frame", f)
		}
	}
}

func TestQueueStill(t *testing.T) {
	q := NewQueue(func() {})
	wake := make(chan struct{}, 1)
	r := q.Join(wake)
	still := func(n uint32) *protocol.Frame { return frame(protocol.FrameStill, n, "s") }
	take := func(r *Reader) string {
		f := q.Take(r)
		if f == nil {
			return ""
		}
		return string(f.Data)
	}
	q.Push(key(1))
	q.Push(delta(2))
	<-wake
	q.Still(still(2))
	<-wake
	late := q.Join(make(chan struct{}, 1))
	for _, r := range []*Reader{r, late} {
		for _, want := range []string{"k1", "d2", "s2", ""} { // after the frame that it replaces, and once
			if got := take(r); got != want {
				t.Fatalf("took %q, want %q", got, want)
			}
		}
	}
	q.Still(still(2))
	q.Push(delta(3)) // it moves: the chain goes first, and the page hears that the still came
	if got := take(r) + take(r) + take(r); got != "d3s2" {
		t.Errorf("took %q", got)
	}
	fresh := q.Join(wake)
	if got := take(fresh) + take(fresh) + take(fresh) + take(fresh); got != "k1d2d3" {
		t.Errorf("a page that joins gets %q: an old still is none of its own", got)
	}
	q.Reset()
	if got := take(q.Join(wake)); got != "" {
		t.Errorf("after a reset came %q", got)
	}
}

// TestStreams: each has its own chain, its own configuration and its own end.
func TestStreams(t *testing.T) {
	keys, painted, stills := make(chan uint8, 100), make(chan uint8, 4), make(chan bool, 4)
	s := start(t, Config{
		OnKeyframe: func(i uint8) { keys <- i }, OnPainted: func(i uint8, _ uint32, _ int64) { painted <- i },
		OnStill: func(i uint8, auto bool) { stills <- auto && i == 3 },
	})
	ws, _ := open(t, s, protocol.ViewerHello{Code: codeOf(s.URL())})
	on := func(i uint8, f *protocol.Frame) *protocol.Frame { f.Stream = i; return f }
	want := func(what string, want ...string) {
		t.Helper()
		got := map[string]bool{}
		for len(got) < len(want) {
			switch m := next(t, ws).(type) {
			case protocol.ViewerConfig:
				got[m.Codec] = true
			case protocol.ViewerRemoved:
				got["-"+string(rune('0'+m.Stream))] = true
			case protocol.ViewerLevel:
				got[m.Level] = true
			case protocol.ViewerRefused:
				got[m.Why] = true
			case *protocol.Frame:
				got[string(rune('0'+m.Stream))+string(m.Data)] = true
			}
		}
		for _, w := range want {
			if !got[w] {
				t.Errorf("%s: got %v, want %v", what, got, want)
			}
		}
	}
	s.SetConfig(protocol.ViewerConfig{Codec: "a", Surface: "window"})
	s.SetConfig(protocol.ViewerConfig{Stream: 3, Codec: "b", Surface: "camera"})
	s.Push(key(1))
	s.Push(on(3, key(9)))
	want("both", "a", "b", "0k1", "3k9")
	s.Push(delta(2))
	s.Push(on(3, delta(11))) // 10 is missing: that chain alone ends
	want("after a gap in one", "0d2")
	if i := <-keys; i != 3 {
		t.Errorf("a key frame of stream %d was asked for", i)
	}
	send(ws, protocol.ViewerPainted{Stream: 3, Frame: 9})
	send(ws, protocol.ViewerStill{Stream: 3, Auto: true})
	if i, ok := <-painted, <-stills; i != 3 || !ok {
		t.Errorf("painted %d, still %v", i, ok)
	}
	s.RefuseStill(3, "large")
	s.SetLevel(protocol.ViewerLevel{Stream: 3, Level: "stills", Why: "path"})
	want("what went wrong", "large", "stills")
	s.Remove(3)
	s.Push(delta(3))
	want("one is gone", "-3", "0d3")
	s.Push(on(3, key(1))) // of nothing that is known
	s.SetConfig(protocol.ViewerConfig{Codec: "c"})
	want("no frame without a configuration", "c")
	s.Reset()
	s.SetConfig(protocol.ViewerConfig{Codec: "d"}) // at once: the page must still hear that the old one is gone
	want("another session", "-0", "d")
	ws2, _ := open(t, s, protocol.ViewerHello{Code: codeOf(s.URL())})
	for {
		m := next(t, ws2)
		if _, old := m.(protocol.ViewerRefused); old {
			t.Fatal("a page hears of a refusal before its time")
		}
		if c, ok := m.(protocol.ViewerConfig); ok {
			if c.Codec != "d" {
				t.Errorf("a new page got %+v", c)
			}
			break
		}
	}
}

// FuzzViewerGuard: only our own name and origin pass, whatever a request says.
func FuzzViewerGuard(f *testing.F) {
	for _, s := range []string{"127.0.0.1:4321", "127.0.0.1:4321 ", "localhost:4321", "127.0.0.1:04321", "evil.example", "127.0.0.1:4321\x00", "[::1]:4321"} {
		f.Add(s, "http://"+s, "GET", "code", "token")
	}
	f.Fuzz(func(t *testing.T, host, origin, method, code, token string) {
		g := NewGuard(4321)
		g.Code()
		r := &http.Request{Host: host, Method: method, Header: http.Header{"Origin": {origin}}}
		if g.Request(r) == nil && (host != "127.0.0.1:4321" || method != "GET" && method != "HEAD") {
			t.Fatalf("let in: %s %q", method, host)
		}
		if g.Upgrade(r) == nil && (host != "127.0.0.1:4321" || origin != "http://127.0.0.1:4321") {
			t.Fatalf("let in: %q from %q", host, origin)
		}
		if got, err := g.Admit(protocol.ViewerHello{Code: code, Token: token}); err == nil {
			t.Fatalf("%q, %q was admitted as %q", code, token, got)
		}
	})
}
