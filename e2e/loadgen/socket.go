package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/e2e/loadgen/cast"
	"github.com/lookalong/lookalong/protocol"
)

// socket is one WebSocket to either server. One goroutine reads it.
type socket struct {
	ws  *websocket.Conn
	buf []byte // of the last frame that was read
}

// dial opens a socket from an address of its own, so that the server's limits for each address stay on.
func (o *options) dial(i int, path, origin string) (*socket, error) {
	header := http.Header{}
	if origin != "" {
		header.Set("Origin", origin)
	}
	d := websocket.Dialer{
		Subprotocols: []string{protocol.Subprotocol}, HandshakeTimeout: 30 * time.Second, ReadBufferSize: 4096, WriteBufferSize: 1024,
		NetDial: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/200), byte(1+i%200))}}).Dial,
	}
	ws, resp, err := d.Dial("ws://"+o.addr+path, header)
	if err != nil {
		if resp != nil {
			err = fmt.Errorf("%w: %s", err, resp.Status)
		}
		return nil, err
	}
	return &socket{ws: ws, buf: make([]byte, 0, 1024)}, nil
}

// read returns the next text frame; it is valid until the next call.
func (s *socket) read() ([]byte, error) {
	_, r, err := s.ws.NextReader()
	if err != nil {
		return nil, err
	}
	s.buf = s.buf[:0]
	for {
		if len(s.buf) == cap(s.buf) {
			s.buf = append(s.buf, 0)[:len(s.buf)]
		}
		n, err := r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if errors.Is(err, io.EOF) {
			return s.buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// await reads until a frame of this type comes.
func (s *socket) await(kind string) ([]byte, error) {
	want := []byte(`{"type":"` + kind + `"`)
	for {
		b, err := s.read()
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(b, want) {
			return b, nil
		}
		if bytes.HasPrefix(b, errorStart) {
			return nil, fmt.Errorf("the server says %s", b)
		}
	}
}

func (s *socket) write(b []byte) error { return s.ws.WriteMessage(websocket.TextMessage, b) }

// field is the text of a frame's field; empty if there is none.
func field(b []byte, before string) string {
	_, rest, _ := bytes.Cut(b, []byte(`"`+before+`":"`))
	value, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(value)
}

// number is a frame's field; -1 if there is none.
func number(b []byte, before string) int {
	_, rest, _ := bytes.Cut(b, []byte(`"`+before+`":`))
	end := bytes.IndexAny(rest, ",}")
	if end < 0 {
		return -1
	}
	n, err := strconv.Atoi(string(rest[:end]))
	if err != nil {
		return -1
	}
	return n
}

// hello opens a socket to the server and proves a key.
func (o *options) hello(i int, key cast.Key) (*socket, error) {
	origin := ""
	if key.Role == "customer" {
		origin = "http://" + o.addr
	}
	s, err := o.dial(i, "/ws/"+key.Role, origin)
	if err != nil {
		return nil, err
	}
	challenge, err := s.await("hello.challenge")
	if err == nil {
		var proof protocol.HelloProof
		if proof, err = key.Proof(o.addr, field(challenge, "nonce")); err == nil {
			err = s.write(protocol.Encode(proof))
		}
	}
	if err == nil {
		_, err = s.await("hello.welcome")
	}
	if err != nil {
		s.ws.Close()
		return nil, err
	}
	return s, nil
}

// customer opens customer i's socket and returns their conversation's id and last number.
func (o *options) customer(i int, key cast.Key) (s *socket, conv string, last int, err error) {
	if o.relay {
		s, err = o.dial(i, fmt.Sprintf("/%d", i), "")
		return s, fmt.Sprintf("%026d", i), 0, err
	}
	if s, err = o.hello(i, key); err != nil {
		return nil, "", 0, err
	}
	state, err := s.await("conversation.state")
	if err != nil {
		s.ws.Close()
		return nil, "", 0, err
	}
	return s, field(state, "conversation"), number(state, "lastSeq"), nil
}

// agent opens a socket of agent i; local names the address that it comes from.
func (o *options) agent(i, local int) (*socket, error) {
	if o.relay {
		return o.dial(local, fmt.Sprintf("/%d", i), "")
	}
	return o.hello(local, cast.Agent(i))
}
