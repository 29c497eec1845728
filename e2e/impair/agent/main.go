// Command agent is the real agent's program (agent/cli) on a bad network:
//
//	agent ADDRESS COMMAND…
//
// ADDRESS (127.0.0.1:PORT) is where the line's controller listens (impair.Remote).
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
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
	srv := &http.Server{Addr: os.Args[1], Handler: line, ReadHeaderTimeout: 5 * time.Second}
	go func() { fmt.Fprintln(os.Stderr, srv.ListenAndServe()) }() // ends with the process
	code := cli.Config{Net: network}.Main(ctx, os.Args[2:], term.System())
	stop()
	os.Exit(code)
}
