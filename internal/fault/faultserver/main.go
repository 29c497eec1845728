//go:build unix

// Command faultserver is the real signaling server on a disk that misbehaves. For tests and measurements only; it
// takes the arguments of lookalong-signaling, and from the environment:
//
//	FAULT_SYNC_DELAY=2ms   added to each sync of a database file
//	FAULT_LIE=1            syncs claim success and do nothing
//	FAULT_FAIL_SYNC=N      the N-th sync fails with an I/O error, once
//	FAULT_FAIL_WRITE=N     the N-th write fails with an I/O error, once
//	FAULT_CUT=DIR          at SIGUSR1 the power fails: DIR gets the database files as they would be found, then the
//	                       process is gone (exit code 137)
//	FAULT_SEED=N           for what a loss of power leaves of unsynced writes; without it they are all lost
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/lookalong/lookalong/internal/fault/disk"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/signaling/server"
)

func main() {
	if err := misbehave(os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "faultserver:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := server.Main(ctx, os.Args[1:], term.System())
	stop()
	os.Exit(code)
}

// misbehave puts the disk that the environment describes under every database of this process.
func misbehave(env func(string) string) error {
	o := disk.Options{Model: env("FAULT_CUT") != ""}
	if v := env("FAULT_SYNC_DELAY"); v != "" {
		delay, err := time.ParseDuration(v)
		if err != nil || delay < 0 {
			return fmt.Errorf("FAULT_SYNC_DELAY=%s is no time such as 2ms", v)
		}
		o.SyncDelay = delay
	}
	d := disk.New(o)
	d.Lie(env("FAULT_LIE") == "1")
	for name, fail := range map[string]func(int){
		"FAULT_FAIL_SYNC":  func(n int) { d.Fail(disk.Sync, n, disk.IOSync) },
		"FAULT_FAIL_WRITE": func(n int) { d.Fail(disk.Write, n, disk.IOWrite) },
	} {
		if v := env(name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 {
				return fmt.Errorf("%s=%s is no number from 1", name, v)
			}
			fail(n)
		}
	}
	if dir := env("FAULT_CUT"); dir != "" {
		var r *rand.Rand
		if v := env("FAULT_SEED"); v != "" {
			seed, err := strconv.ParseUint(v, 10, 64)
			if err != nil {
				return fmt.Errorf("FAULT_SEED=%s is no number", v)
			}
			r = rand.New(rand.NewPCG(seed, 0))
		}
		cut := make(chan os.Signal, 1)
		signal.Notify(cut, syscall.SIGUSR1)
		go func() {
			<-cut
			if err := d.Cut(dir, r); err != nil {
				fmt.Fprintln(os.Stderr, "faultserver:", err)
			}
			os.Exit(137)
		}()
	}
	return nil
}
