package server

import (
	"net"

	"golang.org/x/sys/unix"
)

// giveUpAfter makes the kernel end a connection whose sent data stays unacknowledged for tcpUserTimeout: without it a
// half-open connection with something to send would live for a quarter of an hour.
func giveUpAfter(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return // closed already
	}
	_ = raw.Control(func(fd uintptr) { // without the option the read deadline still ends the socket
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(tcpUserTimeout.Milliseconds()))
	})
}
