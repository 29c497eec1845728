//go:build unix

package server

import "golang.org/x/sys/unix"

// fileLimit is how many file descriptors this process may have.
func fileLimit() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || l.Cur > 1<<20 {
		return 1 << 20
	}
	return int(l.Cur)
}
