package server

// What the commands on the data look at before they begin: files and folders that were named.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/lookalong/lookalong/signaling/store"
)

// insideFolder reports whether a file that is not there yet would be in dir or below it, by whatever name.
func insideFolder(file, dir string) bool {
	inside, err := os.Stat(dir)
	if err != nil {
		return false
	}
	at, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return false
	}
	if at, err = filepath.EvalSymlinks(at); err != nil {
		return false // nothing can be written there
	}
	for {
		if info, err := os.Stat(at); err == nil && os.SameFile(info, inside) {
			return true
		}
		up := filepath.Dir(at)
		if up == at {
			return false
		}
		at = up
	}
}

// conversationID is an id as the store makes them: 128 bits or more in lower-case base 32.
var conversationID = regexp.MustCompile(`^[a-z2-7]{26,64}$`)

// maxEraseList is far above the list of a server that erased a conversation every minute for ten years.
const maxEraseList = 256 << 20

// checkEraseList refuses a file that is no erasures.log, because a restore with another would bring back what was
// erased. No path is no list.
func checkEraseList(path string) error {
	if path == "" {
		return nil
	}
	refused := func(format string, args ...any) error {
		return hint{fmt.Errorf("%s is no erase list: %s", path, fmt.Sprintf(format, args...)), "name the erasures.log of the old data folder, or its copy; nothing was changed"}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return hint{fmt.Errorf("the erase list %s can't be read: %s", path, plainReason(err)), "name the erasures.log of the old data folder, or its copy; nothing was changed"}
	case !info.Mode().IsRegular():
		return refused("it is not a plain file")
	case info.Size() > maxEraseList:
		return refused("it is larger than %d bytes", maxEraseList)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return hint{fmt.Errorf("the erase list %s can't be read: %s", path, plainReason(err)), "read it as a user who may; nothing was changed"}
	}
	lines := bytes.Split(text, []byte("\n"))
	last := lines[len(lines)-1]
	ids := 0
	for i, line := range lines[:len(lines)-1] {
		if len(line) == 0 {
			continue
		}
		if !conversationID.Match(line) {
			return refused("line %d is not the id of a conversation", i+1)
		}
		ids++
	}
	switch {
	case conversationID.Match(last): // it would be taken for a torn one
		return refused("its last line has no line break")
	case ids == 0:
		return refused("it holds no id of a conversation")
	}
	return nil
}

// readError is dataError of a command that reads the data in a folder.
func readError(dir string, err error) error { return dataError(unwritten(dir, err)) }

// unwritten finds a folder where nothing can be written behind an error of reading its data: SQLite needs two small
// files beside them for that, and says only that it can't open the data.
func unwritten(dir string, err error) error {
	if !errors.Is(err, store.ErrStorage) && !errors.Is(err, store.ErrReadOnly) {
		return err
	}
	f, ferr := os.CreateTemp(dir, "room-*.tmp")
	if ferr == nil {
		_ = f.Close() // nothing was written
		if ferr = os.Remove(f.Name()); ferr == nil {
			return err
		}
	}
	return fmt.Errorf("%w: %s can't be written (%s), and even to read the data two small files are needed beside them; mount it for writing, or copy the folder and name the copy with --data",
		store.ErrReadOnly, dir, plainReason(ferr))
}
