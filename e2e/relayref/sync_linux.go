package main

import (
	"os"
	"syscall"
)

// datasync is what SQLite uses here too: the data and the size, not the times.
func datasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
