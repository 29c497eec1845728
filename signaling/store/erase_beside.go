// What lies beside the data and may hold an erased text: the copy that a restore
// works on, and the data that a restore has put aside.

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// workLock, in restoreDir, says that a restore works there. It is kept to its end.
const workLock = "restore.lock"

// takeWork makes the folder in which a restore works, and keeps an erasure from
// taking it for a leftover until release is called, which removes it.
func takeWork(work string) (release func(), err error) {
	if err := os.Mkdir(work, 0o700); err != nil {
		return nil, folderError("%s can't be made (%v)", work, reason(err))
	}
	f, err := os.OpenFile(filepath.Join(work, workLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unwritable(work, err)
	}
	if free, err := tryLock(f); err != nil || !free {
		_ = f.Close() // nothing was written
		return nil, folderError("%s was removed by an erasure in this moment; try again", work)
	}
	return func() {
		_ = os.RemoveAll(work) // a leftover is removed by the next start
		_ = f.Close()          // drops the lock
	}, nil
}

// removeLeftWork removes what a restore that was cut off has left. Errors:
// ErrRemains, naming it, if one works there now.
func removeLeftWork(dir string) error {
	work := filepath.Join(dir, restoreDir)
	f, err := os.OpenFile(filepath.Join(work, workLock), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrNotExist) { // there is no such folder
		return nil
	}
	if err != nil {
		return folderError("%s can't be looked into (%v)", work, reason(err))
	}
	defer func() { _ = f.Close() }() // nothing was written
	if free, err := tryLock(f); err != nil || !free {
		return fmt.Errorf("store: %w: a restore works on another copy in %s; once it has ended, erase again", ErrRemains, work)
	}
	if err := os.RemoveAll(work); err != nil {
		return folderError("%s, which a restore left, can't be removed (%v)", work, reason(err))
	}
	return nil
}

// asideWith returns the folders in which a restore has put data aside that still hold
// a conversation, or can't be asked.
func asideWith(ctx context.Context, dir, conv string) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(dir, replacedPrefix+"*"))
	if err != nil {
		return nil, nil // only a pattern can be wrong, in a folder with such a name
	}
	slices.Sort(all)
	var with []string
	for _, aside := range all {
		held, err := holds(ctx, filepath.Join(aside, dbName), conv)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if held || err != nil {
			with = append(with, aside)
		}
	}
	return with, nil
}

// holds asks a file that nobody writes to. No file: it doesn't.
func holds(ctx context.Context, path, conv string) (bool, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	db, err := openCopy(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = db.Close() }() // read only
	var n int64
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM conversations WHERE id = ?", conv).Scan(&n)
	return n > 0, translate(err)
}
