// The erase list: a file of conversation ids beside the database, so that a
// restored backup does not bring back what was erased after it was made.

package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// eraseListName is the file's name in the data folder. It holds ids alone, one a line.
const eraseListName = "erasures.log"

// listable is what may stand in the list: a torn line, or one of another hand, is none.
var listable = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (s *Store) eraseListPath() string { return filepath.Join(filepath.Dir(s.path), eraseListName) }

// listErasure adds an id, durably, unless it is there.
func (s *Store) listErasure(id string) error {
	if !listable.MatchString(id) {
		return nil // such an id can't have been made by a server
	}
	listed, err := s.listedErasures()
	if err != nil || slices.Contains(listed, id) {
		return err
	}
	return appendErasures(s.eraseListPath(), id)
}

// appendErasures writes ids after a line break of their own: the last line may be torn.
func appendErasures(path string, ids ...string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return folderError("%s can't be written (%v)", path, reason(err))
	}
	_, err = f.WriteString("\n" + strings.Join(ids, "\n") + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return folderError("%s can't be written (%v)", path, reason(err))
	}
	return syncFolder(filepath.Dir(path))
}

func (s *Store) listedErasures() ([]string, error) { return readErasures(s.eraseListPath()) }

// readErasures returns the ids in a list; none if there is no file.
func readErasures(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, folderError("%s can't be read (%v)", path, reason(err))
	}
	var ids []string
	lines := strings.Split(string(data), "\n")
	for _, line := range lines[:len(lines)-1] { // what stands after the last break is torn
		if listable.MatchString(line) {
			ids = append(ids, line)
		}
	}
	return ids, nil
}
