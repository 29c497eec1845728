// Command relayref is the reference that "make bench" measures beside the server: a bare WebSocket relay on gorilla
// which proves nothing and checks nothing. Clients join a room by the path; a message goes to every other member, then
// an ack with its id goes back to its sender. The messages are the ones of the real protocol, so that both carry the
// same bytes.
//
// By itself it passes bytes on and keeps nothing but the last messages of each room in memory. With -decode it reads
// each message as JSON, numbers and dates it and writes the ack and the delivery as JSON: the least that a chat can do.
// With -log each message is appended to a file first, and acks and deliveries leave after the fsync of the group that
// it was in.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const tailLen = 64 // messages kept of each room

type relay struct {
	log    *log // nil: in memory only
	decode bool
	tmp    sync.Pool

	mu    sync.Mutex
	rooms map[string]*room
}

// room is who hears each other.
type room struct {
	mu      sync.Mutex
	members []*member
	tail    [][]byte // newest last
	seq     int64    // of the last message, with -decode
}

type member struct {
	relay *relay
	room  *room
	out   chan []byte
	done  chan struct{} // closed when its socket is
}

func main() {
	decode := flag.Bool("decode", false, "read, number and write each message as JSON")
	file := flag.String("log", "", "append each message to this file, on disk before it is acknowledged")
	delay := flag.Duration("sync-delay", 0, "make every sync of the file slower by this")
	flag.Parse()
	if err := run(*decode, *file, *delay); err != nil {
		fmt.Fprintln(os.Stderr, "relayref:", err)
		os.Exit(1)
	}
}

func run(decode bool, file string, delay time.Duration) error {
	r := &relay{decode: decode, rooms: map[string]*room{}}
	if file != "" {
		var err error
		if r.log, err = openLog(file, delay); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	up := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &r.tmp}
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ws, err := up.Upgrade(w, req, nil)
		if err != nil {
			return // gorilla has answered
		}
		defer ws.Close()
		m := r.join(req.URL.Path)
		defer m.leave()
		go m.write(ws)
		for {
			_, b, err := ws.ReadMessage()
			if err != nil {
				return
			}
			if n, ok := bytes.CutPrefix(b, []byte("resume ")); ok {
				m.resume(n)
				continue
			}
			if r.log != nil {
				r.log.entries <- entry{m, b}
				continue
			}
			m.pass(b)
		}
	}))
}

func (r *relay) join(path string) *member {
	r.mu.Lock()
	ro := r.rooms[path]
	if ro == nil {
		ro = &room{}
		r.rooms[path] = ro
	}
	r.mu.Unlock()
	m := &member{relay: r, room: ro, out: make(chan []byte, 256), done: make(chan struct{})}
	ro.mu.Lock()
	defer ro.mu.Unlock()
	ro.members = append(ro.members, m)
	return m
}

func (m *member) leave() {
	close(m.done)
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	m.room.members = slices.DeleteFunc(slices.Clone(m.room.members), func(o *member) bool { return o == m })
}

func (m *member) write(ws *websocket.Conn) {
	for {
		select {
		case b := <-m.out:
			if ws.WriteMessage(websocket.TextMessage, b) != nil {
				return
			}
		case <-m.done:
			return
		}
	}
}

func (m *member) send(b []byte) {
	select {
	case m.out <- b:
	case <-m.done:
	}
}

// pass gives a message to the others and acknowledges it.
func (m *member) pass(b []byte) {
	ro := m.room
	ro.mu.Lock()
	var answer []byte
	if m.relay.decode {
		ro.seq++
		b, answer = chat(b, ro.seq)
	} else {
		answer = ack(b)
	}
	if len(ro.tail) == tailLen {
		copy(ro.tail, ro.tail[1:])
		ro.tail[tailLen-1] = b
	} else {
		ro.tail = append(ro.tail, b)
	}
	others := ro.members
	ro.mu.Unlock()
	for _, o := range others {
		if o != m {
			o.send(b)
		}
	}
	m.send(answer)
}

// resume sends the last n messages in one page.
func (m *member) resume(n []byte) {
	want, _ := strconv.Atoi(string(n))
	m.room.mu.Lock()
	tail := slices.Clone(m.room.tail[max(0, len(m.room.tail)-want):])
	m.room.mu.Unlock()
	page := slices.Concat([]byte(`{"type":"chat.page","messages":[`), bytes.Join(tail, []byte{','}), []byte("]}"))
	m.send(page)
}
