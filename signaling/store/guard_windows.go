// Free space on Windows.

package store

import "golang.org/x/sys/windows"

// freeBytes is what this user may still write to the volume of dir; -1: unknown.
func freeBytes(dir string) int64 {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return -1
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return -1
	}
	return int64(free)
}
