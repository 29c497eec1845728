// Restore: a backup becomes the data, in a folder where no server runs.

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// restoreDir is the folder, inside the data folder, where a backup is made ready.
const restoreDir = "restore.tmp"

// RestoreOptions say how.
type RestoreOptions struct {
	// Force moves data that is there aside, into a folder of its own; without it
	// they are left alone (ErrExists).
	Force bool
	// EraseList is a copy of another data folder's erasures.log, for a machine that
	// lost its own. Empty: only the one in the data folder.
	EraseList string
	// Clock tells the time. Nil means time.Now.
	Clock func() time.Time
}

// Restored is what Restore did.
type Restored struct {
	Copied
	Erased int    // conversations of the backup that were erased again
	Aside  string // where the data from before are now; "": there were none
	// Unlisted: there was no erase list, so that what was erased after the backup was
	// made is back.
	Unlisted bool
}

// Restore makes the backup in file the data of the folder dir. It works on a copy
// inside the folder: checks it, brings it up to date, and erases again what was
// erased since it was made. Only then, in one step, it takes the place of the
// data; until then, and after any failure, they are what they were. The data from
// before keep what was erased only later: remove the folder Aside once it isn't needed.
//
// Errors: ErrLocked (a server or a command has the data open), ErrExists, ErrDamaged, ErrNewer, ErrFolder, ErrFull.
func Restore(ctx context.Context, dir, file string, o RestoreOptions) (out Restored, err error) {
	if dir, err = prepareFolder(dir); err != nil {
		return out, err
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	l, err := takeLock(dir, lockWait)
	if err != nil {
		return out, err
	}
	defer l.release()
	path := filepath.Join(dir, dbName)
	if info, err := os.Lstat(path); err == nil && info.Size() > 0 && !o.Force {
		return out, fmt.Errorf("store: %w: %s holds data; name an empty folder with --data, or move them aside with --force", ErrExists, dir)
	}
	work := filepath.Join(dir, restoreDir)
	if err := os.RemoveAll(work); err != nil { // of a restore that was cut off
		return out, folderError("%s can't be removed (%v)", work, reason(err))
	}
	release, err := takeWork(work)
	if err != nil {
		return out, err
	}
	defer release()
	if err := removeSecondNames(dir); err != nil {
		return out, err
	}
	listed, err := prepareCopy(ctx, dir, work, file, o, &out)
	if err != nil {
		return out, err
	}
	w := swap{dir: dir, ready: filepath.Join(work, dbName), now: o.Clock()}
	if out.Bytes, err = syncFile(w.ready); err != nil {
		return out, err
	}
	if err := w.do(ctx); err != nil {
		return out, err
	}
	out.Aside = w.aside
	if o.EraseList == "" {
		return out, nil
	}
	return out, mergeErasures(filepath.Join(dir, eraseListName), listed)
}

// prepareCopy makes work/lookalong.db of the backup: whole, up to date, and without
// what was erased. It returns the ids that were listed as erased.
func prepareCopy(ctx context.Context, dir, work, file string, o RestoreOptions, out *Restored) (listed []string, err error) {
	path := filepath.Join(work, dbName)
	if err := copyFile(file, path); err != nil {
		return nil, err
	}
	if report, err := checkFile(ctx, path); err != nil { // first, as it is: nothing is built on damage
		return nil, err
	} else if err := report.Err(); err != nil {
		return nil, fmt.Errorf("store: %s is not restored: %w", file, err)
	}
	out.Unlisted = true
	for _, from := range []string{filepath.Join(dir, eraseListName), o.EraseList} {
		if from == "" {
			continue
		}
		if _, err := os.Stat(from); err == nil {
			out.Unlisted = false
		} else if from == o.EraseList {
			return nil, folderError("the erase list %s can't be read (%v)", from, reason(err))
		}
		ids, err := readErasures(from)
		if err != nil {
			return nil, err
		}
		listed = append(listed, ids...)
	}
	if len(listed) > 0 {
		if err := appendErasures(filepath.Join(work, eraseListName), listed...); err != nil {
			return nil, err
		}
	}
	return listed, Use(ctx, Options{Dir: work, Clock: o.Clock, StopNewBelow: -1, ReadOnlyBelow: -1}, func(ctx context.Context, s *Store) error {
		before, err := s.count(ctx)
		if err != nil {
			return err
		}
		if err := s.completeErasures(ctx); err != nil {
			return err
		}
		after, err := s.count(ctx)
		if err != nil {
			return err
		}
		out.Erased, out.Copied = int(before.Conversations-after.Conversations), after
		return s.scrub(ctx, scrubFor)
	})
}

// mergeErasures keeps another folder's list for the next restore here.
func mergeErasures(path string, listed []string) error {
	there, err := readErasures(path)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, id := range there {
		known[id] = true
	}
	var news []string
	for _, id := range listed {
		if !known[id] {
			known[id] = true
			news = append(news, id)
		}
	}
	if len(news) == 0 {
		return nil
	}
	return appendErasures(path, news...)
}

// copyFile makes a private, durable copy.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return folderError("the backup %s can't be read (%v)", from, reason(err))
	}
	defer func() { _ = in.Close() }() // read only
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return folderError("%s is no backup: not a plain file, or empty", from)
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return folderError("%s can't be written (%v)", to, reason(err))
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return folderError("%s can't be written (%v)", to, reason(err))
	}
	return nil
}
