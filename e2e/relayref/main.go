// Command relayref is the reference that "make bench" measures beside the server: a bare WebSocket relay on gorilla
// which keeps nothing, proves nothing and checks nothing. Clients join a room by the path; a message goes to every
// other member, then "ack" and its first 36 bytes go back to its sender.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/gorilla/websocket"
)

type member struct {
	ws  *websocket.Conn
	out chan []byte
}

func main() {
	var mu sync.Mutex
	rooms := map[string][]*member{}
	up := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	err = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		m := &member{ws: ws, out: make(chan []byte, 256)}
		done := make(chan struct{})
		defer close(done)
		go func() {
			for {
				select {
				case b := <-m.out:
					if ws.WriteMessage(websocket.TextMessage, b) != nil {
						return
					}
				case <-done:
					return
				}
			}
		}()
		mu.Lock()
		rooms[r.URL.Path] = append(rooms[r.URL.Path], m)
		mu.Unlock()
		for {
			_, b, err := ws.ReadMessage()
			if err != nil {
				return
			}
			mu.Lock()
			others := rooms[r.URL.Path]
			mu.Unlock()
			for _, o := range others {
				if o != m {
					o.out <- b
				}
			}
			m.out <- append([]byte("ack"), b[:min(len(b), 36)]...)
		}
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
