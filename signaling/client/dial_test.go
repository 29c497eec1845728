package client

import (
	"context"
	"net"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
)

// A chosen way of dialling is taken, and what it opened can be cut from outside: the client comes back through it.
func TestDialIsUsedAndCanBeCut(t *testing.T) {
	s := newServer(t, func(_ int, ws *websocket.Conn) {
		welcome(ws)
		each(ws, func(msg any) {
			if m, ok := msg.(protocol.Ping); ok {
				put(ws, protocol.Pong{ID: m.ID})
			}
		})
	})
	opened := make(chan net.Conn, 2)
	c, _ := start(t, Config{URL: s.http.URL, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			opened <- conn
		}
		return conn, err
	}})
	for range 2 {
		select {
		case conn := <-opened:
			if err := c.WaitOnline(ctx10(t)); err != nil {
				t.Fatal(err)
			}
			conn.Close()
		case <-ctx10(t).Done():
			t.Fatal("Dial was not called")
		}
	}
}
