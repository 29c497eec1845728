package main

import "syscall"

func syncDisks() { syscall.Sync() }

// inMemory says whether a folder is on tmpfs or ramfs.
func inMemory(dir string) bool {
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	var s syscall.Statfs_t
	return syscall.Statfs(dir, &s) == nil && (s.Type == tmpfs || s.Type == ramfs)
}
