// Package csqlite crosses the border to SQLite as it was transpiled to Go
// (modernc.org/sqlite/lib): memory and functions there are plain addresses. What
// stands before SQLite's file system needs it: the store's combined log, and the
// disk that fails in tests.
package csqlite

import "unsafe"

// Ptr turns an address in SQLite's memory into a pointer. That memory is not the
// garbage collector's, so the usual warning does not apply.
func Ptr(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }

// Addr is the address of a top-level function as the transpiled SQLite stores it.
func Addr(f any) uintptr { return (*[2]uintptr)(unsafe.Pointer(&f))[1] }

// Func is the way back: it makes an address callable.
func Func[F any](addr uintptr) F { return *(*F)(unsafe.Pointer(&struct{ uintptr }{addr})) }
