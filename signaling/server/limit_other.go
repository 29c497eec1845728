//go:build !unix

package server

// fileLimit is how many file descriptors this process may have; there is no such limit to ask for here.
func fileLimit() int { return 1 << 20 }
