package client

// One socket: dial, hello, the reading goroutine and the one writing goroutine.

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
)

const (
	helloTimeout  = 10 * time.Second // dial, TLS, upgrade and hello together
	readTimeout   = 27 * time.Second // the server pings every 12 s (security.md F09)
	writeTimeout  = 10 * time.Second
	readLimit     = 1 << 20 // pages of history and lists are below 512 KiB
	outboxLen     = 256     // messages that may wait for the socket
	goodbyeWithin = time.Second
)

// frame is one thing to write: a text message, or a pong.
type frame struct {
	kind int
	data []byte
}

// socket is one live connection.
type socket struct {
	ws  *websocket.Conn
	out chan frame // capacity outboxLen; full means that the network does not take our messages any more
}

// send enqueues without waiting. False when the outbox is full: the network takes nothing any more, so the socket
// is closed and a new one is tried.
func (s *socket) send(kind int, data []byte) bool {
	select {
	case s.out <- frame{kind, data}:
		return true
	default:
		s.ws.Close()
		return false
	}
}

// connect opens one socket and serves it until it ends. online says whether the hello succeeded; err why it ended.
func (c *Client) connect(ctx context.Context) (online bool, err error) {
	hello, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	dialer := websocket.Dialer{
		Proxy:        http.ProxyFromEnvironment,
		Subprotocols: []string{protocol.Subprotocol},
		// EnableCompression stays off: chat and secrets share one socket (CRIME). No Origin header: /ws/agent and
		// /ws/native refuse any.
	}
	if c.cfg.Dial != nil {
		dialer.Proxy, dialer.NetDialContext = nil, c.cfg.Dial
	}
	ws, resp, err := dialer.DialContext(hello, c.ws, nil)
	if err != nil {
		return false, c.dialError(resp, err)
	}
	defer ws.Close()
	ws.SetReadLimit(readLimit)
	if ws.Subprotocol() != protocol.Subprotocol {
		return false, &StopError{protocol.CloseVersion, "This server does not speak " + protocol.Subprotocol + "."}
	}
	stop := context.AfterFunc(hello, func() { ws.Close() }) // ends a read that waits
	welcome, err := c.hello(ws)
	if !stop() && err == nil {
		err = context.Cause(hello)
	}
	if err != nil {
		if hello.Err() != nil && ctx.Err() == nil {
			return false, fmt.Errorf("%w: no answer within %s", ErrUnreachable, helloTimeout)
		}
		return false, err
	}

	s := &socket{ws: ws, out: make(chan frame, outboxLen)}
	extend := func() { _ = ws.SetReadDeadline(time.Now().Add(readTimeout)) }
	extend()
	ws.SetPingHandler(func(data string) error {
		extend()
		s.send(websocket.PongMessage, []byte(data))
		return nil
	})
	var wait sync.WaitGroup
	ended, end := context.WithCancel(ctx)
	wait.Go(func() { s.write(ended) })

	c.mu.Lock()
	c.conn, c.welcome, c.held = s, welcome, true
	c.mu.Unlock()
	c.cfg.OnState(Online, nil)
	c.mu.Lock()
	c.held = false
	c.signal()
	c.mu.Unlock()
	c.resend()

	err = c.read(ws, extend)
	c.drop()
	end()
	wait.Wait()
	return true, err
}

// read hands messages on until the socket ends.
func (c *Client) read(ws *websocket.Conn, extend func()) error {
	for {
		kind, data, err := ws.ReadMessage()
		if err != nil {
			return c.closeError(err, "")
		}
		extend()
		if kind != websocket.TextMessage {
			continue
		}
		msg, err := protocol.Decode(data, protocol.Server)
		if err != nil {
			c.cfg.Log.Warn("the server sent a bad message", "err", err)
			continue
		}
		c.deliver(msg)
	}
}

