// The guard of the disk: how much room is left, and what may still be written.

package store

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Free space below which the store refuses work. Source: security F03.
const (
	// StopNewBelow is where no new customer and no new conversation is taken. Unit: bytes.
	StopNewBelow int64 = 2 << 30
	// ReadOnlyBelow is where only what frees space or protects people is written. Unit: bytes.
	ReadOnlyBelow int64 = 512 << 20
)

// lookEvery is how often the free space is looked at: a statfs, a few microseconds.
const lookEvery = time.Second

// guard knows the free space of the file system that holds the data. Open looks
// first and the writer from then on; anybody may ask.
type guard struct {
	dir               string
	stopNew, readOnly int64 // bytes; negative: off
	free              atomic.Int64
	level             atomic.Pointer[level]
}

// level is what the free space allows, and since when.
type level struct {
	grow, open error // why nothing may grow, why nothing new may begin; nil: it may
	since      time.Time
}

func newGuard(dir string, stopNew, readOnly int64, now time.Time) *guard {
	g := &guard{dir: dir, stopNew: stopNew, readOnly: readOnly}
	if stopNew == 0 {
		g.stopNew = StopNewBelow
	}
	if readOnly == 0 {
		g.readOnly = ReadOnlyBelow
	}
	g.level.Store(&level{since: now})
	g.look(now)
	return g
}

// look asks the file system.
func (g *guard) look(now time.Time) {
	free := freeBytes(g.dir)
	g.free.Store(free)
	next := &level{since: now}
	if free >= 0 && free < g.readOnly {
		next.grow = fmt.Errorf("store: %w: the disk of %s has %d MiB free, and below %d MiB nothing more is stored; make room, it goes on by itself",
			ErrReadOnly, g.dir, free>>20, g.readOnly>>20)
		next.open = next.grow
	} else if free >= 0 && free < g.stopNew {
		next.open = fmt.Errorf("store: %w: the disk of %s has %d MiB free, and below %d MiB no new conversation begins; make room, it goes on by itself",
			ErrLowSpace, g.dir, free>>20, g.stopNew>>20)
	}
	if before := g.level.Load(); errors.Is(next.open, errors.Unwrap(before.open)) { // the same sentinel, or none
		next.since = before.since
	}
	g.level.Store(next)
}

// mayGrow says whether what makes the data larger may be written.
func (g *guard) mayGrow() error { return g.level.Load().grow }

// mayOpen says whether something new may begin: a customer, a conversation.
func (g *guard) mayOpen() error { return g.level.Load().open }
