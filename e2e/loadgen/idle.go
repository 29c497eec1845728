package main

import (
	"flag"
	"fmt"
	"sync"
	"time"

	"github.com/lookalong/lookalong/e2e/loadgen/cast"
)

// idle opens sockets that do nothing and reads what each takes of the server's memory.
func idle(args []string) (report, error) {
	f := flag.NewFlagSet("loadgen idle", flag.ContinueOnError)
	var o options
	o.flags(f, 10_000)
	hold := f.Duration("for", 2*time.Second, "time that they stay open before the memory is read")
	if err := f.Parse(args); err != nil {
		return report{}, err
	}
	before, begin := rssOf(o.pid), now()
	sockets := make([]*socket, o.n)
	err := each(o.n, 64, func(i int) (err error) {
		if o.relay {
			sockets[i], err = o.dial(i, fmt.Sprintf("/%d", i), "")
		} else {
			sockets[i], err = o.hello(i, cast.Customer(i, cast.Alg(o.keys)))
		}
		return err
	})
	if err != nil {
		return report{}, fmt.Errorf("connecting: %w", err)
	}
	out := report{Seconds: float64(now()-begin) / 1e9}
	var mu sync.Mutex
	for i, s := range sockets { // answers pings; ends with the program
		go func() {
			for {
				if _, err := s.read(); err != nil {
					mu.Lock()
					defer mu.Unlock()
					if len(out.Faults) < 10 {
						out.Faults = append(out.Faults, fmt.Sprintf("socket %d was cut: %v", i, err))
					}
					return
				}
			}
		}()
	}
	time.Sleep(*hold)
	out.RSS = rssOf(o.pid)
	out.KiB = (out.RSS - before) / float64(o.n)
	mu.Lock()
	defer mu.Unlock()
	return out, nil
}
