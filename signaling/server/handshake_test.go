package server

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
)

const shake = "GET /ws/native HTTP/1.1\r\nHost: localhost:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// TestOnlyAWholeHandshakeGoesTheShortWay: everything else is net/http's to judge.
func TestOnlyAWholeHandshakeGoesTheShortWay(t *testing.T) {
	with := func(line string) string { return strings.Replace(shake, "\r\n", "\r\n"+line+"\r\n", 1) }
	padded := func(n int) string { return with("X: " + strings.Repeat("x", n-len(with("X: ")))) }
	for name, c := range map[string]struct {
		data string
		ok   bool
	}{
		"a handshake":            {shake, true},
		"of a customer":          {strings.Replace(shake, "native", "customer", 1), true},
		"with cookies":           {with("Cookie: a=b; c=d"), true},
		"at the limit":           {padded(headerBytes), true},
		"one byte above it":      {padded(headerBytes + 1), false},
		"ten times above it":     {padded(10 * headerBytes), false},
		"nothing":                {"", false},
		"a part":                 {shake[:len(shake)-1], false},
		"and a byte more":        {shake + "x", false},
		"and a request more":     {shake + shake, false},
		"another path":           {strings.Replace(shake, "native", "nobody", 1), false},
		"a query":                {strings.Replace(shake, "native", "native?a", 1), false},
		"an escaped path":        {strings.Replace(shake, "native", "n%61tive", 1), false},
		"another method":         {strings.Replace(shake, "GET", "POST", 1), false},
		"an older HTTP":          {strings.Replace(shake, "HTTP/1.1", "HTTP/1.0", 1), false},
		"no HTTP":                {strings.Replace(shake, "HTTP/1.1", "HTCPCP/1.1", 1), false},
		"no host":                {strings.Replace(shake, "Host", "Ghost", 1), false},
		"two hosts":              {with("hOST: other"), false},
		"a body":                 {with("Content-Length: 5"), false},
		"a body of any length":   {with("Transfer-Encoding: chunked"), false},
		"a line without a colon": {with("nothing"), false},
		"a folded line":          {with("X: a\r\n b"), true},
		"a name with a space":    {with("Origin : x"), false},
		"a name with a bracket":  {with("Origin(: x"), false},
		"a control in a value":   {with("X: a\x01b"), false},
		"a control in a name":    {with("X\x01: a"), false},
	} {
		if r := readHandshake([]byte(c.data)); (r != nil) != c.ok {
			t.Errorf("%s: %v, want %v", name, r, c.ok)
		}
	}
}

// TestAHandshakeThatPanicsEndsItsConnectionAlone: net/http would have caught it too.
func TestAHandshakeThatPanicsEndsItsConnectionAlone(t *testing.T) {
	s := &Server{cfg: Config{Log: slog.New(slog.DiscardHandler)}, hosts: newHosts(nil, &net.TCPAddr{Port: 1})} // no edge: nil is used
	client, accepted := net.Pipe()
	if !s.direct(accepted, []byte(shake)) {
		t.Fatal("it was not taken")
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection ends with %v", err)
	}
	s.sockets.Wait()
}
