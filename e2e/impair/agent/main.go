// Command agent is the real agent's program (agent/cli) on a bad network:
//
//	agent ADDRESS COMMAND…
//
// ADDRESS (127.0.0.1:PORT) is where the line's controller listens (impair.Remote); /runtime there says what the program
// holds, and /debug/pprof/ where it comes from.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	_ "net/http/pprof" // its handlers
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/lookalong/lookalong/agent/cli"
	"github.com/lookalong/lookalong/e2e/impair"
	"github.com/lookalong/lookalong/internal/term"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: agent ADDRESS COMMAND…")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	line := impair.New(1)
	network, err := line.Net()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	http.Handle("/", line)
	http.HandleFunc("/runtime", held)
	srv := &http.Server{Addr: os.Args[1], ReadHeaderTimeout: 5 * time.Second}
	go func() { fmt.Fprintln(os.Stderr, srv.ListenAndServe()) }() // ends with the process
	code := cli.Config{Net: network}.Main(ctx, os.Args[2:], term.System())
	stop()
	os.Exit(code)
}

// held answers with the number of goroutines and the bytes of the heap once the garbage is collected.
func held(w http.ResponseWriter, _ *http.Request) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_ = json.NewEncoder(w).Encode(map[string]uint64{"goroutines": uint64(runtime.NumGoroutine()), "heap": m.HeapAlloc}) // whoever asked may be gone
}
