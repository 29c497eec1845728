// Command lookalong is the support agent's program.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/lookalong/lookalong/agent/cli"
	"github.com/lookalong/lookalong/internal/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	code := cli.Main(ctx, os.Args[1:], term.System())
	stop()
	os.Exit(code)
}
