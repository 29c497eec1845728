// Free space on Linux.

package store

import "golang.org/x/sys/unix"

// freeBytes is what this user may still write to the file system of dir; -1: unknown.
func freeBytes(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return -1
	}
	return blockBytes(&st)
}

// blockBytes: the counts are in fragments. The block size is what is best read at
// once, which network and user-space file systems make far larger (statvfs(3)).
func blockBytes(st *unix.Statfs_t) int64 {
	unit := int64(st.Frsize)
	if unit == 0 { // before Linux 2.6
		unit = int64(st.Bsize)
	}
	return int64(st.Bavail) * unit
}
