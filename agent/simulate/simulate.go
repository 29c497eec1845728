// Package simulate plays customers with the real protocol: for people who learn to help, for demonstrations, and for
// load. Each customer is a client of its own with a key of its own; it chats, loses its connection, shows a numbered
// picture, and looks itself whether every message is there once and in order.
package simulate

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"time"
)

// The arrival of customers.
const (
	rampPerSecond = 200              // new customers a second in a load run, where the source addresses allow it …
	rampAnswered  = 25               // … and where the answering agent has to claim each
	arrivesEvery  = 20 * time.Second // in a rehearsal, before the jitter and the pace
	checksAtOnce  = 12               // conversations that are compared with the store at a time
)

// run is one simulation.
type run struct {
	o       Options
	tally   *tally
	sources *sources
	answer  *answerer // nil: people answer
	life    context.Context
	over    chan struct{} // closed when nobody writes any more
	checks  chan struct{} // a place for each conversation that is checked
	ending  context.Context
}

// took is told of each conversation that a customer has opened.
func (r *run) took(c *customer) {
	if r.answer != nil {
		r.answer.take(c, c.conv.Conversation, c.base)
	}
}

// Run plays until the time is over, all stories are told, or ctx ends; then it compares everything with what is
// stored, and closes what it opened. The report is whole also with an error, which says that the run could not begin:
// that of Check, client.ErrUnreachable or *client.StopError of the first connection.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.Check(); err != nil {
		return Report{}, err
	}
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	r := &run{o: o, tally: newTally(), sources: newSources(&o), life: life, over: make(chan struct{}), checks: make(chan struct{}, checksAtOnce)}
	ending, ended := context.WithCancel(life)
	defer ended()
	r.ending = ending
	var work sync.WaitGroup
	began := time.Now()
	if o.Answer != nil {
		a, err := newAnswerer(life, r, o.Answer)
		if err != nil {
			return r.report(began), err
		}
		r.answer = a
		work.Go(a.live)
		select {
		case err = <-a.met:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			kill()
			work.Wait()
			return r.report(began), err
		}
	}
	shows, silence := context.WithCancel(life)
	work.Go(func() { r.show(shows, began) })
	var plays sync.WaitGroup
	err := r.arrive(ctx, &plays)
	close(r.over)
	if err != nil {
		ended() // there is nothing to wait for
	}
	stop := time.AfterFunc(endWithin, ended)
	plays.Wait()
	stop.Stop()
	silence()
	kill()
	work.Wait()
	return r.report(began), err
}

// arrive lets the customers come, and returns when the writing is to end.
func (r *run) arrive(ctx context.Context, plays *sync.WaitGroup) error {
	var late <-chan time.Time
	if r.o.Duration > 0 {
		timer := time.NewTimer(r.o.Duration)
		defer timer.Stop()
		late = timer.C
	}
	perSecond := min(rampPerSecond, newPerSecond*((r.o.Customers-1)/r.o.crowd()+1))
	if r.answer != nil {
		perSecond = min(perSecond, rampAnswered)
	}
	for n := range r.o.Customers {
		c, err := newCustomer(r, n, r.key(n))
		if err != nil {
			return err
		}
		c.ctx, c.stop = context.WithCancel(r.life)
		plays.Go(func() { r.play(c) })
		if n == 0 {
			select {
			case err := <-c.met:
				if err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			case <-late:
				return nil
			}
		}
		if n == r.o.Customers-1 {
			break
		}
		gap := time.Second / time.Duration(perSecond)
		if !r.o.Load {
			gap = time.Duration(float64(arrivesEvery) * (0.5 + mrand.Float64()) / r.o.Pace)
		}
		select {
		case <-time.After(gap):
		case <-ctx.Done():
			return nil
		case <-late:
			return nil
		}
	}
	gone := make(chan struct{})
	go func() { plays.Wait(); close(gone) }() // ends with the plays, which Run waits for
	select {
	case <-gone:
	case <-ctx.Done():
	case <-late:
	}
	return nil
}

// play is the whole life of one customer.
func (r *run) play(c *customer) {
	gone := make(chan struct{})
	go func() { defer close(gone); c.live() }()
	select {
	case <-c.finished:
	case <-r.over:
	}
	c.do(c.hush)
	settle := time.NewTimer(settleWithin)
	defer settle.Stop()
	select {
	case <-c.settled:
	case <-settle.C:
	case <-r.ending.Done():
	}
	r.checks <- struct{}{}
	c.check(r.ending)
	<-r.checks
	c.stop()
	<-gone
}

// key makes a customer's key: new, or from the kept seed.
func (r *run) key(n int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails (crypto/rand)
	if r.o.Seed != nil {
		mac := hmac.New(sha256.New, r.o.Seed.Seed())
		_, _ = fmt.Fprint(mac, "lookalong rehearsal customer ") // a hash takes everything
		_ = binary.Write(mac, binary.BigEndian, uint32(n))
		seed = mac.Sum(nil)
	}
	return ed25519.NewKeyFromSeed(seed)
}

// show tells each second how it goes.
func (r *run) show(ctx context.Context, began time.Time) {
	if r.o.OnStatus == nil {
		return
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-second.C:
			r.o.OnStatus(r.tally.progress(now.Sub(began)))
		}
	}
}

func (r *run) report(began time.Time) Report {
	out := r.tally.report()
	out.Mode = "rehearsal"
	if r.o.Load {
		out.Mode = "load"
	}
	out.Server, out.Customers = r.o.Server, r.o.Customers
	out.Seconds = time.Since(began).Seconds()
	return out
}
