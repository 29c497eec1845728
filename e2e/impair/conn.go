package impair

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/pion/transport/v5/deadline"
)

// inboxLen is how many packets may wait to be read from a socket, as in a kernel's buffer of some MB; more are dropped.
const inboxLen = 4096

// conn is a UDP socket on the line.
type conn struct {
	*net.UDPConn // the machine's; whatever reads or writes is replaced below
	n            *Network
	inbox        chan datagram
	read         *deadline.Deadline
	closed       chan struct{}
	once         sync.Once
}

type datagram struct {
	data []byte
	from netip.AddrPort
}

func newConn(n *Network, real *net.UDPConn) *conn {
	c := &conn{UDPConn: real, n: n, inbox: make(chan datagram, inboxLen), read: deadline.New(), closed: make(chan struct{})}
	go c.receive() // ends with the socket
	return c
}

// receive puts what arrives from the machine onto the line, until the socket is closed.
func (c *conn) receive() {
	buf := make([]byte, 65536)
	for {
		size, from, err := c.UDPConn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // a connected socket tells that nobody listened; the next packet may be read
		}
		d := datagram{append([]byte(nil), buf[:size]...), from}
		c.n.in.send(size, func() {
			select {
			case c.inbox <- d:
			default:
			}
		})
	}
}

// Close ends reading at once; what was written before still goes out.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		err = nil
		close(c.closed)
		c.n.out.note(func() { _ = c.UDPConn.Close() }) // nobody is left to tell
	})
	return err
}

func (c *conn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case <-c.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	case <-c.n.done:
		return 0, netip.AddrPort{}, net.ErrClosed
	case <-c.read.Done():
		return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
	case d := <-c.inbox:
		return copy(b, d.data), d.from, nil
	}
}

func (c *conn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.write(b, func(data []byte) { _, _ = c.UDPConn.WriteToUDPAddrPort(data, to) }) // as lost as any packet
}

func (c *conn) write(b []byte, send func([]byte)) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	data := append([]byte(nil), b...)
	c.n.out.send(len(data), func() { send(data) })
	return len(b), nil
}

func (c *conn) Read(b []byte) (int, error) {
	size, _, err := c.ReadFromAddrPort(b)
	return size, err
}

func (c *conn) ReadFromUDP(b []byte) (int, *net.UDPAddr, error) {
	size, from, err := c.ReadFromAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return size, net.UDPAddrFromAddrPort(from), nil
}

func (c *conn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	return c.ReadFromAddrPort(b)
}

func (c *conn) ReadFrom(b []byte) (int, net.Addr, error) {
	size, from, err := c.ReadFromUDP(b)
	if err != nil {
		return 0, nil, err
	}
	return size, from, nil
}

func (c *conn) ReadMsgUDP(b, _ []byte) (int, int, int, *net.UDPAddr, error) {
	size, from, err := c.ReadFromUDP(b)
	return size, 0, 0, from, err
}

func (c *conn) Write(b []byte) (int, error) {
	return c.write(b, func(data []byte) { _, _ = c.UDPConn.Write(data) }) // as lost as any packet
}

func (c *conn) WriteToUDP(b []byte, to *net.UDPAddr) (int, error) {
	return c.WriteToAddrPort(b, to.AddrPort())
}

func (c *conn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.WriteToAddrPort(b, to)
}

func (c *conn) WriteTo(b []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, &net.AddrError{Err: "not an address for UDP", Addr: to.String()}
	}
	return c.WriteToUDP(b, udp)
}

func (c *conn) WriteMsgUDP(b, _ []byte, to *net.UDPAddr) (int, int, error) {
	if to == nil {
		size, err := c.Write(b)
		return size, 0, err
	}
	size, err := c.WriteToUDP(b, to)
	return size, 0, err
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.read.Set(t)
	return nil
}

// SetDeadline is that of reading: writing never waits.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *conn) SetWriteDeadline(time.Time) error { return nil }
