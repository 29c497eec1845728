package server

// systemd: sockets that it has opened (systemd.socket(5)), and what it is told (sd_notify(3)). Without systemd all of
// this does nothing.

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// passedSockets are those of the socket unit.
type passedSockets struct {
	tcp net.Listener
	udp net.PacketConn
}

// systemdSockets takes the sockets that systemd has opened for this process: nil if there are none. While the server is
// replaced they stay open, and who connects meanwhile waits instead of being refused.
func systemdSockets() (_ *passedSockets, err error) {
	files := activation.Files(true)
	if len(files) == 0 {
		return nil, nil
	}
	p := &passedSockets{}
	defer func() {
		for _, f := range files {
			f.Close() // what is used was duplicated
		}
		if err != nil {
			p.close()
		}
	}()
	for _, f := range files {
		if err := p.add(f); err != nil {
			return nil, hint{err, "the socket unit wants one ListenStream and at most one ListenDatagram, both with an address and a port"}
		}
	}
	if p.tcp == nil {
		return nil, hint{errors.New("systemd passes no TCP socket"), "add ListenStream to the socket unit"}
	}
	return p, nil
}

func (p *passedSockets) add(f *os.File) error {
	if l, err := net.FileListener(f); err == nil {
		if _, ok := l.(*net.TCPListener); !ok || p.tcp != nil {
			l.Close()
			return fmt.Errorf("systemd passes a second stream socket, or one that is not TCP: %s", l.Addr())
		}
		p.tcp = l
		return nil
	}
	c, err := net.FilePacketConn(f)
	if err != nil {
		return fmt.Errorf("systemd passes something that is no socket: %w", err)
	}
	if _, ok := c.(*net.UDPConn); !ok || p.udp != nil {
		c.Close()
		return fmt.Errorf("systemd passes a second datagram socket, or one that is not UDP: %s", c.LocalAddr())
	}
	p.udp = c
	return nil
}

// take hands both sockets over.
func (p *passedSockets) take() (net.Listener, net.PacketConn) {
	if p == nil {
		return nil, nil
	}
	l, c := p.tcp, p.udp
	p.tcp, p.udp = nil, nil
	return l, c
}

// close closes what was not taken.
func (p *passedSockets) close() {
	if l, c := p.take(); l != nil || c != nil {
		if l != nil {
			l.Close()
		}
		if c != nil {
			c.Close()
		}
	}
}

// notifySystemd tells systemd a state; where there is none, nobody.
func notifySystemd(state string) {
	_, _ = daemon.SdNotify(false, state) // a service manager that does not listen changes nothing for clients
}

// watchdogInterval is how often systemd wants a sign of life, halved so that one may come late; 0: never.
func watchdogInterval() time.Duration {
	d, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0
	}
	return d / 2
}
