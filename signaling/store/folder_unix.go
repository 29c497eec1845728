// The data folder on systems with owners, modes and flock.

//go:build unix

package store

import (
	"errors"
	"os"
	"syscall"
)

// checkPrivate refuses a folder that others may open.
func checkPrivate(path string, info os.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return folderError("%s is open to other users (mode %04o); run: chmod 700 %s", path, mode, path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return folderError("%s belongs to another user (uid %d, this process is %d); change its owner or name another with --data",
			path, st.Uid, os.Geteuid())
	}
	return nil
}

// tryLock takes the lock if it is free.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// syncFolder makes a new file's name durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return folderError("%s: %v", dir, reason(err))
	}
	err = d.Sync()
	_ = d.Close() // read only
	if err != nil {
		return folderError("%s: %v", dir, reason(err))
	}
	return nil
}
