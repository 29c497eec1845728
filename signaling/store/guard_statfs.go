// Free space where there is statfs.

//go:build darwin

package store

import "golang.org/x/sys/unix"

// freeBytes is what this user may still write to the file system of dir; -1: unknown.
func freeBytes(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize)
}
