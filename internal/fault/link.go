package fault

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection through the Proxy: two sockets and a pump for each direction.
type link struct {
	p      *Proxy
	client *net.TCPConn
	server *net.TCPConn
	once   sync.Once
	ended  chan struct{}

	holed   [2]atomic.Bool  // bytes were dropped: the stream can't go on
	limited [2]atomic.Bool  // it ends after left bytes
	left    [2]atomic.Int64 // bytes
	alone   atomic.Bool     // the client's socket is gone, the server's stays
}

// piece is what was read at once. Without bytes: the sender has closed.
type piece struct {
	data []byte
	at   time.Time
}

// run pumps until the connection is over.
func (l *link) run() {
	var pumps sync.WaitGroup
	for d, ends := range [2][2]*net.TCPConn{{l.client, l.server}, {l.server, l.client}} {
		pieces := make(chan piece, 64) // 64 pieces of 16 KiB: then the proxy stops reading and TCP pushes back
		pumps.Go(func() { l.read(d, ends[0], pieces) })
		pumps.Go(func() { l.write(d, ends[1], pieces) })
	}
	pumps.Wait()
	l.shut()
}

// shut closes both ends as a program does.
func (l *link) shut() {
	l.once.Do(func() {
		close(l.ended)
		_ = l.client.Close() // both may be closed
		_ = l.server.Close()
	})
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // RST instead of FIN; the connection may be gone
	_ = c.Close()
}

// reset gives both ends a RST.
func (l *link) reset() {
	l.once.Do(func() {
		close(l.ended)
		reset(l.client)
		reset(l.server)
	})
}

// orphan resets the client's end alone; the server hears nothing and gets nothing any more.
func (l *link) orphan() {
	l.alone.Store(true)
	l.holed[0].Store(true)
	l.holed[1].Store(true)
	reset(l.client)
}

func (l *link) read(d int, from *net.TCPConn, pieces chan<- piece) {
	defer close(pieces)
	for {
		buf := make([]byte, 16<<10)
		n, err := from.Read(buf)
		at := time.Now()
		if n > 0 {
			select {
			case pieces <- piece{buf[:n], at}:
			case <-l.ended:
				return
			}
		}
		if err != nil {
			if l.alone.Load() && d == 0 {
				<-l.ended // the server must not hear of it
				return
			}
			select {
			case pieces <- piece{at: at}:
			case <-l.ended:
			}
			return
		}
	}
}

func (l *link) write(d int, to *net.TCPConn, pieces <-chan piece) {
	for {
		var pc piece
		select {
		case next, ok := <-pieces:
			if !ok {
				return
			}
			pc = next
		case <-l.ended:
			return
		}
		ru, ok := l.due(d, pc.at)
		if !ok {
			return
		}
		switch {
		case ru.drop || l.holed[d].Load():
			l.holed[d].Store(true) // its end is not told either
			continue
		case pc.data == nil:
			l.shut()
			return
		}
		if !l.put(d, to, pc.data, ru) {
			return
		}
	}
}

// due waits until bytes that came at this time may go on, and returns the rules as they are then.
func (l *link) due(d int, at time.Time) (rules, bool) {
	for {
		ru, changed := l.p.now(d)
		if ru.drop {
			return ru, true
		}
		var later <-chan time.Time
		if wait := time.Until(at.Add(ru.latency)); !ru.pause && wait <= 0 {
			return ru, true
		} else if !ru.pause {
			later = time.After(wait)
		}
		select {
		case <-later:
		case <-changed:
		case <-l.ended:
			return ru, false
		}
	}
}

// put writes a piece as the rules say; false when the connection is over.
func (l *link) put(d int, to *net.TCPConn, data []byte, ru rules) bool {
	over := false
	if l.limited[d].Load() {
		if left := l.left[d].Load(); int64(len(data)) >= left {
			data, over = data[:left], true
		} else {
			l.left[d].Add(-int64(len(data)))
		}
	}
	for len(data) > 0 {
		n := len(data)
		if ru.trickle {
			n = 1
		} else if ru.rate > 0 {
			n = min(n, int(max(1, ru.rate/20))) // twenty times a second
		}
		if _, err := to.Write(data[:n]); err != nil {
			l.shut()
			return false
		}
		data = data[n:]
		if ru.rate > 0 {
			select {
			case <-time.After(time.Duration(n) * time.Second / time.Duration(ru.rate)):
			case <-l.ended:
				return false
			}
		}
		if ru.rate > 0 || ru.trickle {
			ru, _ = l.p.now(d) // they may be over
			if ru.drop {
				l.holed[d].Store(true)
				return true
			}
		}
	}
	if over {
		l.reset()
	}
	return !over
}
