//go:build unix

package cli

// Owner, mode and links of the key file, where the system has them.

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

func openNoLink(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// checkOwner refuses what belongs to somebody else or is open to others.
func checkOwner(path string, info fs.FileInfo, fix string) error {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return &fail{exitFailed, path + " belongs to another user", "set LOOKALONG_HOME to a folder of yours"}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return &fail{exitFailed, fmt.Sprintf("%s can be read by others (mode %04o)", path, mode), fix}
	}
	return nil
}
