package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	. "github.com/lookalong/lookalong/signaling/servertest"
)

// lockedBuffer is written by the program and read by the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// main runs the program to its end.
func runMain(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	s, o, e := term.Test("")
	code = server.Main(t.Context(), args, s)
	return code, o.String(), e.String()
}

// serve runs the program until the test ends, and returns what it prints once it is ready.
func serve(t *testing.T, args ...string) (out *lockedBuffer, stop func() int) {
	t.Helper()
	out = &lockedBuffer{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() {
		done <- server.Main(ctx, append([]string{"serve"}, args...), term.Streams{In: strings.NewReader(""), Out: out, Err: out, Width: 80})
	}()
	stop = sync.OnceValue(func() int {
		cancel()
		return <-done
	})
	t.Cleanup(func() { stop() })
	deadline := time.Now().Add(Patience)
	for !strings.Contains(out.String(), "Lookalong is running") {
		if time.Now().After(deadline) {
			t.Fatalf("not running: %s", out)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return out, stop
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestMistakesGetASentenceAndAnExitCode(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	for name, c := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"port taken":          {[]string{"serve", "--listen", taken.Addr().String(), "--data", data}, 1, []string{"in use by another program", "hint: stop that program", "--listen"}},
		"no such address":     {[]string{"serve", "--listen", "203.0.113.1:80", "--data", data}, 1, []string{"not an address of this machine", "hint:"}},
		"data is a file":      {[]string{"serve", "--listen", "127.0.0.1:0", "--turn-listen", "127.0.0.1:0", "--data", file}, 1, []string{file, "hint:", "--data"}},
		"data open to others": {[]string{"serve", "--listen", "127.0.0.1:0", "--turn-listen", "127.0.0.1:0", "--data", open}, 1, []string{open, "hint:", "chmod 700"}},
		"open to the world":   {[]string{"serve", "--listen", "0.0.0.0:0", "--data", data}, 2, []string{"--url"}},
		"bad URL":             {[]string{"serve", "--url", "help.example.com"}, 2, []string{"--url", "https://"}},
		"certificate alone":   {[]string{"serve", "--tls-cert", "x"}, 2, []string{"--tls-key"}},
		"no certificate":      {[]string{"serve", "--url", "https://x", "--tls-cert", "/nowhere", "--tls-key", "/nowhere"}, 1, []string{"certificate", "hint:"}},
		"bad ports":           {[]string{"serve", "--relay-ports", "9-1"}, 2, []string{"--relay-ports"}},
		"bad network":         {[]string{"serve", "--relay-allow", "10.1"}, 2, []string{"--relay-allow"}},
		"bad TURN address":    {[]string{"serve", "--turn-url", "http://x"}, 2, []string{"--turn-url"}},
		"bad log level":       {[]string{"serve", "--log-level", "loud"}, 2, []string{"--log-level"}},
		"bad proxy":           {[]string{"serve", "--trusted-proxy", "proxy"}, 2, []string{"--trusted-proxy"}},
		"everybody a proxy":   {[]string{"serve", "--trusted-proxy", "0.0.0.0/0"}, 2, []string{"believe everybody"}},
		"metrics everywhere":  {[]string{"serve", "--metrics-listen", ":9100"}, 2, []string{"--metrics-listen", "every network"}},
		"metrics nowhere":     {[]string{"serve", "--metrics-listen", "9100"}, 2, []string{"--metrics-listen"}},
		"pprof to others":     {[]string{"serve", "--pprof", "0.0.0.0:6060"}, 2, []string{"--pprof", "loopback"}},
		"pprof by a name":     {[]string{"serve", "--pprof", "localhost:6060"}, 2, []string{"--pprof", "loopback"}},
		"size without sense":  {[]string{"serve", "--disk-stop-new", "2GB"}, 2, []string{"disk-stop-new", "2GiB"}},
		"size of nothing":     {[]string{"serve", "--disk-read-only", "0"}, 2, []string{"disk-read-only", "off"}},
		"negative retention":  {[]string{"serve", "--retention-chat", "-1"}, 2, []string{"--retention-chat", "days"}},
		"endless retention":   {[]string{"serve", "--retention-audit", "36501"}, 2, []string{"--retention-audit", "36500"}},
		"negative sockets":    {[]string{"serve", "--max-sockets", "-4"}, 2, []string{"--max-sockets -4", "ulimit -n"}},
		"one socket too few":  {[]string{"serve", "--max-sockets", "-1"}, 2, []string{"--max-sockets -1"}},
		"too many sockets":    {[]string{"serve", "--max-sockets", "1048577"}, 2, []string{"--max-sockets 1048577", "ulimit -n"}},
		"relay alone and not": {[]string{"serve", "--relay-only", "--no-relay"}, 2, []string{"--relay-only", "--no-relay"}},
		"unknown flag":        {[]string{"serve", "--no-such-flag"}, 2, []string{"no-such-flag"}},
		"unknown argument":    {[]string{"serve", "now"}, 2, []string{`"now"`}},
		"invite without name": {[]string{"invite", "--data", data}, 2, []string{"--name"}},
		"invite, hostile":     {[]string{"invite", "--data", data, "--name", "A\x1b[2J"}, 2, []string{"--name"}},
		"invite, bad role":    {[]string{"invite", "--data", data, "--name", "A", "--role", "root"}, 2, []string{"agent, lead or admin"}},
		"invite, no folder":   {[]string{"invite", "--data", filepath.Join(dir, "none"), "--name", "A"}, 1, []string{"does not exist", "hint:"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := runMain(t, c.args...)
			if code != c.code || out != "" {
				t.Errorf("exit code %d and output %q, want %d and nothing", code, out, c.code)
			}
			for _, w := range c.want {
				if !strings.Contains(errs, w) {
					t.Errorf("%q is not in:\n%s", w, errs)
				}
			}
			if !strings.HasPrefix(errs, "lookalong-signaling: ") || strings.Count(errs, "\n") > 2 || strings.ContainsRune(errs, 0x1b) {
				t.Errorf("not a sentence and a hint:\n%s", errs)
			}
		})
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("a mistake left a data folder behind")
	}
}

func TestFirstStartSecondStartAndSecondServer(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	addr := free(t)
	args := []string{"--listen", addr, "--turn-listen", "127.0.0.1:0", "--data", data}
	out, stop := serve(t, args...)
	for _, want := range []string{"http://localhost:", "login http://localhost:", "first-invite", "chat --next"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	info, err := os.Stat(filepath.Join(data, "first-invite"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the invite's file: %v, %v", info, err)
	}
	code, _, errs := runMain(t, "serve", "--listen", "127.0.0.1:0", "--turn-listen", "127.0.0.1:0", "--data", data)
	if code != 1 || !strings.Contains(errs, "hint: stop the other server") {
		t.Errorf("a second server on the folder: %d %s", code, errs)
	}
	token, err := os.ReadFile(filepath.Join(data, "first-invite"))
	if err != nil {
		t.Fatal(err)
	}
	ws, _, err := (&websocket.Dialer{Subprotocols: []string{protocol.Subprotocol}}).Dial("ws://"+addr+"/ws/agent", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, hello, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	challenge, err := protocol.Decode(hello, protocol.Server)
	if err != nil {
		t.Fatal(err)
	}
	proof := NewAgentKey().Proof("agent", addr, challenge.(protocol.HelloChallenge).Nonce)
	proof.Invite = strings.TrimSpace(string(token))
	if err := ws.WriteMessage(websocket.TextMessage, protocol.Encode(proof)); err != nil {
		t.Fatal(err)
	}
	if _, data, err := ws.ReadMessage(); err != nil || !strings.Contains(string(data), `"role":"admin"`) {
		t.Fatalf("the first agent's welcome: %s %v", data, err)
	}
	ws.Close()
	if code, out, _ := runMain(t, "invite", "--name", "Bo", "--data", data); code != 0 || len(strings.TrimSpace(out)) < 20 {
		t.Errorf("an invite beside the running server: %d %q", code, out)
	}
	if code := stop(); code != 0 {
		t.Errorf("stopped with %d:\n%s", code, out)
	}
	out, _ = serve(t, args...)
	if strings.Contains(out.String(), "login") || !strings.Contains(out.String(), "chat --next") {
		t.Errorf("the second start still asks to log in:\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(data, "first-invite")); err == nil {
		t.Error("the used invite's file is still there")
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "help.test"}, DNSNames: []string{"help.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(cert, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := free(t)
	serve(t, "--listen", addr, "--turn-listen", "127.0.0.1:0", "--url", "https://help.test", "--relay-address", "203.0.113.5/127.0.0.1",
		"--tls-cert", cert, "--tls-key", keyFile, "--data", filepath.Join(dir, "data"))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	conf := &tls.Config{RootCAs: pool, ServerName: "help.test"}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: conf}}
	resp, err := client.Get("https://help.test/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || resp.Header.Get("Strict-Transport-Security") == "" ||
		!strings.Contains(resp.Header.Get("Content-Security-Policy"), "wss://help.test") {
		t.Errorf("status %d, headers %v, %v", resp.StatusCode, resp.Header, err)
	}
	d := websocket.Dialer{NetDialContext: dial, TLSClientConfig: conf, Subprotocols: []string{protocol.Subprotocol}}
	ws, _, err := d.Dial("wss://help.test/ws/customer", http.Header{"Origin": {"https://help.test"}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if _, data, err := ws.ReadMessage(); err != nil || !strings.Contains(string(data), "hello.challenge") {
		t.Errorf("%s %v", data, err)
	}
	if _, _, err := d.Dial("wss://help.test/ws/customer", http.Header{"Origin": {"http://help.test"}}); err == nil {
		t.Error("an Origin with the wrong scheme is accepted")
	}
}
