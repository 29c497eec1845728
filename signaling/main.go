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
	code := server.Main(ctx, os.Args[1:], term.System())
	stop()
	os.Exit(code)
}
