// Command lookalong-customer is a customer without a browser: chat, consent and a picture from the terminal.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/lookalong/lookalong/customer/share"
	"github.com/lookalong/lookalong/internal/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := share.Main(ctx, os.Args[1:], term.System())
	stop()
	os.Exit(code)
}
