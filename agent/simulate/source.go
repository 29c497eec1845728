package simulate

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// sources are the addresses that customers come from. Each opens connections no faster than a server takes them.
type sources struct {
	crowd  int    // customers of one address
	spread bool   // else all come from the system's own
	first  uint32 // of the addresses, new for each run: a server remembers for an hour what began from one

	mu     sync.Mutex
	limits map[int]*rate.Limiter
}

func newSources(o *Options) *sources {
	return &sources{crowd: o.crowd(), spread: o.spread(), first: rand.Uint32N(places), limits: map[int]*rate.Limiter{}}
}

// wire is a customer's present connection; cut ends it as a lost network does.
type wire struct {
	mu     sync.Mutex
	conn   net.Conn
	dialed time.Time
}

func (w *wire) set(c net.Conn, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn, w.dialed = c, at
}

// began is when the present connection was dialled.
func (w *wire) began() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dialed
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		w.conn.Close()
	}
}

// places are the addresses from 127.1.0.0 to 127.254.255.255.
const places = 254 << 16

// address is that of a place, from 0.
func (s *sources) address(place int) net.IP {
	n := 127<<24 + 1<<16 + (s.first+uint32(place))%places
	return net.IPv4(byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// dialer returns the way in which customer n (from 0) dials.
func (s *sources) dialer(n int, w *wire) func(ctx context.Context, network, address string) (net.Conn, error) {
	place := n / s.crowd
	s.mu.Lock()
	limit := s.limits[place]
	if limit == nil {
		limit = rate.NewLimiter(newPerSecond, newBurst)
		s.limits[place] = limit
	}
	s.mu.Unlock()
	var d net.Dialer
	if s.spread {
		d.LocalAddr = &net.TCPAddr{IP: s.address(place)}
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if err := limit.Wait(ctx); err != nil {
			return nil, err
		}
		began := time.Now()
		conn, err := d.DialContext(ctx, network, address)
		if err == nil {
			w.set(conn, began)
		}
		return conn, err
	}
}
