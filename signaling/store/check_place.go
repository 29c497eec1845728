// Check of a place: could a server's data be there?

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// CheckPlace says whether Open could use a folder, without making or changing data
// (to read them, SQLite may leave an empty write-ahead log and its index beside them). A folder that is not there yet is fine. Errors: ErrFolder, ErrNewer,
// ErrDamaged.
func CheckPlace(ctx context.Context, dir string) error {
	if dir == "" {
		return folderError("no folder was named; give one with --data")
	}
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return folderError("%s: %v", dir, reason(err))
	}
	if !info.IsDir() {
		return folderError("%s is a file; name a folder with --data", dir)
	}
	if err := checkPrivate(dir, info); err != nil {
		return err
	}
	path := filepath.Join(dir, dbName)
	file, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && !file.Mode().IsRegular() {
		return folderError("%s is not a plain file; move it away or name another folder with --data", path)
	}
	if err != nil {
		return folderError("%s: %v", path, reason(err))
	}
	list, err := migrations()
	if err != nil {
		return err
	}
	s := &Store{path: path}
	version, err := s.version(ctx)
	if err == nil && version > len(list) {
		err = fmt.Errorf("store: %w: %s has version %d and this program knows %d; install the newer program", ErrNewer, path, version, len(list))
	}
	return err
}
