// Command lookalong is the support agent's program.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	xterm "golang.org/x/term"

	"github.com/lookalong/lookalong/agent/cli"
	"github.com/lookalong/lookalong/internal/term"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	fd := int(os.Stdin.Fd())
	saved, err := xterm.GetState(fd) // chat makes it raw
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() { // ends with the process
		<-signals
		cancel()
		<-signals // the second one ends at once
		if err == nil {
			_ = xterm.Restore(fd, saved)
		}
		os.Exit(130)
	}()
	code := cli.Main(ctx, os.Args[1:], term.System())
	os.Exit(code)
}
