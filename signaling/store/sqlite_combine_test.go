// The combined log as a file: it answers as a plain one does.

package store

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/lookalong/lookalong/internal/csqlite"
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// handle is a connection of the writer's kind without the driver, so that a test
// can ask its log as SQLite does.
type handle struct {
	t   *testing.T
	tls *libc.TLS
	db  uintptr
	wal string
	out uintptr // 128 KiB and more for what goes in and out
}

const handleRoom = combineMax + 4096

func openHandle(t *testing.T, path string) *handle {
	t.Helper()
	vfs, err := combineWrites()
	if err != nil {
		t.Fatal(err)
	}
	h := &handle{t: t, tls: libc.NewTLS(), wal: path + "-wal"}
	h.out = sqlite3.Xsqlite3_malloc(h.tls, handleRoom)
	name, vfsName := h.text(path), h.text(vfs)
	if rc := sqlite3.Xsqlite3_open_v2(h.tls, name, h.out, sqlite3.SQLITE_OPEN_READWRITE|sqlite3.SQLITE_OPEN_CREATE, vfsName); rc != sqlite3.SQLITE_OK {
		t.Fatal("open: code", rc)
	}
	libc.Xfree(h.tls, name)
	libc.Xfree(h.tls, vfsName)
	h.db = *(*uintptr)(csqlite.Ptr(h.out))
	t.Cleanup(func() {
		sqlite3.Xsqlite3_free(h.tls, h.out)
		if rc := sqlite3.Xsqlite3_close(h.tls, h.db); rc != sqlite3.SQLITE_OK {
			t.Error("close: code", rc)
		}
		h.tls.Close()
	})
	for _, text := range []string{"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE t (n INTEGER PRIMARY KEY, text BLOB)"} {
		if rc := h.exec(text); rc != sqlite3.SQLITE_OK {
			t.Fatal(text, rc)
		}
	}
	return h
}

