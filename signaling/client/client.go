// Package client is the Go side of the signaling socket, used by the agent's and the native customer's programs:
// it dials, proves its key, keeps the socket alive, comes back by itself, matches answers with requests, and
// resends chat until it is stored.
package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

// State is where the connection is.
type State int

// The states, in the order in which they usually come.
const (
	Connecting State = iota // dialling, or in the hello
	Online                  // welcomed; the error is nil
	Waiting                 // the socket is gone and will be tried again; the error says why
	Stopped                 // it will not be tried again; the error is a *StopError, or the context's
)

func (s State) String() string {
	return [...]string{"connecting", "online", "waiting", "stopped"}[s]
}

// ErrOffline says that there is no connection now. A request that was under way may or may not have been done.
var ErrOffline = errors.New("client: not connected to the server")

// ErrUnreachable is wrapped by errors about a server that could not be reached at all.
var ErrUnreachable = errors.New("client: cannot reach the server")

// StopError says that the server wants this client to stop (close codes 4500 to 4999, and 1009).
type StopError struct {
	Code protocol.CloseCode
	Text string // one sentence for a person
}

func (e *StopError) Error() string { return e.Text }

// Config describes one connection. The zero value of each optional field is useful.
type Config struct {
	URL    string             // http(s)://host[:port] of the server. Required.
	Role   string             // "agent" or "native". Required.
	Key    ed25519.PrivateKey // the device's key. Required; never printed.
	Invite string             // an agent's first login
	Device string             // the device's label, with an invite
	Log    *slog.Logger       // nil: no log

	// Dial opens the connection below TLS and the WebSocket, for instance from a chosen source address. nil: the
	// system's way, through the environment's HTTP proxy where there is one.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// FailFast makes Run return at the first failed connect or lost connection instead of coming back.
	FailFast bool

	// OnMessage gets what the server pushes (values of protocol.Table), in order, on the reading goroutine. It
	// must not block, nor wait for an answer; Ask and Post are safe in it.
	OnMessage func(msg any)
	// OnState gets each change of the connection. At Online it runs before chat is resent, on the reading
	// goroutine: what it asks is sent first. It must not block.
	OnState func(State, error)
	// OnDelay gets the server's reason when chat has to wait: it can't save now, or not so fast. Nothing is lost: the
	// outbox is sent again, in order, after the pause. Once for each pause, on the reading goroutine. It must not block.
	OnDelay func(why *protocol.UserError)
}

// String leaves the secrets out.
func (c Config) String() string {
	return fmt.Sprintf("client.Config{%s %s key:[redacted] invite:[redacted]}", c.Role, c.URL) //guard:T34
}

// GoString leaves the secrets out.
func (c Config) GoString() string { return c.String() }

// LogValue leaves the secrets out.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Client is one connection that comes back. All methods are safe from any goroutine.
type Client struct {
	cfg  Config
	host string // what goes into the proof: host[:port] as written
	ws   string // ws(s)://host/ws/role

	mu      sync.Mutex
	conn    *socket // nil while offline
	pending map[protocol.RequestID]func(any, error)
	outbox  []*post     // chat that is not acknowledged, oldest first
	held    bool        // chat waits until OnState(Online) has run
	retry   *time.Timer // the outbox waits for retryAt
	retryAt time.Time
	welcome protocol.HelloWelcome
	stopped error         // set once Run ended
	changed chan struct{} // closed and replaced at each change of conn or stopped
	unknown int           // messages of unknown types
}

// New checks the configuration. It starts nothing; see Run.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(strings.TrimSpace(cfg.URL))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("client: %q is not a server address like https://help.example.com", cfg.URL)
	}
	if cfg.Role != "agent" && cfg.Role != "native" {
		return nil, fmt.Errorf("client: unknown role %q", cfg.Role)
	}
	if len(cfg.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("client: no device key")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.OnMessage == nil {
		cfg.OnMessage = func(any) {}
	}
	if cfg.OnState == nil {
		cfg.OnState = func(State, error) {}
	}
	if cfg.OnDelay == nil {
		cfg.OnDelay = func(*protocol.UserError) {}
	}
	ws := "ws"
	if u.Scheme == "https" {
		ws = "wss"
	}
	return &Client{
		cfg: cfg, host: u.Host, ws: ws + "://" + u.Host + "/ws/" + cfg.Role,
		pending: map[protocol.RequestID]func(any, error){},
		changed: make(chan struct{}),
	}, nil
}

// Run connects and keeps the connection until ctx ends (it returns the cause), the server says stop (*StopError),
// or, with FailFast, the connection fails. It returns when everything that it started has ended. Call it once.
func (c *Client) Run(ctx context.Context) error {
	err := c.run(ctx)
	c.mu.Lock()
	c.stopped = err
	if c.retry != nil {
		c.retry.Stop()
	}
	c.signal()
	posts := c.outbox
	c.outbox = nil
	c.mu.Unlock()
	for _, p := range posts {
		p.done(protocol.Ack{}, err)
	}
	c.cfg.OnState(Stopped, err)
	return err
}

func (c *Client) run(ctx context.Context) error {
	attempt := 0
	for {
		c.cfg.OnState(Connecting, nil)
		began := time.Now()
		online, err := c.connect(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var stop *StopError
		if errors.As(err, &stop) || c.cfg.FailFast {
			return err
		}
		if online && time.Since(began) > stableAfter {
			attempt = 0
		} else {
			attempt++
		}
		spread := time.Duration(c.Welcome().ReconnectSpreadMs) * time.Millisecond
		wait := Backoff(attempt, spread, randomFraction())
		c.cfg.Log.Info("connection lost", "err", err, "retry", wait)
		c.cfg.OnState(Waiting, err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// Welcome returns what the server said at the last hello; zero before the first.
func (c *Client) Welcome() protocol.HelloWelcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.welcome
}

// WaitOnline returns once the connection is up. Errors: ctx's, or that of Run when it has ended.
func (c *Client) WaitOnline(ctx context.Context) error {
	for {
		c.mu.Lock()
		up, stopped, changed := c.conn != nil, c.stopped, c.changed
		c.mu.Unlock()
		if up {
			return nil
		}
		if stopped != nil {
			return stopped
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// signal wakes WaitOnline; c.mu is held.
func (c *Client) signal() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// NewID makes a request id: a random UUID (RFC 9562, version 4).
func NewID() protocol.RequestID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return protocol.RequestID(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}
