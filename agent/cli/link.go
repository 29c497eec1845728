package cli

// The connection of one command, and asking over it.

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

const connectTimeout = 15 * time.Second

// link is a running client.
type link struct {
	*client.Client
	stop  context.CancelFunc
	ended chan struct{}
	err   error // of Run; read after ended
	once  sync.Once

	mu     sync.Mutex
	failed error // why the very first connect failed
}

// dial starts a client with the saved key. It does not wait for the connection; OnState and OnMessage may use the
// link. A first connect that fails ends it; after that it comes back by itself.
func (a *app) dial(ctx context.Context, cfg client.Config) (*link, error) {
	saved, key, err := a.load()
	if err != nil {
		return nil, err
	}
	cfg.URL, cfg.Key = saved.Server, ed25519.PrivateKey(key)
	return a.start(ctx, cfg)
}

func (a *app) start(ctx context.Context, cfg client.Config) (*link, error) {
	cfg.Role, cfg.Log = "agent", a.log()
	l := &link{ended: make(chan struct{})}
	user, online, made := cfg.OnState, false, make(chan struct{})
	cfg.OnState = func(s client.State, err error) {
		<-made // l is complete
		online = online || s == client.Online
		if s == client.Waiting && !online { // only what worked once is tried again
			l.mu.Lock()
			l.failed = err
			l.mu.Unlock()
			l.stop()
		}
		if user != nil {
			user(s, err)
		}
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, &fail{exitUsage, fmt.Sprintf("%q is not a server address", cfg.URL), "it looks like https://help.example.com"}
	}
	// The connection outlives ctx until close, so that a polite end can be said.
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.Client, l.stop = c, stop
	close(made)
	go func() {
		defer close(l.ended)
		l.err = c.Run(run)
	}()
	return l, nil
}

// connect is dial for a one-shot command: it waits for the connection and does not come back when it is lost.
func (a *app) connect(ctx context.Context, cfg client.Config) (*link, error) {
	cfg.FailFast = true
	l, err := a.dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return l, l.ready(ctx)
}

// ready waits until the link is online; it closes the link on failure.
func (l *link) ready(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	err := l.WaitOnline(wait)
	if err != nil {
		l.close()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.failed != nil {
			return l.failed
		}
	}
	return err
}

// close says goodbye and waits until the connection's goroutines have ended.
func (l *link) close() {
	l.once.Do(func() {
		l.stop()
		<-l.ended
	})
}

// request asks and waits at most 15 s. When the connection ends meanwhile, the error is the reason of its end.
func (l *link) request(ctx context.Context, msg any) (any, error) {
	wait, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	reply, err := l.Request(wait, msg)
	if errors.Is(err, client.ErrOffline) {
		select {
		case <-l.ended:
			if l.err != nil {
				err = l.err
			}
		case <-wait.Done():
		case <-time.After(time.Second): // a client that comes back does not end
		}
	}
	return reply, err
}

// ask is request for an answer of type T.
func ask[T any](ctx context.Context, l *link, msg any) (T, error) {
	reply, err := l.request(ctx, msg)
	t, ok := reply.(T)
	if err == nil && !ok {
		err = fmt.Errorf("the server answered with %T", reply)
	}
	return t, err
}

// lists asks for conversations of several scopes and returns each once.
func (l *link) lists(ctx context.Context, scopes ...string) ([]protocol.QueueItem, error) {
	var out []protocol.QueueItem
	seen := map[protocol.ConversationID]bool{}
	for _, scope := range scopes {
		items, err := ask[protocol.ConversationItems](ctx, l, protocol.ConversationList{Scope: scope})
		if err != nil {
			return nil, err
		}
		for _, item := range items.Items {
			if !seen[item.Conversation] {
				seen[item.Conversation] = true
				out = append(out, item)
			}
		}
	}
	return out, nil
}
