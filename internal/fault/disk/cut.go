// The model of a loss of power: what of each file is on the disk for sure, and what may be.

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// sector is what a disk writes whole or not at all. Unit: bytes.
const sector = 512

// state is one file. Disk.mu guards it.
type state struct {
	named   bool     // its name is on the disk
	image   []byte   // as of the last successful sync
	limbo   []change // of failed syncs: may be on the disk or not, for ever
	pending []change // since
	settled int      // how many changes were pending once; syncs of two connections may overlap
	// before is the file of this name that was deleted, while that deletion may still be undone.
	before *state
	gone   bool // deleted; kept only as another's before, or until the deletion is durable
}

// change is one write, or a truncation to off bytes.
type change struct {
	off      int64
	data     []byte
	truncate bool
}

// opening makes a file's state at its first open. What is in it then counts as durable. It runs before SQLite opens
// the file: closing it here later would drop SQLite's locks (POSIX).
func (d *Disk) opening(path string, kind Kind) *file {
	d.mu.Lock()
	defer d.mu.Unlock()
	if st := d.states[path]; d.model && (st == nil || st.gone) {
		fresh := &state{before: st}
		if data, err := os.ReadFile(path); err == nil {
			fresh.named, fresh.image = true, data
		} else if !errors.Is(err, fs.ErrNotExist) {
			panic(err) // SQLite could not read it either
		}
		d.states[path] = fresh
	}
	return &file{d, path, kind, d.states[path]}
}

// deleted is a file's end; without a sync of the folder it may come back.
func (d *Disk) deleted(path string, durable bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := d.states[path]
	switch {
	case st == nil:
	case durable || !st.named && st.before == nil:
		delete(d.states, path)
	default:
		if !st.named {
			st = st.before
		}
		st.gone, st.before = true, nil
		d.states[path] = st
	}
}

// folderSynced makes the deletions in the folder of path durable; d.mu is held.
func (d *Disk) folderSynced(path string) {
	for other, st := range d.states {
		if st.gone && filepath.Dir(other) == filepath.Dir(path) {
			delete(d.states, other)
		}
	}
}

func (s *state) changed(c change) { s.pending = append(s.pending, c) }

// now is how many changes there ever were.
func (s *state) now() int { return s.settled + len(s.pending) }

// take takes those of the first n changes that another sync has not settled meanwhile.
func (s *state) take(n int) []change {
	n = max(0, n-s.settled)
	taken := s.pending[:n]
	s.pending = append([]change(nil), s.pending[n:]...)
	s.settled += n
	return taken
}

// synced makes the first n changes durable.
func (s *state) synced(n int) {
	for _, c := range s.take(n) {
		s.image = c.apply(s.image)
		s.settle(c)
	}
	s.named, s.before = true, nil
}

// settle ends the limbo of the bytes that were written again, or cut off, and synced since. What is left of a change
// stays: SQLite may write less over it than before.
func (s *state) settle(by change) {
	end := by.off + int64(len(by.data))
	if by.truncate {
		end = math.MaxInt64
	}
	var left []change
	for _, c := range s.limbo {
		cEnd := c.off + int64(len(c.data))
		switch {
		case c.truncate:
			if !by.truncate || c.off < by.off {
				left = append(left, c)
			}
		case cEnd <= by.off || end <= c.off:
			left = append(left, c)
		default:
			if c.off < by.off {
				left = append(left, change{off: c.off, data: c.data[:by.off-c.off]})
			}
			if end < cEnd {
				left = append(left, change{off: end, data: c.data[end-c.off:]})
			}
		}
	}
	s.limbo = left
}

// lost puts the first n changes into limbo.
func (s *state) lost(n int) {
	s.limbo = append(s.limbo, s.take(n)...)
}

func (c change) apply(image []byte) []byte {
	if c.truncate {
		if int64(len(image)) > c.off {
			return image[:c.off]
		}
		return append(image, make([]byte, c.off-int64(len(image)))...)
	}
	if end := c.off + int64(len(c.data)); int64(len(image)) < end {
		image = append(image, make([]byte, end-int64(len(image)))...)
	}
	copy(image[c.off:], c.data)
	return image
}

// some applies all of the change, nothing, or any of its sectors.
func (c change) some(image []byte, r *rand.Rand) []byte {
	switch r.IntN(3) {
	case 0:
		return image
	case 1:
		return c.apply(image)
	}
	if c.truncate {
		return image
	}
	for at := int64(0); at < int64(len(c.data)); {
		next := min((c.off+at)/sector*sector+sector-c.off, int64(len(c.data))) // sectors lie on the disk, not in the write
		if r.IntN(2) == 0 {
			image = change{off: c.off + at, data: c.data[at:next]}.apply(image)
		}
		at = next
	}
	return image
}

// after is the file as found after the power came back; false when it is not there.
func (s *state) after(r *rand.Rand) ([]byte, bool) {
	if s.gone {
		return s.image, r == nil || r.IntN(2) == 0
	}
	if !s.named && (r == nil || r.IntN(2) == 0) {
		if s.before != nil {
			return s.before.after(r)
		}
		return nil, false
	}
	image := append([]byte(nil), s.image...)
	if r != nil {
		for _, c := range append(append([]change(nil), s.limbo...), s.pending...) {
			image = c.some(image, r)
		}
	}
	return image, true
}

// Cut writes the folder as a loss of power at this moment would leave it into dst, which is made. Without a random
// source nothing has reached the disk but what was synced; with one, any part of the later changes has. It needs
// Options.Model. The Disk itself goes on.
func (d *Disk) Cut(dst string, r *rand.Rand) error {
	if !d.model {
		return errors.New("disk: Cut needs Options.Model")
	}
	if err := os.MkdirAll(dst, 0o700); err != nil {
		return fmt.Errorf("disk: cut: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, path := range sorted(d.states) { // in a fixed order, so that a seed repeats
		image, there := d.states[path].after(r)
		if !there {
			continue
		}
		if err := os.WriteFile(filepath.Join(dst, filepath.Base(path)), image, 0o600); err != nil {
			return fmt.Errorf("disk: cut: %w", err)
		}
	}
	return nil
}

func sorted(m map[string]*state) []string { return slices.Sorted(maps.Keys(m)) }
