// Where nobody has written the call for the free space.

//go:build !linux && !darwin && !windows

package store

// freeBytes is unknown here: the guard is off, and a full disk is met at the commit.
func freeBytes(string) int64 { return -1 }
