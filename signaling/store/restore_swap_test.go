// Restore on data whose log was not written back, cut off after each step, on a
// disk that fails, and beside a command.

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lookalong/lookalong/internal/fault/disk"
)

// killed makes what a killed server leaves: n messages that only the write-ahead
// log has, and before it a backup with one.
func killed(t *testing.T, n int) (dir, file string, c Conversation) {
	t.Helper()
	from := private(t)
	s, stop := run(t, Options{Dir: from})
	_, c = newConversation(t, s, "k")
	sayText(t, s, c, "0", "first")
	file, _ = backup(t, s)
	if err := s.scrub(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	for i := range n - 1 {
		sayText(t, s, c, fmt.Sprint(i+1), "in the log alone")
	}
	dir = private(t)
	for _, name := range []string{dbName, dbName + "-wal"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	return dir, file, c
}

func wantMessages(t *testing.T, dir string, c Conversation, n int) {
	t.Helper()
	s, stop := run(t, Options{Dir: dir})
	defer stop()
	wantDense(t, s, c.ID, n)
	if r, err := CheckFolder(t.Context(), dir); err != nil || r.Err() != nil {
		t.Errorf("%+v %v", r, err)
	}
}

// TestRestoreCutOff: after each step the data from before or the new ones are
// complete, and the next restore goes through.
func TestRestoreCutOff(t *testing.T) {
	steps := len((&swap{}).steps())
	for n := range steps + 1 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			dir, file, c := killed(t, 20)
			work := filepath.Join(dir, restoreDir)
			if err := os.Mkdir(work, 0o700); err != nil {
				t.Fatal(err)
			}
			var out Restored
			if _, err := prepareCopy(t.Context(), dir, work, file, RestoreOptions{Clock: time.Now}, &out); err != nil {
				t.Fatal(err)
			}
			w := swap{dir: dir, ready: filepath.Join(work, dbName), now: time.Unix(1, 0)}
			for _, step := range w.steps()[:n] {
				if err := step(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			w.letIn() // as the end of the process does
			want := 20
			if w.done {
				want = 1
			}
			cut := private(t) // what a loss of power leaves: the files that have a name
			if err := os.CopyFS(cut, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			wantMessages(t, cut, c, want)
			r, err := Restore(t.Context(), dir, file, RestoreOptions{Force: true})
			if err != nil || r.Messages != 1 {
				t.Fatalf("once more: %+v %v", r, err)
			}
			wantMessages(t, dir, c, 1)
			wantMessages(t, r.Aside, c, want)
			others, err := filepath.Glob(filepath.Join(dir, replacedPrefix+"*"))
			if err != nil || len(others) != 1 && !w.done {
				t.Errorf("left: %q %v", others, err)
			}
		})
	}
}

// TestRestoreThatFails leaves the data as they were: when the log can't be written
// back, and when the last rename can't be done.
func TestRestoreThatFails(t *testing.T) {
	dir, file, c := killed(t, 20)
	work := filepath.Join(dir, restoreDir)
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	var out Restored
	if _, err := prepareCopy(t.Context(), dir, work, file, RestoreOptions{Clock: time.Now}, &out); err != nil {
		t.Fatal(err)
	}
	d := disk.New(disk.Options{Dir: dir})
	w := swap{dir: dir, ready: filepath.Join(work, dbName), now: time.Unix(1, 0)}
	d.Fail(disk.Write, 1, disk.IOWrite)
	wantErr(t, w.do(t.Context()), ErrStorage)
	d.Close()
	wantLeft := func() {
		t.Helper()
		if others, err := filepath.Glob(filepath.Join(dir, replacedPrefix+"*")); err != nil || len(others) > 0 {
			t.Errorf("left: %q %v", others, err)
		}
		wantMessages(t, dir, c, 20)
	}
	wantLeft()
	w = swap{dir: dir, ready: filepath.Join(work, "none"), now: time.Unix(2, 0)}
	wantErr(t, w.do(t.Context()), ErrFolder)
	wantLeft()
}

// TestRestoreBesideACommand: who has the data open, without being the server, would
// go on with files that lost their names.
func TestRestoreBesideACommand(t *testing.T) {
	dir, file, c := killed(t, 20)
	s, err := OpenShared(t.Context(), Options{Dir: dir, StopNewBelow: -1, ReadOnlyBelow: -1})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, s)
	newCustomer(t, s, "x")
	_, err = Restore(t.Context(), dir, file, RestoreOptions{Force: true})
	wantErr(t, err, ErrLocked)
	stop()
	wantMessages(t, dir, c, 20)
	if _, err = Restore(t.Context(), dir, file, RestoreOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, dir, c, 1)
}

// TestRestoreOfDamagedData: their log goes along, and what is aside is what there was.
func TestRestoreOfDamagedData(t *testing.T) {
	dir, file, c := killed(t, 2)
	path := filepath.Join(dir, dbName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := settle(t.Context(), path, 0); !errors.Is(err, ErrDamaged) {
		t.Fatalf("%v, want damage that stands in the way", err)
	}
	r, err := Restore(t.Context(), dir, file, RestoreOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	wantMessages(t, dir, c, 1)
	if err := os.WriteFile(filepath.Join(r.Aside, dbName), data, 0o600); err != nil { // somebody repairs it
		t.Fatal(err)
	}
	wantMessages(t, r.Aside, c, 2)
}
