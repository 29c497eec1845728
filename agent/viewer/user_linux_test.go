package viewer

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestForeignUser(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1
   1: 0100007F:C001 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 2
`
	if uid, ok := socketUser(table, netip.MustParseAddrPort("127.0.0.1:49153")); !ok || uid != 1001 {
		t.Errorf("got %d, %v", uid, ok)
	}
	if _, ok := socketUser(table, netip.MustParseAddrPort("127.0.0.1:8080")); ok {
		t.Error("a listening socket is nobody's request")
	}
}

// TestAnotherUserIsRefused opens the socket as another user of this machine, who even knows the code.
func TestAnotherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can play another user")
	}
	s := start(t, Config{})
	status := make(chan string, 1)
	go func() {
		// Only this thread becomes somebody else; it is not unlocked, so it ends with the goroutine.
		runtime.LockOSThread()
		const nobody, unchanged = 65534, ^uintptr(0)
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, unchanged, nobody, unchanged); errno != 0 {
			status <- errno.Error()
			return
		}
		conn, err := net.DialTCP("tcp4", nil, s.ln.Addr().(*net.TCPAddr))
		if err != nil {
			status <- err.Error()
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", s.addr(), s.addr())
		line, _ := bufio.NewReader(conn).ReadString('\n')
		status <- line
	}()
	if got := <-status; !strings.HasPrefix(got, "HTTP/1.1 403") {
		t.Errorf("got %q", got)
	}
}

func TestOpenNeedsADesktop(t *testing.T) {
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	if err := Open(t.Context(), "http://127.0.0.1:1/"); err == nil {
		t.Error("opened a browser without a desktop")
	}
	if got := SSHHint(8899, func(string) string { return "" }); got != "" {
		t.Errorf("got %q", got)
	}
	if got := SSHHint(8899, func(string) string { return "10.0.0.1 1 10.0.0.2 22" }); !strings.HasPrefix(got, "ssh -N -L 8899:127.0.0.1:8899 ") {
		t.Errorf("got %q", got)
	}
}
