// Command loadgen is the load of "make bench": it plays the customers and agents against the server or against the
// reference relay, with the same sockets, the same frames and the same counting for both, and prints one JSON object.
//
//	loadgen chat   messages, as fast as the acks come back or at a given rate
//	loadgen storm  everybody is cut at once, comes back and catches up
//	loadgen idle   sockets that do nothing
//
// It runs as a process of its own, so that its time is not the server's, and it counts: a message that is not
// acknowledged exactly once and delivered to each receiver exactly once, in order, is a fault in its report.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

// options are the flags that all three have.
type options struct {
	addr  string
	relay bool // the reference relay, not the server
	pid   int  // of the server: its time and memory are read from /proc
	n     int
	keys  string
}

func (o *options) flags(f *flag.FlagSet, n int) {
	f.StringVar(&o.addr, "addr", "", "HOST:PORT of the server")
	f.BoolVar(&o.relay, "relay", false, "the server is the reference relay")
	f.IntVar(&o.pid, "pid", 0, "process id of the server")
	f.IntVar(&o.n, "customers", n, "customers")
	f.StringVar(&o.keys, "keys", "ed25519", "kind of the customers' keys: ed25519 or p256")
}

// report is what a run prints. Durations are milliseconds.
type report struct {
	Seconds    float64        `json:"seconds"`              // of the measured part
	Acks       int            `json:"acks,omitempty"`       // in that time
	Deliveries int            `json:"deliveries,omitempty"` // in that time
	AckMs      []float64      `json:"ackMs,omitempty"`      // p50, p99, p99.9
	DeliverMs  []float64      `json:"deliverMs,omitempty"`
	ServerCPU  float64        `json:"serverCPU"`           // seconds in that time
	LoadCPU    float64        `json:"loadCPU"`             // seconds in that time
	KiB        float64        `json:"kib,omitempty"`       // of each connection
	RSS        float64        `json:"rss,omitempty"`       // KiB of the server at the end
	CatchUpMs  []float64      `json:"catchUpMs,omitempty"` // p50, p99, p99.9 of the clients
	Retries    int            `json:"retries,omitempty"`   // connections that had to be tried again
	Reasons    map[string]int `json:"reasons,omitempty"`   // why
	Sent       int64          `json:"sent,omitempty"`      // messages in all, warm-up included
	disk       float64        // what a sync took before the run: the benchmark's own note
	Faults     []string       `json:"faults,omitempty"`
}

func main() {
	runs := map[string]func([]string) (report, error){"chat": chat, "storm": storm, "idle": idle}
	if len(os.Args) < 2 || runs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "loadgen: want chat, storm or idle")
		os.Exit(2)
	}
	r, err := runs[os.Args[1]](os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
}

// quantiles are p50, p99 and p99.9 in milliseconds of nanoseconds.
func quantiles(ns []int64) []float64 {
	if len(ns) == 0 {
		return nil
	}
	slices.Sort(ns)
	var out []float64
	for _, p := range []float64{.5, .99, .999} {
		out = append(out, float64(ns[min(len(ns)-1, int(p*float64(len(ns))))])/1e6)
	}
	return out
}

// began is the zero of the program's clock.
var began = time.Now()

// now is nanoseconds since the program began.
func now() int64 { return int64(time.Since(began)) }
