//go:build unix

package server_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/stun/v4"

	"github.com/lookalong/lookalong/protocol"
	. "github.com/lookalong/lookalong/signaling/servertest"
)

// program builds the real program once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "lookalong-program-")
	if err != nil {
		return "", err
	}
	atEnd = append(atEnd, func() { os.RemoveAll(dir) })
	bin := filepath.Join(dir, "lookalong-signaling")
	out, err := exec.Command("go", "build", "-o", bin, "..").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return bin, nil
})

// process is a running program, and what it tells its service manager.
type process struct {
	*exec.Cmd
	t       *testing.T
	out     lockedBuffer
	notices *net.UnixConn
	ended   chan error
}

// start runs serve through a shell, which sets what only the child's own id can be put into, or a limit.
func start(t *testing.T, shell string, files []*os.File, args ...string) *process {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command("sh", append([]string{"-c", shell + ` exec "$0" serve "$@"`, bin}, args...)...), t: t, ended: make(chan error, 1)}
	path := filepath.Join(t.TempDir(), "notify")
	if p.notices, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.notices.Close() })
	p.Env = append(os.Environ(), "NOTIFY_SOCKET="+path)
	p.ExtraFiles, p.Stdout, p.Stderr = files, &p.out, &p.out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() { _ = p.Process.Kill() }) // it has ended where the test passed
	return p
}

// told waits for a notice.
func (p *process) told(want string) {
	p.t.Helper()
	if err := p.notices.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		p.t.Fatal(err)
	}
	for b := make([]byte, 100); ; {
		n, err := p.notices.Read(b)
		if err != nil {
			p.t.Fatalf("waiting for %s: %v\n%s", want, err, &p.out)
		}
		if string(b[:n]) == want {
			return
		}
	}
}

// end waits for the end.
func (p *process) end() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(Patience):
		p.t.Fatalf("it does not end:\n%s", &p.out)
		return nil
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// native opens a socket; its hello may wait.
func native(t *testing.T, addr string) *websocket.Conn {
	t.Helper()
	ws, _, err := (&websocket.Dialer{Subprotocols: []string{protocol.Subprotocol}, HandshakeTimeout: Patience}).Dial("ws://"+addr+"/ws/native", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	if err := ws.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	return ws
}

// prove says hello, up to the welcome.
func prove(t *testing.T, ws *websocket.Conn, addr string) {
	t.Helper()
	_, data, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	msg, err := protocol.Decode(data, protocol.Server)
	challenge, ok := msg.(protocol.HelloChallenge)
	if err != nil || !ok {
		t.Fatalf("%s, %v", data, err)
	}
	if err := ws.WriteMessage(websocket.TextMessage, protocol.Encode(NewAgentKey().Proof("native", addr, challenge.Nonce))); err != nil {
		t.Fatal(err)
	}
	await(t, ws, "hello.welcome")
}

// TestSocketActivation: the sockets of systemd are used in place of the flags', readiness, the watchdog and the end are
// told, and who connects while nobody runs waits for the next server.
func TestSocketActivation(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tf, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer tf.Close()
	uf, err := udp.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer uf.Close()
	const shell = "LISTEN_PID=$$ LISTEN_FDS=2 WATCHDOG_PID=$$ WATCHDOG_USEC=100000; export LISTEN_PID LISTEN_FDS WATCHDOG_PID WATCHDOG_USEC;"
	args := []string{"--data", filepath.Join(t.TempDir(), "data"), "--listen", "203.0.113.1:80", "--turn-listen", "203.0.113.1:80"} // not of this machine
	p := start(t, shell, []*os.File{tf, uf}, args...)
	p.told("READY=1")
	p.told("WATCHDOG=1")
	get := func() string {
		t.Helper()
		resp, err := (&http.Client{Timeout: Patience}).Get("http://" + l.Addr().String() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	if body := get(); !strings.Contains(body, `"ready":true`) {
		t.Errorf("not ready: %s", body)
	}
	client, err := stun.Dial("udp", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Do(stun.MustBuild(stun.TransactionID, stun.BindingRequest), func(e stun.Event) {
		if e.Error != nil {
			t.Errorf("STUN on the passed socket: %v", e.Error)
		}
	}); err != nil {
		t.Error(err)
	}
	client.Close()
	p.signal(syscall.SIGTERM)
	p.told("STOPPING=1")
	if err := p.end(); err != nil {
		t.Errorf("ended with %v\n%s", err, &p.out)
	}
	waiting := make(chan string, 1)
	go func() { waiting <- get() }()
	p = start(t, shell, []*os.File{tf, uf}, args...)
	p.told("READY=1")
	if body := <-waiting; !strings.Contains(body, `"ready":true`) {
		t.Errorf("who connected in between got %s", body)
	}
	p.signal(syscall.SIGTERM)
	if err := p.end(); err != nil {
		t.Errorf("ended with %v\n%s", err, &p.out)
	}
}

// TestSocketsThatDoNotFitAreRefused: a wrong socket unit is said, not served half.
func TestSocketsThatDoNotFitAreRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := filepath.Join(t.TempDir(), "data")
	for shell, want := range map[string]string{
		"LISTEN_PID=$$ LISTEN_FDS=2; export LISTEN_PID LISTEN_FDS;": "second stream socket",
	} {
		p := start(t, shell, []*os.File{f, f}, "--data", data)
		if err := p.end(); err == nil || !strings.Contains(p.out.String(), want) || !strings.Contains(p.out.String(), "hint: ") {
			t.Errorf("%v, want %q and a hint:\n%s", err, want, &p.out)
		}
	}
}

// TestSecondSignalEndsAtOnce: who does not want to wait for a client that does not answer sends the signal again.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	for range 10 {
		addr := free(t)
		p := start(t, "", nil, "--data", filepath.Join(t.TempDir(), "data"), "--listen", addr, "--turn-listen", "127.0.0.1:0")
		p.told("READY=1")
		prove(t, native(t, addr), addr) // it reads no more: the server waits a second for its answer to the close
		p.signal(syscall.SIGTERM)
		p.told("STOPPING=1")
		_ = p.Process.Signal(syscall.SIGTERM) // where this test is slow it has ended already
		exit, _ := errors.AsType[*exec.ExitError](p.end())
		if exit != nil && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM {
			return
		}
	}
	t.Error("ten times the second signal did not end it")
}

// TestFilesRunOut is F25's: while strangers hold all files that the process may have, who is connected stays so; when
// they go, others get in.
func TestFilesRunOut(t *testing.T) {
	addr := free(t)
	p := start(t, "ulimit -n 100;", nil, "--data", filepath.Join(t.TempDir(), "data"), "--listen", addr, "--turn-listen", "127.0.0.1:0")
	p.told("READY=1")
	var in []*websocket.Conn
	for range 10 {
		ws := native(t, addr)
		prove(t, ws, addr)
		in = append(in, ws)
	}
	strangers := make([]net.Conn, 300)
	for i := range strangers {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		strangers[i] = c
	}
	for _, ws := range in {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping","id":"p"}`)); err != nil {
			t.Fatal(err)
		}
		await(t, ws, `"pong"`)
	}
	for _, c := range strangers {
		c.Close()
	}
	prove(t, native(t, addr), addr)
	p.signal(syscall.SIGTERM)
	if err := p.end(); err != nil {
		t.Errorf("ended with %v\n%s", err, &p.out)
	}
}

// await reads until a message that contains text.
func await(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("waiting for %s: %v", text, err)
		}
		if bytes.Contains(data, []byte(text)) {
			return
		}
	}
}
