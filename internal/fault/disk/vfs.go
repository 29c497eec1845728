// The shim itself: a SQLite VFS that stands before the system's own and becomes
// the default one. Each file that it opens is a small header followed by the
// system's file; a call is first shown to the Disk that the path belongs to.

package disk

import (
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	"github.com/lookalong/lookalong/internal/csqlite"
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// header stands before the system's file structure, as SQLite's own shims do it.
type header struct {
	methods uintptr // what SQLite calls; zero while not open
	_       uintptr // keeps what follows on 16 bytes
}

const headerSize = int32(unsafe.Sizeof(header{}))

// SQLite keeps the addresses of these three for the life of the process.
var (
	system  uintptr // the VFS that was the default before
	shim    sqlite3.Tsqlite3_vfs
	methods sqlite3.Tsqlite3_io_methods
)

// open files by the address of their structure; only those that belong to a Disk.
var (
	install sync.Once
	files   sync.Map // uintptr -> *file
	mu      sync.RWMutex
	disks   []*Disk
)

// register puts the shim in front, once in a process.
func register() {
	install.Do(func() {
		tls := libc.NewTLS() // kept: the shim stays
		system = sqlite3.Xsqlite3_vfs_find(tls, 0)
		shim = *(*sqlite3.Tsqlite3_vfs)(csqlite.Ptr(system))
		name, err := libc.CString("lookalong-fault")
		if err != nil {
			panic(err) // out of memory
		}
		// What is not replaced is the system's own function, which does not look at its VFS argument.
		shim.FpNext, shim.FzName = 0, name
		shim.FszOsFile += headerSize
		shim.FxOpen, shim.FxDelete = csqlite.Addr(xOpen), csqlite.Addr(xDelete)
		methods = sqlite3.Tsqlite3_io_methods{
			FiVersion: 3, FxClose: csqlite.Addr(xClose), FxRead: csqlite.Addr(xRead), FxWrite: csqlite.Addr(xWrite), FxTruncate: csqlite.Addr(xTruncate),
			FxSync: csqlite.Addr(xSync), FxFileSize: csqlite.Addr(xFileSize), FxLock: csqlite.Addr(xLock), FxUnlock: csqlite.Addr(xUnlock),
			FxCheckReservedLock: csqlite.Addr(xCheckReservedLock), FxFileControl: csqlite.Addr(xFileControl), FxSectorSize: csqlite.Addr(xSectorSize),
			FxDeviceCharacteristics: csqlite.Addr(xDeviceCharacteristics), FxShmMap: csqlite.Addr(xShmMap), FxShmLock: csqlite.Addr(xShmLock),
			FxShmBarrier: csqlite.Addr(xShmBarrier), FxShmUnmap: csqlite.Addr(xShmUnmap), FxFetch: csqlite.Addr(xFetch), FxUnfetch: csqlite.Addr(xUnfetch),
		}
		if rc := sqlite3.Xsqlite3_vfs_register(tls, uintptr(unsafe.Pointer(&shim)), 1); rc != sqlite3.SQLITE_OK {
			panic("disk: SQLite refused the file system")
		}
	})
}

// diskOf finds whose file a path is.
func diskOf(path string) *Disk {
	mu.RLock()
	defer mu.RUnlock()
	for _, d := range disks {
		if d.dir == "" || strings.HasPrefix(path, d.dir+string(filepath.Separator)) {
			return d
		}
	}
	return nil
}

// inner is the system's file behind ours, and its methods.
func inner(f uintptr) (uintptr, *sqlite3.Tsqlite3_io_methods) {
	in := f + uintptr(headerSize)
	return in, (*sqlite3.Tsqlite3_io_methods)(csqlite.Ptr(*(*uintptr)(csqlite.Ptr(in))))
}

func ours(f uintptr) *file {
	if v, ok := files.Load(f); ok {
		return v.(*file)
	}
	return nil
}

type openFn = func(tls *libc.TLS, vfs, name, f uintptr, flags int32, out uintptr) int32

func xOpen(tls *libc.TLS, _, name, f uintptr, flags int32, out uintptr) int32 {
	*(*header)(csqlite.Ptr(f)) = header{}
	var of *file
	if kind := kindOf(flags); name != 0 && kind != "" {
		path := libc.GoString(name)
		if d := diskOf(path); d != nil {
			of = d.opening(path, kind)
		}
	}
	in := f + uintptr(headerSize)
	rc := csqlite.Func[openFn]((*sqlite3.Tsqlite3_vfs)(csqlite.Ptr(system)).FxOpen)(tls, system, name, in, flags, out)
	if *(*uintptr)(csqlite.Ptr(in)) != 0 {
		(*header)(csqlite.Ptr(f)).methods = uintptr(unsafe.Pointer(&methods))
	}
	if rc == sqlite3.SQLITE_OK && of != nil {
		files.Store(f, of)
	}
	return rc
}

// kindOf names the files that hold data; the others, such as temporary ones, are left alone.
func kindOf(flags int32) Kind {
	switch {
	case flags&sqlite3.SQLITE_OPEN_MAIN_DB != 0:
		return Database
	case flags&sqlite3.SQLITE_OPEN_WAL != 0:
		return WAL
	case flags&sqlite3.SQLITE_OPEN_MAIN_JOURNAL != 0:
		return Journal
	}
	return ""
}

type deleteFn = func(tls *libc.TLS, vfs, name uintptr, dirSync int32) int32

func xDelete(tls *libc.TLS, _, name uintptr, dirSync int32) int32 {
	rc := csqlite.Func[deleteFn]((*sqlite3.Tsqlite3_vfs)(csqlite.Ptr(system)).FxDelete)(tls, system, name, dirSync)
	path := libc.GoString(name)
	if d := diskOf(path); d != nil && rc == sqlite3.SQLITE_OK {
		d.deleted(path, dirSync != 0)
	}
	return rc
}

type (
	fileFn     = func(tls *libc.TLS, f uintptr) int32
	fileIntFn  = func(tls *libc.TLS, f uintptr, n int32) int32
	fileInt3Fn = func(tls *libc.TLS, f uintptr, a, b, c int32) int32
	filePtrFn  = func(tls *libc.TLS, f, p uintptr) int32
	controlFn  = func(tls *libc.TLS, f uintptr, op int32, arg uintptr) int32
	bytesFn    = func(tls *libc.TLS, f, buf uintptr, n int32, off int64) int32
	truncateFn = func(tls *libc.TLS, f uintptr, size int64) int32
	shmMapFn   = func(tls *libc.TLS, f uintptr, page, size, extend int32, out uintptr) int32
	barrierFn  = func(tls *libc.TLS, f uintptr)
	fetchFn    = func(tls *libc.TLS, f uintptr, off int64, n int32, out uintptr) int32
	unfetchFn  = func(tls *libc.TLS, f uintptr, off int64, p uintptr) int32
)

func xClose(tls *libc.TLS, f uintptr) int32 {
	in, m := inner(f)
	files.Delete(f)
	return csqlite.Func[fileFn](m.FxClose)(tls, in)
}

func xRead(tls *libc.TLS, f, buf uintptr, n int32, off int64) int32 {
	in, m := inner(f)
	return csqlite.Func[bytesFn](m.FxRead)(tls, in, buf, n, off)
}

func xWrite(tls *libc.TLS, f, buf uintptr, n int32, off int64) int32 {
	in, m := inner(f)
	write := func() int32 { return csqlite.Func[bytesFn](m.FxWrite)(tls, in, buf, n, off) }
	if of := ours(f); of != nil {
		return of.write(unsafe.Slice((*byte)(csqlite.Ptr(buf)), n), off, write)
	}
	return write()
}

func xTruncate(tls *libc.TLS, f uintptr, size int64) int32 {
	in, m := inner(f)
	truncate := func() int32 { return csqlite.Func[truncateFn](m.FxTruncate)(tls, in, size) }
	if of := ours(f); of != nil {
		return of.truncate(size, truncate)
	}
	return truncate()
}

func xSync(tls *libc.TLS, f uintptr, flags int32) int32 {
	in, m := inner(f)
	sync := func() int32 { return csqlite.Func[fileIntFn](m.FxSync)(tls, in, flags) }
	if of := ours(f); of != nil {
		return of.sync(sync)
	}
	return sync()
}

func xFileSize(tls *libc.TLS, f, out uintptr) int32 {
	in, m := inner(f)
	return csqlite.Func[filePtrFn](m.FxFileSize)(tls, in, out)
}

func xLock(tls *libc.TLS, f uintptr, level int32) int32 {
	in, m := inner(f)
	return csqlite.Func[fileIntFn](m.FxLock)(tls, in, level)
}

func xUnlock(tls *libc.TLS, f uintptr, level int32) int32 {
	in, m := inner(f)
	return csqlite.Func[fileIntFn](m.FxUnlock)(tls, in, level)
}

func xCheckReservedLock(tls *libc.TLS, f, out uintptr) int32 {
	in, m := inner(f)
	return csqlite.Func[filePtrFn](m.FxCheckReservedLock)(tls, in, out)
}

func xFileControl(tls *libc.TLS, f uintptr, op int32, arg uintptr) int32 {
	in, m := inner(f)
	if of := ours(f); of != nil && op == sqlite3.SQLITE_FCNTL_LAST_ERRNO {
		if errno := of.errno(); errno != 0 {
			*(*int32)(csqlite.Ptr(arg)) = int32(errno)
			return sqlite3.SQLITE_OK
		}
	}
	return csqlite.Func[controlFn](m.FxFileControl)(tls, in, op, arg)
}

func xSectorSize(tls *libc.TLS, f uintptr) int32 {
	in, m := inner(f)
	return csqlite.Func[fileFn](m.FxSectorSize)(tls, in)
}

func xDeviceCharacteristics(tls *libc.TLS, f uintptr) int32 {
	in, m := inner(f)
	return csqlite.Func[fileFn](m.FxDeviceCharacteristics)(tls, in)
}

func xShmMap(tls *libc.TLS, f uintptr, page, size, extend int32, out uintptr) int32 {
	in, m := inner(f)
	return csqlite.Func[shmMapFn](m.FxShmMap)(tls, in, page, size, extend, out)
}

func xShmLock(tls *libc.TLS, f uintptr, offset, n, flags int32) int32 {
	in, m := inner(f)
	return csqlite.Func[fileInt3Fn](m.FxShmLock)(tls, in, offset, n, flags)
}

func xShmBarrier(tls *libc.TLS, f uintptr) {
	in, m := inner(f)
	csqlite.Func[barrierFn](m.FxShmBarrier)(tls, in)
}

func xShmUnmap(tls *libc.TLS, f uintptr, remove int32) int32 {
	in, m := inner(f)
	return csqlite.Func[fileIntFn](m.FxShmUnmap)(tls, in, remove)
}

func xFetch(tls *libc.TLS, f uintptr, off int64, n int32, out uintptr) int32 {
	in, m := inner(f)
	return csqlite.Func[fetchFn](m.FxFetch)(tls, in, off, n, out)
}

func xUnfetch(tls *libc.TLS, f uintptr, off int64, p uintptr) int32 {
	in, m := inner(f)
	return csqlite.Func[unfetchFn](m.FxUnfetch)(tls, in, off, p)
}
