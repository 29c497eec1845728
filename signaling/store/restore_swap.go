// The swap: the last part of a restore, in which a file that is ready takes the
// place of the data. It is cut into steps, and after each of them, wherever the
// power goes, a start finds the data from before complete or the new ones complete:
//
//	write-ahead log into the old file ─► old file linked into replaced-… ─► names of
//	the log durably gone ─► new file renamed over the old ─► durable
//
// A log that stayed would be read as part of the new file, and one that went before
// its contents were in the old file would be lost with a step that fails.

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// beside are the files that belong to a database, by what follows its name.
var beside = []string{"-wal", "-shm", "-journal"}

type swap struct {
	dir, ready string
	now        time.Time
	aside      string // where the old data are linked; "": there were none
	done       bool   // the new data have the name
	release    func() // lets others open the old data; nil: nobody is kept out
}

func (w *swap) path() string { return filepath.Join(w.dir, dbName) }

// steps are done in their order, each once the one before has returned nil.
func (w *swap) steps() []func(context.Context) error {
	sync := func(context.Context) error { return syncFolder(w.dir) }
	return []func(context.Context) error{w.settle, w.keep, sync, w.removeLogs, sync, w.rename, sync}
}

// do takes all steps. After an error the old data are where they were.
func (w *swap) do(ctx context.Context) error {
	defer w.letIn()
	for _, step := range w.steps() {
		if err := step(ctx); err != nil {
			return errors.Join(err, w.undo())
		}
	}
	return nil
}

func (w *swap) letIn() {
	if w.release != nil {
		w.release()
	}
}

// settle makes one file of the old data, which also shows that nobody has them open.
// From a damaged file nothing is written back: its log goes along.
func (w *swap) settle(ctx context.Context) error {
	if info, err := os.Lstat(w.path()); err != nil || info.Size() == 0 {
		return nil // keep looks again
	}
	release, err := settle(ctx, w.path(), lockWait)
	switch {
	case err == nil:
		w.release = release
	case errors.Is(err, ErrDamaged):
		return nil
	case errors.Is(err, ErrBusy):
		return fmt.Errorf("store: %w: another command has %s open; let it end first", ErrLocked, w.path())
	}
	return err
}

// keep links the old data into a folder of their own. The names in the data folder
// stay: a rename replaces the database's.
func (w *swap) keep(context.Context) error {
	if _, err := os.Lstat(w.path()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	aside := filepath.Join(w.dir, replacedPrefix+w.now.UTC().Format("20060102-150405"))
	if err := os.Mkdir(aside, 0o700); err != nil {
		return folderError("%s can't be made (%v)", aside, reason(err))
	}
	w.aside = aside
	for _, suffix := range append([]string{""}, beside...) {
		err := os.Link(w.path()+suffix, filepath.Join(aside, dbName+suffix))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return folderError("%s can't be moved aside (%v)", w.path()+suffix, reason(err))
		}
	}
	return syncFolder(aside)
}

func (w *swap) removeLogs(context.Context) error {
	for _, suffix := range beside {
		if err := os.Remove(w.path() + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return folderError("%s can't be removed (%v)", w.path()+suffix, reason(err))
		}
	}
	return nil
}

func (w *swap) rename(context.Context) error {
	if err := os.Rename(w.ready, w.path()); err != nil {
		return folderError("%s can't be replaced (%v)", w.path(), reason(err))
	}
	w.done = true
	return nil
}

// undo gives the old data back their log and removes the second names.
func (w *swap) undo() error {
	if w.done || w.aside == "" {
		return nil
	}
	for _, suffix := range beside {
		err := os.Link(filepath.Join(w.aside, dbName+suffix), w.path()+suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrExist) {
			return folderError("%s can't be moved back (%v); the data are whole in %s", w.path()+suffix, reason(err), w.aside)
		}
	}
	if err := removeAside(w.aside); err != nil {
		return err
	}
	w.aside = ""
	return syncFolder(w.dir)
}

const replacedPrefix = "replaced-"

// removeAside removes second names; what else is in the folder is not ours.
func removeAside(aside string) error {
	for _, suffix := range append([]string{""}, beside...) {
		if err := os.Remove(filepath.Join(aside, dbName+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return folderError("%s can't be removed (%v)", aside, reason(err))
		}
	}
	if err := os.Remove(aside); err != nil {
		return folderError("%s can't be removed (%v)", aside, reason(err))
	}
	return nil
}

// removeSecondNames undoes what a swap that was cut off began: as long as the data
// are in place, replaced-… holds no other data but the same file.
func removeSecondNames(dir string) error {
	data, err := os.Lstat(filepath.Join(dir, dbName))
	if err != nil {
		return nil // no data: no second name of them
	}
	all, err := filepath.Glob(filepath.Join(dir, replacedPrefix+"*"))
	if err != nil {
		return nil // only a pattern can be wrong, in a folder with such a name
	}
	for _, aside := range all {
		other, err := os.Lstat(filepath.Join(aside, dbName))
		if err != nil || !os.SameFile(data, other) {
			continue
		}
		w := swap{dir: dir, aside: aside}
		if err := w.undo(); err != nil {
			return err
		}
	}
	return nil
}