// write is the only writer. It ends at the first error, or says goodbye when ctx ends; both end the reader.
func (s *socket) write(ctx context.Context) {
	defer s.ws.Close()
	put := func(f frame) error {
		if f.kind == websocket.PongMessage {
			return s.ws.WriteControl(f.kind, f.data, time.Now().Add(writeTimeout))
		}
		_ = s.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
		return s.ws.WriteMessage(f.kind, f.data)
	}
	for {
		select {
		case f := <-s.out:
			if put(f) != nil {
				return
			}
		case <-ctx.Done():
			for { // what was enqueued before the goodbye goes out before it
				select {
				case f := <-s.out:
					_ = s.ws.SetWriteDeadline(time.Now().Add(goodbyeWithin))
					if s.ws.WriteMessage(f.kind, f.data) != nil {
						return
					}
					continue
				default:
				}
				break
			}
			bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
			_ = s.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(goodbyeWithin))
			return
		}
	}
}

// hello proves the key: challenge, proof, welcome (security.md 5.1).
func (c *Client) hello(ws *websocket.Conn) (protocol.HelloWelcome, error) {
	var none protocol.HelloWelcome
	msg, err := c.readHello(ws)
	if err != nil {
		return none, err
	}
	challenge, ok := msg.(protocol.HelloChallenge)
	if !ok {
		return none, fmt.Errorf("client: the server began with %T instead of a challenge", msg)
	}
	version := 0
	for _, v := range challenge.Versions {
		for _, ours := range protocol.Versions {
			if v == ours && v > version {
				version = v
			}
		}
	}
	if version == 0 {
		return none, &StopError{protocol.CloseVersion, sentence(protocol.CloseVersion)}
	}
	nonce, err := protocol.B64.DecodeString(challenge.Nonce)
	if err != nil {
		return none, errors.New("client: the server's challenge is not readable")
	}
	cnonce := make([]byte, 32)
	_, _ = rand.Read(cnonce) // never fails (crypto/rand)
	pub := c.cfg.Key.Public().(ed25519.PublicKey)
	sig := ed25519.Sign(c.cfg.Key, protocol.HelloBytes(c.cfg.Role, c.host, nonce, cnonce, pub))
	proof := protocol.HelloProof{
		Version: version, Role: c.cfg.Role, Host: c.host, Invite: c.cfg.Invite, Device: c.cfg.Device,
		Pub: protocol.B64.EncodeToString(pub), CNonce: protocol.B64.EncodeToString(cnonce),
		Sig: protocol.B64.EncodeToString(sig),
	}
	_ = ws.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err := ws.WriteMessage(websocket.TextMessage, protocol.Encode(proof)); err != nil {
		return none, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if msg, err = c.readHello(ws); err != nil {
		return none, err
	}
	switch m := msg.(type) {
	case protocol.HelloWelcome:
		return m, nil
	case protocol.Error:
		_, _, err := ws.ReadMessage() // the close code follows
		return none, c.closeError(err, m.Text)
	}
	return none, fmt.Errorf("client: the server answered the proof with %T", msg)
}

func (c *Client) readHello(ws *websocket.Conn) (any, error) {
	_, data, err := ws.ReadMessage()
	if err != nil {
		return nil, c.closeError(err, "")
	}
	return protocol.Decode(data, protocol.Server)
}

// dialError says in one sentence why there is no socket.
func (c *Client) dialError(resp *http.Response, err error) error {
	if resp != nil {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		c.cfg.Log.Debug("upgrade refused", "status", resp.Status, "bytes", len(body))
		if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusOK {
			return fmt.Errorf("%w %s: it answers, but not as a Lookalong server (HTTP %s)", ErrUnreachable, c.cfg.URL, resp.Status)
		}
		return fmt.Errorf("%w %s: HTTP %s", ErrUnreachable, c.cfg.URL, resp.Status)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	return fmt.Errorf("%w %s: %w", ErrUnreachable, c.cfg.URL, err)
}
