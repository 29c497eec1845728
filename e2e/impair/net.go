package impair

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// Network is a line with two directions, out of the program and into it, and the sockets on it. It is safe for
// concurrent use.
type Network struct {
	out, in *link
	done    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

// New makes a line that passes everything on. The same seed loses the same packets of the same traffic.
func New(seed uint64) *Network {
	n := &Network{out: newLink(2*seed, sleepUntil), in: newLink(2*seed+1, sleepUntil), done: make(chan struct{})}
	n.wg.Go(func() { n.out.run(n.done) })
	n.wg.Go(func() { n.in.run(n.done) })
	return n
}

// Set changes both directions. The error says that no line can be like that; nothing has changed then.
func (n *Network) Set(c Conditions) error {
	if err := c.check(); err != nil {
		return err
	}
	n.out.set(c)
	n.in.set(c)
	return nil
}

// Counts is what went out of the program and came into it since New.
func (n *Network) Counts() (out, in Counts) { return n.out.count(), n.in.count() }

// Close ends the line; what is on the way is lost. It is idempotent.
func (n *Network) Close() {
	n.once.Do(func() { close(n.done) })
	n.wg.Wait()
}

// ErrTCP is what opening a TCP connection through Net gives: it would be a way past the line.
var ErrTCP = errors.New("impair: there is no TCP on this line")

// Net is what pion opens its sockets through: those of the machine, with every UDP socket on the line. Sockets for
// multicast (mDNS) stay off it: names are resolved on the machine itself. There is no TCP (ErrTCP).
func (n *Network) Net() (transport.Net, error) {
	std, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return &wrapped{Net: std, network: n}, nil
}

type wrapped struct {
	transport.Net
	network *Network
}

func (w *wrapped) ListenUDP(network string, addr *net.UDPAddr) (transport.UDPConn, error) {
	if addr != nil && addr.IP.IsMulticast() {
		return w.Net.ListenUDP(network, addr)
	}
	c, err := net.ListenUDP(network, addr)
	if err != nil {
		return nil, err
	}
	return newConn(w.network, c), nil
}

func (w *wrapped) ListenPacket(network, address string) (net.PacketConn, error) {
	c, err := w.Net.ListenPacket(network, address)
	return w.packet(c, err)
}

func (w *wrapped) packet(c net.PacketConn, err error) (net.PacketConn, error) {
	if udp, ok := c.(*net.UDPConn); ok && err == nil {
		return newConn(w.network, udp), nil
	}
	return c, err
}

func (w *wrapped) DialUDP(network string, from, to *net.UDPAddr) (transport.UDPConn, error) {
	c, err := net.DialUDP(network, from, to)
	if err != nil {
		return nil, err
	}
	return newConn(w.network, c), nil
}

func (w *wrapped) DialTCP(string, *net.TCPAddr, *net.TCPAddr) (transport.TCPConn, error) {
	return nil, ErrTCP
}

func (w *wrapped) ListenTCP(string, *net.TCPAddr) (transport.TCPListener, error) { return nil, ErrTCP }

func (w *wrapped) Dial(network, address string) (net.Conn, error) {
	if strings.HasPrefix(network, "tcp") {
		return nil, ErrTCP
	}
	c, err := w.Net.Dial(network, address)
	return w.conn(c, err)
}

func (w *wrapped) conn(c net.Conn, err error) (net.Conn, error) {
	if udp, ok := c.(*net.UDPConn); ok && err == nil {
		return newConn(w.network, udp), nil
	}
	return c, err
}

func (w *wrapped) CreateDialer(d *net.Dialer) transport.Dialer {
	return dialer{w, w.Net.CreateDialer(d)}
}

func (w *wrapped) CreateListenConfig(c *net.ListenConfig) transport.ListenConfig {
	return listenConfig{w, w.Net.CreateListenConfig(c)}
}

type dialer struct {
	w *wrapped
	transport.Dialer
}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	if strings.HasPrefix(network, "tcp") {
		return nil, ErrTCP
	}
	return d.w.conn(d.Dialer.Dial(network, address))
}

func (c listenConfig) Listen(context.Context, string, string) (net.Listener, error) {
	return nil, ErrTCP
}

type listenConfig struct {
	w *wrapped
	transport.ListenConfig
}

func (c listenConfig) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	return c.w.packet(c.ListenConfig.ListenPacket(ctx, network, address))
}
