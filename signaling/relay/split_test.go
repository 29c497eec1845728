// Split with real connections: nobody who stays silent or dribbles may hold up the others.

package relay

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func get(t *testing.T, c net.Conn) int {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	return r.StatusCode
}

func TestSplitByteByByte(t *testing.T) {
	w := start(t)
	web, turn := dial(t, w.tcp), dial(t, w.tcp)
	for _, b := range []byte("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n") {
		web.Write([]byte{b})
	}
	if code := get(t, web); code != 200 {
		t.Errorf("HTTP byte by byte: %d", code)
	}
	m := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	for _, b := range m.Raw {
		turn.Write([]byte{b})
	}
	answer := make([]byte, stunHeaderBytes)
	if _, err := io.ReadFull(turn, answer); err != nil || !stun.IsMessage(answer) {
		t.Errorf("STUN byte by byte: %x, %v", answer, err)
	}
}

func TestSplitGarbageGoesToHTTP(t *testing.T) {
	w := start(t)
	for name, text := range map[string]string{
		"no cookie": "\x00\x01\x00\x00 no cookie here\r\n\r\n", "low bytes": "\x03\x03\x03\x03\x03\x03\x03\x03\r\n\r\n",
		"high bytes": "\xff\xfe\xfd\r\n\r\n", "text": "hello\r\n\r\n",
	} {
		c := dial(t, w.tcp)
		c.Write([]byte(text))
		if code := get(t, c); code != 400 {
			t.Errorf("%s: got %d, want 400", name, code)
		}
	}
}

// TestSplitSilent: more silent connections than are kept; the oldest go, and a good client is served meanwhile.
func TestSplitSilent(t *testing.T) {
	w := start(t)
	var first net.Conn
	for i := range int(maxUndecided) + 50 {
		c := dial(t, w.tcp)
		if i == 0 {
			first = c
		} else if i%2 == 0 {
			c.Write([]byte{0, 1}) // half a word
		}
	}
	c := dial(t, w.tcp)
	c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	if code := get(t, c); code != 200 {
		t.Errorf("got %d", code)
	}
	// Young as it is it may stay; once it has been silent for a while, a new one takes its place.
	for until := time.Now().Add(splitTimeout - time.Second); ; {
		dial(t, w.tcp)
		first.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := first.Read(make([]byte, 1)); !isTimeout(err) {
			break
		}
		if time.Now().After(until) {
			t.Fatal("the oldest silent connection was kept")
		}
	}
}

func TestSplitDeadline(t *testing.T) {
	t.Parallel()
	w := start(t)
	c := dial(t, w.tcp)
	if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a silent connection was not closed: %v", err)
	}
	// The deadline ends with the decision: the slow rest of a request has net/http's own.
	c = dial(t, w.tcp)
	c.Write([]byte("G"))
	silent := dial(t, w.tcp)
	silent.Read(make([]byte, 1)) // returns when the splitter's deadline has passed
	c.Write([]byte("ET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	if code := get(t, c); code != 200 {
		t.Errorf("got %d", code)
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

func TestSplitHalvesAreIndependent(t *testing.T) {
	w := start(t)
	w.cfg.TCP.Close()
	c := dial(t, w.tcp)
	c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	if code := get(t, c); code != 200 {
		t.Errorf("HTTP after STUN was closed: %d", code)
	}
	c = dial(t, w.tcp)
	c.Write(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw)
	if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("STUN is still accepted: %v", err)
	}
}
