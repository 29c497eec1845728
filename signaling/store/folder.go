// The data folder: made if missing, private, and used by one server at a time.

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
	if err := os.MkdirAll(abs, 0o700); err != nil {
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
		return folderError("%s can't be written (%v); check its owner and mode, or name another with --data",
			filepath.Dir(path), reason(err))
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
		return nil, folderError("%s can't be written (%v); check its owner and mode, or name another with --data",
			dir, reason(err))
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
