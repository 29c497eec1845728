package server

import "net"

// listener accepts connections that do not outlive their peer (F09).
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		giveUpAfter(tcp)
	}
	return c, err
}
