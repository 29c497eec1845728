// Writes of the write-ahead log, combined. SQLite writes each page of a commit to
// the log with two calls, 24 bytes and 4 KiB, one behind the other; at saturation
// those calls were a sixth of the server's processor time. This VFS gathers writes
// which follow each other and passes them on as one.
//
// Bytes are held only inside one write transaction, and never at its commit: with
// synchronous=FULL SQLite syncs the log before it tells other connections of new
// pages, and a sync writes first what is held. So others see what they saw before,
// and a power cut finds what it found before. What is still held when the
// connection gives up the write lock was rolled back; it is dropped, since its place
// in the log belongs to the next commit, which may be another process's.
//
// A write that fails late fails what made it necessary, at last the commit's sync.
// The bytes stay: SQLite may go on after a failed statement, and a commit must then
// find every page in the log or fail too.

package store

import (
	"fmt"
	"sync"
	"syscall"
	"unsafe"

	"github.com/lookalong/lookalong/internal/csqlite"
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// combineMax is how much is gathered: 31 pages with their headers. Unit: bytes.
// SQLite's own VFS writes at most 131,071 bytes at once (seekAndWriteFd).
const combineMax = 31 * (24 + 4096)

// combining stands behind the structure of the VFS beneath, which SQLite allots us
// room for. The file's method table is methods, so the file leads here.
type combining struct {
	methods sqlite3.Tsqlite3_io_methods // those beneath, but for the ones here
	beneath uintptr                     // the table beneath
	other   uintptr                     // of the main file: its open log, or zero. Of the log: the main file
	buf     uintptr                     // of the log: combineMax bytes, once it was written to
	held    int32                       // bytes in buf
	from    int64                       // where they belong
}

var combineOnce sync.Mutex // one registers, the others find it

// combineWrites returns the name of the VFS over the one that is the default now
// (tests put a failing disk there).
func combineWrites() (string, error) {
	combineOnce.Lock()
	defer combineOnce.Unlock()
	tls := libc.NewTLS()
	defer tls.Close()
	beneath := sqlite3.Xsqlite3_vfs_find(tls, 0)
	b := (*sqlite3.Tsqlite3_vfs)(csqlite.Ptr(beneath))
	name := "combine-" + libc.GoString(b.FzName)
	cName, err := libc.CString(name) // kept, as the VFS itself
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	if sqlite3.Xsqlite3_vfs_find(tls, cName) != 0 {
		libc.Xfree(tls, cName)
		return name, nil
	}
	vfs := sqlite3.Xsqlite3_malloc(tls, int32(unsafe.Sizeof(*b)))
	if vfs == 0 {
		return "", fmt.Errorf("store: no memory for the file system %s", name)
	}
	// The other functions are those beneath; they don't look at their VFS argument.
	ours := *b
	ours.FpNext, ours.FpAppData, ours.FzName = 0, beneath, cName
	ours.FszOsFile = combineAt(b) + int32(unsafe.Sizeof(combining{}))
	ours.FxOpen = csqlite.Addr(combineOpen)
	*(*sqlite3.Tsqlite3_vfs)(csqlite.Ptr(vfs)) = ours
	if rc := sqlite3.Xsqlite3_vfs_register(tls, vfs, 0); rc != sqlite3.SQLITE_OK {
		return "", fmt.Errorf("store: SQLite refused the file system %s (code %d)", name, rc)
	}
	return name, nil
}

// combineAt is where ours begins behind a file of the VFS beneath.
func combineAt(b *sqlite3.Tsqlite3_vfs) int32 { return (b.FszOsFile + 15) &^ 15 }

type (
	cOpen     = func(tls *libc.TLS, vfs, name, f uintptr, flags int32, out uintptr) int32
	cFile     = func(tls *libc.TLS, f uintptr) int32
	cFlags    = func(tls *libc.TLS, f uintptr, flags int32) int32
	cBytes    = func(tls *libc.TLS, f, data uintptr, n int32, off int64) int32
	cTruncate = func(tls *libc.TLS, f uintptr, size int64) int32
	cSize     = func(tls *libc.TLS, f, out uintptr) int32
	cShmLock  = func(tls *libc.TLS, f uintptr, offset, n, flags int32) int32
	cControl  = func(tls *libc.TLS, f uintptr, op int32, arg uintptr) int32
)

// table is the address of an open file's methods, which are its first word.
func table(f uintptr) *uintptr { return (*uintptr)(csqlite.Ptr(f)) }

// combined is what we keep of a file that combineOpen made ours, and the methods beneath.
func combined(f uintptr) (*combining, *sqlite3.Tsqlite3_io_methods) {
	c := (*combining)(csqlite.Ptr(*table(f)))
	return c, (*sqlite3.Tsqlite3_io_methods)(csqlite.Ptr(c.beneath))
}

// combineOpen opens the file beneath and takes over the main file and its log.
func combineOpen(tls *libc.TLS, vfs, name, f uintptr, flags int32, out uintptr) int32 {
	beneath := (*sqlite3.Tsqlite3_vfs)(csqlite.Ptr(vfs)).FpAppData
	b := (*sqlite3.Tsqlite3_vfs)(csqlite.Ptr(beneath))
	rc := csqlite.Func[cOpen](b.FxOpen)(tls, beneath, name, f, flags, out)
	if rc != sqlite3.SQLITE_OK || name == 0 || flags&(sqlite3.SQLITE_OPEN_MAIN_DB|sqlite3.SQLITE_OPEN_WAL) == 0 {
		return rc
	}
	m := (*sqlite3.Tsqlite3_io_methods)(csqlite.Ptr(*table(f)))
	ours := combining{methods: *m, beneath: *table(f)}
	if flags&sqlite3.SQLITE_OPEN_MAIN_DB != 0 {
		ours.methods.FxShmLock, ours.methods.FxWrite = csqlite.Addr(combineShmLock), csqlite.Addr(writeBeneath)
	} else {
		// Where a write may damage its neighbours SQLite pads a commit and tells of pages that it synced only in part.
		safe := csqlite.Func[cFile](m.FxDeviceCharacteristics)(tls, f)&sqlite3.SQLITE_IOCAP_POWERSAFE_OVERWRITE != 0
		if ours.other = sqlite3.Xsqlite3_database_file_object(tls, name); !safe || ours.other == 0 {
			return rc
		}
		main, _ := combined(ours.other)
		main.other = f
		ours.methods.FxClose, ours.methods.FxWrite = csqlite.Addr(combineClose), csqlite.Addr(combineWrite)
		ours.methods.FxRead, ours.methods.FxTruncate = csqlite.Addr(combineRead), csqlite.Addr(combineTruncate)
		ours.methods.FxSync, ours.methods.FxFileSize = csqlite.Addr(combineSync), csqlite.Addr(combineFileSize)
	}
	at := f + uintptr(combineAt(b))
	*(*combining)(csqlite.Ptr(at)) = ours
	*table(f) = at
	return rc
}

// combineShmLock sees the write lock being given up: what is held then was rolled back.
func combineShmLock(tls *libc.TLS, f uintptr, offset, n, flags int32) int32 {
	const writeLock = 0 // WAL_WRITE_LOCK
	c, m := combined(f)
	if flags&sqlite3.SQLITE_SHM_UNLOCK != 0 && offset == writeLock && c.other != 0 {
		log, _ := combined(c.other)
		log.held = 0
	}
	return csqlite.Func[cShmLock](m.FxShmLock)(tls, f, offset, n, flags)
}

// writeBeneath writes, and calls the end of the user's quota what it is: a full disk.
// SQLite itself knows ENOSPC alone (unixWrite); all else is an I/O error to it.
func writeBeneath(tls *libc.TLS, f, data uintptr, n int32, off int64) int32 {
	_, m := combined(f)
	rc := csqlite.Func[cBytes](m.FxWrite)(tls, f, data, n, off)
	if rc != sqlite3.SQLITE_IOERR_WRITE {
		return rc
	}
	errno := tls.Alloc(4)
	defer tls.Free(4)
	control := csqlite.Func[cControl](m.FxFileControl)
	if control(tls, f, sqlite3.SQLITE_FCNTL_LAST_ERRNO, errno) == sqlite3.SQLITE_OK && syscall.Errno(*(*int32)(csqlite.Ptr(errno))) == syscall.EDQUOT {
		return sqlite3.SQLITE_FULL
	}
	return rc
}

// flush writes what is held; it stays held if that fails.
func (c *combining) flush(tls *libc.TLS, f uintptr) int32 {
	if c.held == 0 {
		return sqlite3.SQLITE_OK
	}
	rc := writeBeneath(tls, f, c.buf, c.held, c.from)
	if rc == sqlite3.SQLITE_OK {
		c.held = 0
	}
	return rc
}

func combineWrite(tls *libc.TLS, f, data uintptr, n int32, off int64) int32 {
	c, _ := combined(f)
	if off != c.from+int64(c.held) || n > combineMax-c.held {
		if rc := c.flush(tls, f); rc != sqlite3.SQLITE_OK {
			return rc
		}
		c.from = off
	}
	if c.buf == 0 {
		c.buf = sqlite3.Xsqlite3_malloc(tls, combineMax)
	}
	if c.buf == 0 || n > combineMax { // nothing is held
		return writeBeneath(tls, f, data, n, off)
	}
	copy(unsafe.Slice((*byte)(csqlite.Ptr(c.buf)), combineMax)[c.held:], unsafe.Slice((*byte)(csqlite.Ptr(data)), n))
	c.held += n
	return sqlite3.SQLITE_OK
}

// combineClose: SQLite has given up the write lock before it closes the log.
func combineClose(tls *libc.TLS, f uintptr) int32 {
	c, m := combined(f)
	main, _ := combined(c.other)
	main.other = 0
	sqlite3.Xsqlite3_free(tls, c.buf)
	return csqlite.Func[cFile](m.FxClose)(tls, f)
}

func combineRead(tls *libc.TLS, f, data uintptr, n int32, off int64) int32 {
	c, m := combined(f)
	if rc := c.flush(tls, f); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return csqlite.Func[cBytes](m.FxRead)(tls, f, data, n, off)
}

func combineTruncate(tls *libc.TLS, f uintptr, size int64) int32 {
	c, m := combined(f)
	if rc := c.flush(tls, f); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return csqlite.Func[cTruncate](m.FxTruncate)(tls, f, size)
}

func combineSync(tls *libc.TLS, f uintptr, flags int32) int32 {
	c, m := combined(f)
	if rc := c.flush(tls, f); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return csqlite.Func[cFlags](m.FxSync)(tls, f, flags)
}

func combineFileSize(tls *libc.TLS, f, out uintptr) int32 {
	c, m := combined(f)
	if rc := c.flush(tls, f); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return csqlite.Func[cSize](m.FxFileSize)(tls, f, out)
}
