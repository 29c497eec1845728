package main

import (
	"bytes"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lookalong/lookalong/e2e/loadgen/cast"
)

// missed is how many messages each client of a storm catches up on.
const missed = 10

// each calls f for 0 to n-1, some at a time.
func each(n, atOnce int, f func(i int) error) error {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range n {
		g.Go(func() error { return f(i) })
	}
	return g.Wait()
}

// storm connects everybody, cuts all at once and measures until the last one has what it missed. Nobody spreads the
// first try over a time: the worst that a restart of a proxy can do.
func storm(args []string) (report, error) {
	f := flag.NewFlagSet("loadgen storm", flag.ContinueOnError)
	var o options
	o.flags(f, 5_000)
	settle := f.Duration("settle", time.Second, "time between the last one connected and the cut")
	if err := f.Parse(args); err != nil {
		return report{}, err
	}
	keys := make([]cast.Key, o.n)
	for i := range keys {
		keys[i] = cast.Customer(i, cast.Alg(o.keys))
	}
	sockets := make([]*socket, o.n)
	lasts := make([]int, o.n)
	err := each(o.n, 64, func(i int) (err error) {
		var conv string
		sockets[i], conv, lasts[i], err = o.customer(i, keys[i])
		switch {
		case err != nil:
		case o.relay:
			err = sockets[i].fill(i)
		default: // a page that is opened shows what was said; from then on the server has it in memory, as the relay has
			if err = sockets[i].write(historyOf(conv, 0)); err == nil {
				_, err = sockets[i].await("chat.page")
			}
		}
		return err
	})
	if err != nil {
		return report{}, fmt.Errorf("connecting: %w", err)
	}
	time.Sleep(*settle)
	var retries atomic.Int64
	var mu sync.Mutex
	out := report{Reasons: map[string]int{}}
	took := make([]int64, o.n)
	cut := make(chan struct{})
	var all sync.WaitGroup
	for i := range sockets {
		all.Go(func() {
			<-cut
			sockets[i].ws.Close()
			for wait := 500 * time.Millisecond; ; wait = min(2*wait, 20*time.Second) {
				s, err := o.catchUp(i, keys[i], lasts[i])
				sockets[i] = s
				if err == nil {
					break
				}
				mu.Lock()
				out.Reasons[reason(err)]++
				mu.Unlock()
				if retries.Add(1) > int64(20*o.n) {
					mu.Lock()
					defer mu.Unlock()
					out.Faults = append(out.Faults[:min(9, len(out.Faults))], fmt.Sprintf("client %d gave up: %v", i, err))
					return
				}
				time.Sleep(time.Duration(mathrand.Int64N(int64(wait)))) // the protocol's back-off
			}
			took[i] = now()
		})
	}
	server, load := cpuOf(o.pid), cpuOf(os.Getpid())
	begin := now()
	close(cut)
	all.Wait()
	out.Seconds = float64(now()-begin) / 1e9
	out.ServerCPU, out.LoadCPU = cpuOf(o.pid)-server, cpuOf(os.Getpid())-load
	for i := range took {
		took[i] -= begin
	}
	out.CatchUpMs, out.Retries, out.RSS = quantiles(took), int(retries.Load()), rssOf(o.pid)
	for _, s := range sockets {
		if s != nil {
			s.ws.Close()
		}
	}
	return out, nil
}

// addresses are the ports and numbers in an error's text, which would make each of them another one.
var addresses = regexp.MustCompile(`127\.[0-9.]+:[0-9]+`)

func reason(err error) string { return addresses.ReplaceAllString(err.Error(), "…") }

// catchUp connects again and gets the last messages.
func (o *options) catchUp(i int, key cast.Key, last int) (*socket, error) {
	s, conv, seq, err := o.customer(i, key)
	if err != nil {
		return nil, err
	}
	ask := fmt.Appendf(nil, "resume %d", missed)
	if !o.relay {
		if seq != last {
			s.ws.Close()
			return nil, fmt.Errorf("conversation %s is at %d, it was at %d", conv, seq, last)
		}
		ask = historyOf(conv, last-missed)
	}
	if err = s.write(ask); err == nil {
		var page []byte
		if page, err = s.await("chat.page"); err == nil {
			err = o.check(page, last)
		}
	}
	if err != nil {
		s.ws.Close()
		return nil, err
	}
	return s, nil
}

func historyOf(conversation string, after int) []byte {
	return fmt.Appendf(nil, `{"type":"chat.history","id":"h","conversation":"%s","after":%d,"limit":100}`, conversation, after)
}

// check wants the missed messages in the page, each once.
func (o *options) check(page []byte, last int) error {
	if o.relay {
		if n := bytes.Count(page, relayedStart); n != missed {
			return fmt.Errorf("%d of %d messages", n, missed)
		}
		return nil
	}
	n := bytes.Count(page, messageBefore)
	for seq := last - missed + 1; seq <= last; seq++ {
		if bytes.Count(page, fmt.Appendf(nil, `"seq":%d,`, seq)) != 1 {
			return fmt.Errorf("message %d is not there once: %s", seq, page)
		}
	}
	if n != missed {
		return fmt.Errorf("%d of %d messages", n, missed)
	}
	return nil
}

// fill puts into the relay's memory what the server has in its store.
func (s *socket) fill(i int) error {
	for n := range missed {
		m := fmt.Sprintf(`{"type":"chat.send","id":"seed0000.%06d.%010d","conversation":"%026d","text":"%s"}`, i, n, i, strings.Repeat("x", textBytes))
		if err := s.write([]byte(m)); err != nil {
			return err
		}
		if _, err := s.await("ack"); err != nil {
			return err
		}
	}
	return nil
}
