// Package workload plays customers and agents over the real protocol and with
// the real client, and checks afterwards what everybody saw against the store:
// nothing acknowledged is lost, nothing is shown twice or out of order, no
// number is missing, no refused message is there, and every text is the one that
// was written.
//
// For tests only.
package workload

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

// Config says who plays.
type Config struct {
	URL       string   // of the server
	Customers int      // each with a conversation of their own
	Invites   []string // one for each agent
	// CustomerEvery and AgentEvery are the mean times between a player's messages. Zero: 250 ms and 100 ms. The
	// server's limits are 5 and 20 a second, and 600 an hour for a customer.
	CustomerEvery, AgentEvery time.Duration
	Seed                      uint64 // of keys, times and texts
	// Dial opens the connections below the WebSocket, for instance to a Proxy. Nil: to URL's host.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Workload is a running play.
type Workload struct {
	players []*player
	cancel  context.CancelFunc
	clients sync.WaitGroup // Run of each client
	writers sync.WaitGroup
	mute    chan struct{}
	once    sync.Once
}

// Start connects everybody and begins to write. End it with End.
func Start(cfg Config) (*Workload, error) {
	if cfg.CustomerEvery == 0 {
		cfg.CustomerEvery = 250 * time.Millisecond
	}
	if cfg.AgentEvery == 0 {
		cfg.AgentEvery = 100 * time.Millisecond
	}
	w := &Workload{mute: make(chan struct{})}
	add := func(name, invite string) error {
		p, err := newPlayer(cfg, name, invite, key(cfg.Seed, len(w.players)))
		w.players = append(w.players, p)
		return err
	}
	for i := range cfg.Customers {
		if err := add(fmt.Sprint("customer", i), ""); err != nil {
			return nil, err
		}
	}
	for i, invite := range cfg.Invites {
		if err := add(fmt.Sprint("agent", i), invite); err != nil {
			return nil, err
		}
		for j := i; j < cfg.Customers; j += len(cfg.Invites) {
			w.players[cfg.Customers+i].of = append(w.players[cfg.Customers+i].of, w.players[j])
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	for i, p := range w.players {
		w.clients.Go(func() { _ = p.client.Run(ctx) }) // its end is in the player's state
		r := rand.New(rand.NewPCG(cfg.Seed, uint64(i)))
		if p.agent {
			w.writers.Go(func() { w.claims(ctx, p) })
			w.writers.Go(func() { w.writes(ctx, p, r, cfg.AgentEvery) })
		} else {
			w.writers.Go(func() { w.writes(ctx, p, r, cfg.CustomerEvery) })
		}
	}
	return w, nil
}

// key is the device key of the n-th player of a seed.
func key(seed uint64, n int) ed25519.PrivateKey {
	var raw [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(raw[:], seed)
	binary.BigEndian.PutUint64(raw[8:], uint64(n))
	return ed25519.NewKeyFromSeed(raw[:])
}

// claims lets an agent take the conversations of its customers as they come.
func (w *Workload) claims(ctx context.Context, p *player) {
	for n := 0; n < len(p.of) && w.rest(ctx, 20*time.Millisecond); {
		for _, customer := range p.of {
			for _, conv := range customer.conversations() {
				p.mu.Lock()
				fresh := !p.mine[conv]
				p.mine[conv] = true
				p.mu.Unlock()
				if fresh {
					n++
					p.claim(conv)
				}
			}
		}
	}
}

// maxOutbox is how many messages a player has under way: nobody writes on and on into a page that saves nothing.
const maxOutbox = 12

// writes posts texts to a player's conversations until it is told to stop.
func (w *Workload) writes(ctx context.Context, p *player, r *rand.Rand, every time.Duration) {
	for n := 1; w.rest(ctx, time.Duration(r.Float64()*2*float64(every))); {
		convs := p.conversations()
		if len(convs) == 0 || p.unacked() >= maxOutbox {
			continue
		}
		p.post(convs[r.IntN(len(convs))], fmt.Sprintf("%s no. %d: %x", p.name, n, r.Uint64()))
		n++
	}
}

// rest waits; false when writing is over.
func (w *Workload) rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-w.mute:
		return false
	case <-time.After(d):
		return true
	}
}

// Acked is how many messages have been acknowledged so far.
func (w *Workload) Acked() (n int) {
	for _, p := range w.players {
		p.mu.Lock()
		for _, s := range p.sent {
			if s.Seq != 0 {
				n++
			}
		}
		p.mu.Unlock()
	}
	return n
}

// WaitAcked waits until n messages have been acknowledged.
func (w *Workload) WaitAcked(ctx context.Context, n int) error {
	for w.Acked() < n {
		select {
		case <-ctx.Done():
			return fmt.Errorf("workload: %d messages acknowledged, waiting for %d: %w; %s", w.Acked(), n, context.Cause(ctx), w.trouble())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// Mute ends the writing; what is in the outboxes still goes out.
func (w *Workload) Mute() {
	w.once.Do(func() { close(w.mute) })
	w.writers.Wait()
}

// Settle mutes everybody and waits until every outbox is empty and everybody has seen the last message.
func (w *Workload) Settle(ctx context.Context) error {
	w.Mute()
	for {
		why := w.unsettled()
		if why == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("workload: %s: %w; %s", why, context.Cause(ctx), w.trouble())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (w *Workload) unsettled() string {
	last := map[protocol.ConversationID]int64{}
	for _, p := range w.players {
		p.mu.Lock()
		for _, s := range p.sent {
			if s.Seq == 0 && s.Refused == nil {
				defer p.mu.Unlock()
				return fmt.Sprintf("%s still has %q in the outbox", p.name, s.Text)
			}
			last[s.Conversation] = max(last[s.Conversation], s.Seq)
		}
		p.mu.Unlock()
	}
	for _, p := range w.players {
		p.mu.Lock()
		for conv, f := range p.logs {
			if f.Last() < last[conv] {
				defer p.mu.Unlock()
				return fmt.Sprintf("%s has seen up to %d of %d in %s", p.name, f.Last(), last[conv], conv)
			}
		}
		p.mu.Unlock()
	}
	return ""
}

// trouble says why players may be stuck.
func (w *Workload) trouble() string {
	var errs []error
	offline := 0
	codes := map[protocol.Code]int{}
	for _, p := range w.players {
		p.mu.Lock()
		if p.stopped != nil {
			errs = append(errs, fmt.Errorf("%s was stopped: %w", p.name, p.stopped))
		}
		if !p.online {
			offline++
		}
		for c, n := range p.refused {
			codes[c] += n
		}
		p.mu.Unlock()
	}
	return fmt.Sprintf("%d of %d offline, refusals %v, %v", offline, len(w.players), codes, errors.Join(errs...))
}

// End disconnects everybody and waits. What is unacknowledged then stays pending.
func (w *Workload) End() {
	w.Mute()
	w.cancel()
	w.clients.Wait()
}