func (h *handle) text(s string) uintptr {
	p, err := libc.CString(s)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// exec returns SQLite's primary result code.
func (h *handle) exec(text string) int32 {
	p := h.text(text)
	defer libc.Xfree(h.tls, p)
	return sqlite3.Xsqlite3_exec(h.tls, h.db, p, 0, 0, 0) & 0xff
}

// log is the connection's open log, and its methods.
func (h *handle) log() (uintptr, *sqlite3.Tsqlite3_io_methods) {
	if rc := sqlite3.Xsqlite3_file_control(h.tls, h.db, 0, sqlite3.SQLITE_FCNTL_JOURNAL_POINTER, h.out); rc != sqlite3.SQLITE_OK {
		h.t.Fatal("file control: code", rc)
	}
	f := *(*uintptr)(csqlite.Ptr(h.out))
	return f, (*sqlite3.Tsqlite3_io_methods)(csqlite.Ptr(*table(f)))
}

func (h *handle) write(data []byte, off int64) {
	f, m := h.log()
	copy(unsafe.Slice((*byte)(csqlite.Ptr(h.out)), handleRoom), data)
	if rc := csqlite.Func[cBytes](m.FxWrite)(h.tls, f, h.out, int32(len(data)), off); rc != sqlite3.SQLITE_OK {
		h.t.Fatal("write: code", rc)
	}
}

// onDisk is what others find in the log's file.
func (h *handle) onDisk() []byte {
	data, err := os.ReadFile(h.wal)
	if err != nil {
		h.t.Fatal(err)
	}
	return data
}

// TestCombinedFile: whatever is done with the log, it answers as a plain file does,
// and after a sync the file is that file. Pieces are gathered up to the limit.
func TestCombinedFile(t *testing.T) {
	h := openHandle(t, filepath.Join(private(t), "x.db"))
	f, m := h.log()
	if rc := csqlite.Func[cTruncate](m.FxTruncate)(h.tls, f, 0); rc != sqlite3.SQLITE_OK {
		t.Fatal(rc)
	}
	var plain []byte
	r := rand.New(rand.NewPCG(1, 1))
	next := int64(0) // behind the last write
	did := map[string]int{}
	for range 4000 {
		switch r.IntN(10) {
		default:
			off, n := next, []int{24, 512, 4096, combineMax, combineMax + 1}[min(r.IntN(40), 4)]
			if r.IntN(5) > 0 {
				n = []int{24, 4096}[r.IntN(2)]
			}
			if r.IntN(8) == 0 || next > 1<<20 {
				off = int64(r.IntN(len(plain) + 100))
			}
			data := bytes.Repeat([]byte{byte(1 + r.IntN(255))}, n)
			h.write(data, off)
			if grow := off + int64(n) - int64(len(plain)); grow > 0 {
				plain = append(plain, make([]byte, grow)...)
			}
			copy(plain[off:], data)
			next = off + int64(n)
			if info, err := os.Stat(h.wal); err != nil {
				t.Fatal(err)
			} else if info.Size() < int64(len(plain)) {
				did["gathered"]++
			}
		case 0:
			if len(plain) == 0 {
				continue
			}
			off := r.IntN(len(plain))
			n := min(1+r.IntN(handleRoom-1), len(plain)-off)
			if rc := csqlite.Func[cBytes](m.FxRead)(h.tls, f, h.out, int32(n), int64(off)); rc != sqlite3.SQLITE_OK {
				t.Fatal("read: code", rc)
			}
			if !bytes.Equal(unsafe.Slice((*byte)(csqlite.Ptr(h.out)), n), plain[off:off+n]) {
				t.Fatalf("%d bytes at %d are not what was written", n, off)
			}
			did["read"]++
		case 1:
			if rc := csqlite.Func[cSize](m.FxFileSize)(h.tls, f, h.out); rc != sqlite3.SQLITE_OK {
				t.Fatal("size: code", rc)
			}
			if size := *(*int64)(csqlite.Ptr(h.out)); size != int64(len(plain)) {
				t.Fatalf("size %d, written %d", size, len(plain))
			}
			did["size"]++
		case 2:
			if r.IntN(4) > 0 {
				continue
			}
			size := r.IntN(len(plain) + 1)
			if rc := csqlite.Func[cTruncate](m.FxTruncate)(h.tls, f, int64(size)); rc != sqlite3.SQLITE_OK {
				t.Fatal("truncate: code", rc)
			}
			plain = plain[:size]
			did["truncate"]++
		case 3:
			if rc := csqlite.Func[cFlags](m.FxSync)(h.tls, f, sqlite3.SQLITE_SYNC_NORMAL); rc != sqlite3.SQLITE_OK {
				t.Fatal("sync: code", rc)
			}
			if !bytes.Equal(h.onDisk(), plain) {
				t.Fatal("the file is not what was written")
			}
			did["sync"]++
		}
	}
	for _, what := range []string{"gathered", "read", "size", "truncate", "sync"} {
		if did[what] < 50 {
			t.Errorf("%d × %s", did[what], what)
		}
	}
}

// TestCombinedLimit: one page more than the limit, or ten times as many, are written in pieces of the limit.
func TestCombinedLimit(t *testing.T) {
	const page = 24 + 4096
	for pages, want := range map[int]int{31: 0, 32: 31, 310: 9 * 31} {
		h := openHandle(t, filepath.Join(private(t), "x.db"))
		f, m := h.log()
		if rc := csqlite.Func[cTruncate](m.FxTruncate)(h.tls, f, 0); rc != sqlite3.SQLITE_OK {
			t.Fatal(rc)
		}
		for i := range pages {
			h.write(make([]byte, page), int64(i)*page)
		}
		if got := len(h.onDisk()); got != want*page {
			t.Errorf("of %d pages %d bytes are in the file, want %d pages", pages, got, want)
		}
	}
}
