package peer

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/sctp"

	"github.com/lookalong/lookalong/protocol"
)

// losing is a connection that loses each packet with certain bytes.
type losing struct {
	net.Conn
	what []byte
	lost chan struct{} // closed by the first
	once *sync.Once
}

func (l losing) Write(b []byte) (int, error) {
	if bytes.Contains(b, l.what) {
		l.once.Do(func() { close(l.lost) })
		return len(b), nil
	}
	return l.Conn.Write(b)
}

// TestReportsDoNotWaitForLostOnes: a report comes although the one before it never does.
func TestReportsDoNotWaitForLostOnes(t *testing.T) {
	here, there := net.Pipe()
	type made struct {
		a   *sctp.Association
		err error
	}
	server := make(chan made, 1)
	go func() {
		a, err := sctp.ServerWithOptions(sctp.WithNetConn(there), sctp.WithLoggerFactory(quiet))
		server <- made{a, err}
	}()
	lost := make(chan struct{})
	a, err := sctp.ClientWithOptions(sctp.WithNetConn(losing{here, []byte("first"), lost, &sync.Once{}}), sctp.WithLoggerFactory(quiet))
	if err != nil {
		t.Fatal(err)
	}
	s := <-server
	if s.err != nil {
		t.Fatal(s.err)
	}
	defer func() { _, _ = a.Close(), s.a.Close() }() // the pipe with them
	reports, err := reportsOn(a)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := s.a.OpenStream(protocol.ChannelLane, sctp.PayloadTypeWebRTCBinary)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reports.Write([]byte("first")); err != nil {
		t.Fatal(err)
	}
	<-lost // two in one packet would be lost together
	if _, err := reports.Write([]byte("second")); err != nil {
		t.Fatal(err)
	}
	if err := stream.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := stream.Read(b)
	_ = stream.SetReadDeadline(time.Time{}) // its goroutine ends with it
	if err != nil || string(b[:n]) != "second" {
		t.Errorf("got %q, %v", b[:n], err)
	}
}
