// The data folder: made if missing, private, and used by one server at a time.

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	dbName   = "lookalong.db"
	lockName = "lookalong.lock"
	// lockWait is how long Open tries for the lock: the invite command holds it for
	// the moment in which it makes a new file.
	lockWait = time.Second
)

func folderError(format string, args ...any) error {
	return fmt.Errorf("store: %w: %s", ErrFolder, fmt.Sprintf(format, args...))
}

// unwritable says why something in dir can't be made or written.
func unwritable(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("store: %w: %s has no room for the files that are needed to open the data (%v); make room and start again, nothing is lost",
			ErrFull, dir, reason(err))
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("store: %w: %s can't be written (%v); mount it for writing, or name another with --data", ErrReadOnly, dir, reason(err))
	}
	return folderError("%s can't be written (%v); check its owner and mode, or name another with --data", dir, reason(err))
}

// explain finds out what is behind an error of opening the database: SQLite's codes don't tell a full disk, or one
// that is mounted read-only, from a file that it can't open or extend. A file of some pages is written and removed.
func explain(dir string, err error) error {
	if !errors.Is(err, ErrStorage) && !errors.Is(err, ErrFull) && !errors.Is(err, ErrReadOnly) {
		return err
	}
	f, ferr := os.CreateTemp(dir, "room-*.tmp")
	if ferr == nil {
		_, ferr = f.Write(make([]byte, probeBytes))
		ferr = errors.Join(ferr, f.Sync(), f.Close(), os.Remove(f.Name()))
	}
	if ferr != nil {
		return unwritable(dir, ferr)
	}
	return err
}

// probeBytes is what explain writes: the WAL's index takes 32 KiB, and the first pages of the WAL come with it.
const probeBytes = 64 << 10

// prepareFolder makes the folder and checks that nobody else may look into it.
// It returns the folder's absolute path.
func prepareFolder(dir string) (string, error) {
	if dir == "" {
		return "", folderError("no folder was named; give one with --data")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", folderError("%s: %v", dir, reason(err))
	}
	if info, err := os.Stat(abs); err == nil && !info.IsDir() {
		return "", folderError("%s is a file; name a folder with --data", abs)
	}
	if err := os.MkdirAll(abs, 0o700); errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return "", unwritable(filepath.Dir(abs), err)
	} else if err != nil {
		return "", folderError("%s can't be made (%v); name another with --data", abs, reason(err))
	}
	info, err := os.Stat(abs)
	if err != nil {
		return "", folderError("%s: %v", abs, reason(err))
	}
	if err := checkPrivate(abs, info); err != nil {
		return "", err
	}
	return abs, nil
}

// reason cuts the path out of an error, which the sentence around it names already.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// prepareFile makes an empty database file with mode 0600, or tightens the mode
// of the one that is there. An existing file is never opened here: closing it
// would drop the locks that SQLite holds on it in this process (POSIX).
func prepareFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		info, err := os.Lstat(path)
		if err != nil {
			return folderError("%s: %v", path, reason(err))
		}
		if !info.Mode().IsRegular() {
			return folderError("%s is not a plain file; move it away or name another folder with --data", path)
		}
		if info.Mode().Perm()&0o077 != 0 {
			if err := os.Chmod(path, 0o600); err != nil {
				return folderError("%s can't be made private (%v)", path, reason(err))
			}
		}
		return nil
	}
	if err != nil {
		return unwritable(filepath.Dir(path), err)
	}
	err = errors.Join(f.Sync(), f.Close())
	if err != nil {
		return folderError("%s: %v", path, reason(err))
	}
	return syncFolder(filepath.Dir(path))
}

// lock is the file that says "a server runs here". The system drops it with the process.
type lock struct{ file *os.File }

// takeLock tries for up to wait.
func takeLock(dir string, wait time.Duration) (*lock, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unwritable(dir, err)
	}
	for deadline := time.Now().Add(wait); ; time.Sleep(10 * time.Millisecond) {
		free, err := tryLock(f)
		if err != nil {
			_ = f.Close() // the lock's error says more
			return nil, folderError("%s can't be locked (%v); use a local disk", path, reason(err))
		}
		if free {
			break
		}
		if time.Now().After(deadline) {
			owner := "another server"
			if pid, err := os.ReadFile(path); err == nil && len(pid) > 0 && len(pid) < 20 {
				owner += " (process " + strings.TrimSpace(string(pid)) + ")"
			}
			_ = f.Close() // read only so far
			return nil, fmt.Errorf("store: %w: %s already runs on %s; stop it, or give this one its own folder with --data",
				ErrLocked, owner, dir)
		}
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid()) // only for the sentence above
	}
	return &lock{f}, nil
}

// release lets the next server in. Safe on nil.
func (l *lock) release() {
	if l != nil {
		_ = l.file.Close() // closing drops the lock; there is nothing to save
	}
}
