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
}

// Restore makes the backup in file the data of the folder dir. It works on a copy
// inside the folder: checks it, brings it up to date, and erases again what was
// erased since it was made. Only then, in one step, it takes the place of the
// data; until then, and after any failure, they are as they were. The data from
// before keep what was erased only later: remove the folder Aside once it isn't needed.
//
// Errors: ErrLocked (a server runs there), ErrExists, ErrDamaged, ErrNewer, ErrFolder, ErrFull.
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
	defer func() { _ = os.RemoveAll(work) }() // a leftover is removed by the next start
	if err := prepareCopy(ctx, dir, work, file, o, &out); err != nil {
		return out, err
	}
	ready := filepath.Join(work, dbName)
	if out.Bytes, err = syncFile(ready); err != nil {
		return out, err
	}
	if out.Aside, err = moveAside(ctx, dir, o.Clock()); err != nil {
		return out, err
	}
	if err := os.Rename(ready, path); err != nil {
		return out, folderError("%s can't be replaced (%v)", path, reason(err))
	}
	return out, syncFolder(dir)
}

// prepareCopy makes work/lookalong.db of the backup: whole, up to date, and without what was erased.
func prepareCopy(ctx context.Context, dir, work, file string, o RestoreOptions, out *Restored) error {
	if err := os.Mkdir(work, 0o700); err != nil {
		return folderError("%s can't be made (%v)", work, reason(err))
	}
	path := filepath.Join(work, dbName)
	if err := copyFile(file, path); err != nil {
		return err
	}
	if report, err := checkFile(ctx, path); err != nil { // first, as it is: nothing is built on damage
		return err
	} else if err := report.Err(); err != nil {
		return fmt.Errorf("store: %s is not restored: %w", file, err)
	}
	var listed []string
	for _, from := range []string{filepath.Join(dir, eraseListName), o.EraseList} {
		if from == "" {
			continue
		}
		if _, err := os.Stat(from); err != nil && from == o.EraseList {
			return folderError("the erase list %s can't be read (%v)", from, reason(err))
		}
		ids, err := readErasures(from)
		if err != nil {
			return err
		}
		listed = append(listed, ids...)
	}
	if len(listed) > 0 {
		if err := appendErasures(filepath.Join(work, eraseListName), listed...); err != nil {
			return err
		}
	}
	err := Use(ctx, Options{Dir: work, Clock: o.Clock, StopNewBelow: -1, ReadOnlyBelow: -1}, func(ctx context.Context, s *Store) error {
		before, err := s.count(ctx)
		if err != nil {
			return err
		}
		if err := s.FinishErasures(ctx); err != nil {
			return err
		}
		after, err := s.count(ctx)
		if err != nil {
			return err
		}
		out.Erased, out.Copied = int(before.Conversations-after.Conversations), after
		return s.scrub(ctx, scrubFor)
	})
	if err != nil {
		return err
	}
	if o.EraseList == "" {
		return nil
	}
	return mergeErasures(filepath.Join(dir, eraseListName), listed)
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

// moveAside links the database files into a new folder, "" if there are none, and
// leaves the database itself in place, to be replaced by a rename: at any moment
// the old or the new data are there.
func moveAside(ctx context.Context, dir string, now time.Time) (string, error) {
	path := filepath.Join(dir, dbName)
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return "", removeLogs(path)
	}
	_ = emptyLog(ctx, path) // a damaged file can't be; then its log goes along
	aside := filepath.Join(dir, "replaced-"+now.UTC().Format("20060102-150405"))
	if err := os.Mkdir(aside, 0o700); err != nil {
		return "", folderError("%s can't be made (%v)", aside, reason(err))
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err := os.Link(path+suffix, filepath.Join(aside, dbName+suffix))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", folderError("%s can't be moved aside (%v)", path+suffix, reason(err))
		}
	}
	if err := syncFolder(aside); err != nil {
		return "", err
	}
	return aside, removeLogs(path)
}

// removeLogs removes what belongs to the database that was there.
func removeLogs(path string) error {
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return folderError("%s can't be removed (%v)", path+suffix, reason(err))
		}
	}
	return nil
}
