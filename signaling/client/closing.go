package client

// Why a socket ended, in sentences for a person (the table of close codes is protocol.CloseTable).

import (
	"errors"
	"fmt"
	"net"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
)

// LostError says that a connection ended and will be tried again.
type LostError struct {
	Code protocol.CloseCode // 0 when the socket ended without a close frame
	Text string             // one sentence for a person
}

func (e *LostError) Error() string { return e.Text }

// Unwrap makes errors.Is(err, ErrOffline) true.
func (e *LostError) Unwrap() error { return ErrOffline }

// closeError turns a read error into *StopError or *LostError. said is what the server's error message said before.
func (c *Client) closeError(err error, said string) error {
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		code := protocol.CloseCode(closed.Code)
		text := said
		if text == "" {
			text = sentence(code)
		}
		c.cfg.Log.Debug("closed", "close", closed.Code)
		if !code.Reconnects() {
			return &StopError{code, text}
		}
		return &LostError{code, text}
	}
	if errors.Is(err, websocket.ErrReadLimit) {
		return &StopError{protocol.CloseTooLarge, "The server sent a message over 1 MiB."}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return &LostError{0, fmt.Sprintf("no sign of life from the server for %s", readTimeout)}
	}
	if said != "" {
		return &LostError{0, said}
	}
	return &LostError{0, "the connection to the server broke"}
}

// sentence is the meaning of a close code for the person at this program.
func sentence(code protocol.CloseCode) string {
	switch code {
	case protocol.CloseTooLarge:
		return "A message was too large for the server."
	case protocol.CloseBadMessage:
		return "The server did not understand this program. Update lookalong."
	case protocol.CloseAuth:
		return "The server does not know this device, or the invite is not valid any more."
	case protocol.CloseRevoked:
		return "This device was removed from the team."
	case protocol.CloseReplaced:
		return "This was opened somewhere else."
	case protocol.CloseVersion:
		return "This program and the server are too far apart in version. Update the older one."
	case protocol.CloseGoingAway, protocol.CloseRestart:
		return "the server restarts"
	case protocol.CloseTryLater:
		return "the server is busy"
	case protocol.CloseSlow:
		return "this connection was too slow for the messages"
	case protocol.CloseIdle:
		return "the server heard nothing from here"
	case protocol.CloseRate:
		return "too many messages in a short time"
	}
	return fmt.Sprintf("the server closed the connection (%d)", code)
}
