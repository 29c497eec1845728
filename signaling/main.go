// Command lookalong-signaling is the server of Lookalong: chat, presence, session set-up and the relay.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/signaling/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal ends the server in good order, a second one at once
	code := server.Main(ctx, os.Args[1:], term.System())
	stop()
	os.Exit(code)
}
