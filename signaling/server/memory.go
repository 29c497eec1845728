package server

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

const (
	tidyEvery  = time.Second
	tidyAfter  = 1000 // sockets that came or went: a storm
	tidyCalm   = 10   // sockets that may come or go in tidyEvery when it is over
	memoryPart = 0.9  // of the group's memory: the rest is for SQLite's caches and the kernel's
)

// tidy gives memory back after a storm: what ten thousand handshakes have left behind would stay for minutes, as long
// as nothing else happens. It ends with ctx.
func (s *Server) tidy(ctx context.Context) {
	tidied, before := 0, 0
	for sleep(ctx, tidyEvery) {
		now, _ := s.edge.open()
		if distance(now, tidied) >= tidyAfter && distance(now, before) <= tidyCalm {
			debug.FreeOSMemory()
			tidied = now
		}
		before = now
	}
}

func distance(a, b int) int { return max(a-b, b-a) }

// limitMemory tells the runtime how much memory this process may have: GOMEMLIMIT if it is set, else a part of what its
// control group allows, so that the collector works harder before the kernel kills the process.
func limitMemory(log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return // the runtime has read it
	}
	if group := groupMemory("/"); group > 0 {
		limit := int64(memoryPart * float64(group))
		debug.SetMemoryLimit(limit)
		log.Info("memory limit", "bytes", limit)
	}
}

// groupMemory is the least memory.max of this process's control group (version 2) and of those above it; 0: none. root
// is where /proc and /sys are.
func groupMemory(root string) int64 {
	own, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0 // no Linux, or no /proc
	}
	least := int64(0)
	for line := range strings.Lines(string(own)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		for path = filepath.Clean("/" + path); ; path = filepath.Dir(path) {
			text, err := os.ReadFile(filepath.Join(root, "sys/fs/cgroup", path, "memory.max"))
			if n, perr := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && perr == nil && n > 0 && (least == 0 || n < least) {
				least = n // "max" is no number: no limit here
			}
			if path == "/" {
				break
			}
		}
	}
	return least
}
