// Backup: a whole, checked copy in one file, made beside a running server.

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// partSuffix is what a copy is called until it is whole.
const partSuffix = ".part"

// Copied says what a backup holds, or what a restore brought back.
type Copied struct {
	Bytes         int64
	Conversations int64
	Messages      int64
}

// Backup writes everything into a new file with mode 0600. Others go on reading
// and writing meanwhile; the copy is the state of one moment. It is written as
// FILE.part, checked, made durable and then renamed, so that FILE is whole or
// isn't there. While it runs, the write-ahead log grows by what is written. The
// erase list is not in the copy: it must stay beside the server, or be kept apart.
//
// Errors: ErrExists, ErrFolder (the file can't be written), ErrDamaged (the copy
// isn't whole), ErrFull.
func (s *Store) Backup(ctx context.Context, file string) (Copied, error) {
	return backupOf(ctx, s.path, file)
}

// BackupFolder is Backup of a folder that isn't open, also beside a running server.
// It changes no data: those of an older version are copied as they are, so that a
// backup before an update is one to go back to. Errors: also ErrNewer.
func BackupFolder(ctx context.Context, dir, file string) (Copied, error) {
	path := filepath.Join(dir, dbName)
	if info, err := os.Stat(path); err != nil {
		return Copied{}, folderError("%s has no data (%v)", dir, reason(err))
	} else if info.Size() == 0 {
		return Copied{}, folderError("%s has no data", dir)
	}
	if err := CheckPlace(ctx, dir); err != nil {
		return Copied{}, err
	}
	abs, err := filepath.Abs(path) // SQLite gets it as a URI
	if err != nil {
		return Copied{}, folderError("%s: %v", path, err)
	}
	return backupOf(ctx, abs, file)
}

func backupOf(ctx context.Context, path, file string) (out Copied, err error) {
	file, err = filepath.Abs(file)
	if err != nil {
		return out, folderError("%s: %v", file, err)
	}
	if err := mayCreate(file); err != nil {
		return out, err
	}
	part := file + partSuffix
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) { // of a backup that was cut off
		return out, folderError("%s can't be replaced (%v)", part, reason(err))
	}
	if err := createEmpty(part); err != nil {
		return out, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part) // err says more
		}
	}()
	if err := copyInto(ctx, path, part); err != nil {
		return out, err
	}
	report, err := checkFile(ctx, part)
	if err != nil {
		return out, err
	}
	if err := report.Err(); err != nil {
		return out, fmt.Errorf("store: the copy is thrown away: %w", err)
	}
	out.Conversations, out.Messages = report.Conversations, report.Messages
	if out.Bytes, err = syncFile(part); err != nil {
		return out, err
	}
	if err := mayCreate(file); err != nil {
		return out, err
	}
	if err := os.Rename(part, file); err != nil {
		return out, folderError("%s can't be written (%v)", file, reason(err))
	}
	return out, syncFolder(filepath.Dir(file))
}

// mayCreate refuses a name that is taken.
func mayCreate(file string) error {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("store: %w: %s; name another file, or remove it first", ErrExists, file)
	} else if !errors.Is(err, os.ErrNotExist) {
		return folderError("%s: %v", file, reason(err))
	}
	return nil
}

// createEmpty makes a file that nobody else may read.
func createEmpty(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return folderError("%s can't be written (%v)", path, reason(err))
	}
	if err := f.Close(); err != nil {
		return folderError("%s can't be written (%v)", path, reason(err))
	}
	return nil
}

// syncFile makes a file durable and returns its size.
func syncFile(path string) (int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, folderError("%s: %v", path, reason(err))
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, folderError("%s can't be made durable (%v)", path, reason(err))
	}
	return info.Size(), nil
}
