// Command benchserver is the signaling server as "make bench" runs it: the same code with the limits of a single
// person lifted, because a few hundred sockets stand for a crowd. "benchserver seed" fills a data folder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof" // on a port of its own
	"os"
	"os/signal"
	"syscall"

	"github.com/lookalong/lookalong/internal/fault/disk"
	"github.com/lookalong/lookalong/signaling/server"
	"github.com/lookalong/lookalong/signaling/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := serve
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "seed" {
		run, args = seed, args[1:]
	}
	if err := run(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "benchserver:", err)
		os.Exit(1)
	}
}

// serve runs the server. The first line on stdout is its address, the second that of /debug/pprof.
func serve(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("benchserver", flag.ContinueOnError)
	data := f.String("data", "", "data folder")
	delay := f.Duration("sync-delay", 0, "make every sync of the database slower by this")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *delay > 0 {
		disk.New(disk.Options{SyncDelay: *delay})
	}
	profiles, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer profiles.Close()
	go func() {
		if err := http.Serve(profiles, nil); !errors.Is(err, net.ErrClosed) {
			fmt.Fprintln(os.Stderr, "benchserver: profiles:", err)
		}
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, store.Options{Dir: *data})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	srv, err := server.New(server.Config{Listener: l, Store: st, Log: log, Limits: lifted()})
	if err != nil {
		st.Close()
		return errors.Join(err, l.Close())
	}
	fmt.Println(l.Addr())
	fmt.Println(profiles.Addr())
	return srv.Run(ctx)
}

// lifted are the limits without those on how much one person, or all together, may write. Sockets are limited as ever.
func lifted() server.Limits {
	const none = 1_000_000
	l := server.DefaultLimits()
	for _, limit := range []*int{
		&l.SocketPerSecond, &l.SocketBurst, &l.CustomerPerSecond, &l.CustomerBurst, &l.CustomerPerHour,
		&l.AgentPerSecond, &l.AgentBurst, &l.GlobalPerSecond, &l.GlobalBurst,
	} {
		*limit = none
	}
	return l
}
