// Package share is the native customer: chat, consent and the picture, without a window. One goroutine (app.run)
// owns all state; the socket, the peer, the encoder and the keyboard post to it.
package share

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/lookalong/lookalong/customer/capture"
	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// Options are those of the command chat.
type Options struct {
	Server       string
	Key          ed25519.PrivateKey
	AcceptView   bool // say yes when an agent asks to see the picture
	AcceptRecord bool // say yes when an agent asks to record it
	AcceptPeer   bool // say yes to a direct connection for messages
	Share        bool // share as soon as an agent is there, as the customer's own click does
	KeepSharing  bool // extend the lease of 30 minutes
	Once         bool // send the input's lines and leave when they are stored
	JSON         bool
	For          time.Duration // leave after this time; 0 = never
	FPS          int           // pictures a second, at most
	Image        string        // "auto", "png" or "jpeg"
	Log          *slog.Logger

	// NewSource opens what is shown. It is called when the customer has said yes.
	NewSource func() (capture.Source, error)

	tune func(*peer.Config) // tests: another network, shorter timers
	gone time.Duration      // tests: instead of goneAfter
}

// tick is how often the loop looks at its clocks; pictures have a ticker of their own.
const tick = 100 * time.Millisecond

// The ends of a run; Main turns them into exit codes.
var (
	errDone        = errors.New("share: done")
	errUnreachable = errors.New("the server can't be reached")
)

type app struct {
	o   Options
	log *slog.Logger
	out *printer
	box *mailbox
	wg  sync.WaitGroup // peers and encoders
	ctx context.Context

	client *client.Client

	// Owned by the loop.
	conv      protocol.ConversationState
	chat      chatLog
	started   bool // the chat log knows where it begins
	catching  bool // a history request is under way
	lines     []string
	unstored  int  // posts without an answer
	noInput   bool // the input has ended
	wasOnline bool
	wanted    bool // /share or --share was not done yet; only while the consent is Off
	quit      error

	sess    *session
	consent consent.View
	follow  []consent.Event // that an effect led to
	allowAt time.Time
	source  capture.Source // opened, not started yet
	pic     *picture
	told    protocol.ConsentState
	directs []time.Time // questions for a direct connection within the window of consent.AsksWindowMs
}

// run is the whole life of the command.
func run(ctx context.Context, o Options, s term.Streams) error {
	a := &app{o: o, log: o.Log, out: &printer{s: s, json: o.JSON, now: time.Now}, box: newMailbox(), consent: consent.View{State: consent.Off, Record: consent.Off}, wanted: o.Share}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.o.gone == 0 {
		a.o.gone = goneAfter
	}
	c, err := client.New(client.Config{
		URL: o.Server, Role: "native", Key: o.Key, Log: a.log, FailFast: o.Once,
		OnMessage: func(m any) { a.box.post(func(a *app) { a.onMessage(m) }) },
		OnState:   func(st client.State, err error) { a.box.post(func(a *app) { a.onConnection(st, err) }) },
	})
	if err != nil {
		return usageError{err}
	}
	a.client = c
	// The goodbye needs the socket and the peer for a moment after ctx has ended.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.ctx = inner
	clientDone := make(chan error, 1)
	go func() { clientDone <- c.Run(inner) }() // waited for below
	go a.read(s)                               // a read of the terminal can't be interrupted: it ends with the program
	err = a.loop(ctx)
	a.goodbye()
	cancel()
	<-clientDone
	a.wg.Wait()
	return err
}

func (a *app) read(s term.Streams) {
	in := bufio.NewScanner(s.In)
	in.Buffer(nil, 64<<10)
	for in.Scan() {
		line := in.Text()
		a.box.post(func(a *app) { a.onLine(line) })
	}
	err := in.Err()
	a.box.post(func(a *app) {
		a.noInput = true
		if err != nil && !errors.Is(err, os.ErrClosed) {
			a.out.say(Output{Event: "error", Text: err.Error()}, "The input could not be read: "+err.Error())
		}
		a.checkOnce()
	})
}

func (a *app) loop(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	pictures := time.NewTimer(a.interval())
	defer pictures.Stop()
	var over <-chan time.Time
	if a.o.For > 0 {
		timer := time.NewTimer(a.o.For)
		defer timer.Stop()
		over = timer.C
	}
	for {
		if a.quit != nil {
			return a.quit
		}
		if a.out.err != nil {
			return fmt.Errorf("the output can't be written: %w", a.out.err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over:
			if !a.wasOnline {
				return errUnreachable
			}
			return errDone
		case <-a.box.wake:
			items, lost := a.box.take()
			if lost {
				return errors.New("share: too many events at once")
			}
			for _, fn := range items {
				fn(a)
			}
		case now := <-ticker.C:
			a.onTick(now)
		case now := <-pictures.C:
			pictures.Reset(a.pump(now))
		}
	}
}

// goodbye ends what is live: the picture first, then the peer, then the server is told.
func (a *app) goodbye() {
	a.step(consent.EvEnded)
	if a.sess == nil {
		return
	}
	id := a.sess.ID
	a.sess.Close("left")
	a.sess = nil
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := a.client.Request(ctx, protocol.SessionEnd{Session: id, Reason: "left"})
	a.log.Debug("session ended", "session", string(id), "err", err)
}

func (a *app) onConnection(st client.State, err error) {
	switch st {
	case client.Online:
		a.wasOnline = true
		a.out.say(Output{Event: "online"}, "Connected to "+a.client.Welcome().SiteName+".")
		a.open()
		if a.sess != nil {
			a.rejoin()
		}
	case client.Waiting:
		a.catching = false
		a.out.say(Output{Event: "offline", Reason: errText(err)}, "The server can't be reached right now. Trying again.")
	case client.Stopped:
		var stop *client.StopError
		switch {
		case errors.As(err, &stop):
			a.quit = stop
		case err != nil && a.o.Once && !errors.Is(err, context.Canceled):
			a.quit = fmt.Errorf("%w: %w", errUnreachable, err)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// open asks for the conversation; lines that wait for it follow.
func (a *app) open() {
	a.client.Ask(protocol.ConversationOpen{}, func(reply any, err error) {
		a.box.post(func(a *app) {
			if st, ok := reply.(protocol.ConversationState); ok {
				if st.Session != "" && a.sess == nil {
					a.stray(st.Session)
				}
				a.onConversation(st)
			} else if user := (*protocol.UserError)(nil); errors.As(err, &user) {
				a.out.say(Output{Event: "error", Reason: string(user.Code), Text: user.Text}, user.Text)
				if a.o.Once {
					a.quit = err
				}
			}
		})
	})
}

func (a *app) onMessage(m any) {
	switch m := m.(type) {
	case protocol.ConversationState:
		a.onConversation(m)
	case protocol.ChatMessage:
		if m.Conversation == a.conv.Conversation {
			a.take(m)
		}
	case protocol.PresenceTeam, protocol.PresenceTyping, protocol.ChatMarks, protocol.PresenceAgent:
	default:
		a.onSessionMessage(m)
	}
}

func (a *app) onConversation(m protocol.ConversationState) {
	old := a.conv
	if old.Conversation != m.Conversation {
		a.chat, a.started = chatLog{}, false
	}
	a.conv = m
	if !a.started { // what was read in an earlier run is not printed again
		a.started, a.chat.last = true, min(m.Marks.CustomerRead, m.LastSeq)
	}
	name := ""
	if m.Agent != nil {
		name = m.Agent.Name
	}
	if old.Conversation != m.Conversation || old.State != m.State || old.Position != m.Position {
		sentence := ""
		switch {
		case m.State == "claimed" && old.State != "claimed":
			sentence = fmt.Sprintf("Agent “%s” is here.", name)
		case m.State == "waiting" && m.Position > 0:
			sentence = fmt.Sprintf("Waiting for an agent; you are number %d.", m.Position)
		case m.State == "closed":
			sentence = "The conversation was closed. Write again to open it."
		}
		a.out.say(Output{Event: "conversation", Conversation: string(m.Conversation), State: m.State, Position: m.Position, Name: name}, sentence)
	}
	if m.LastSeq > a.chat.last {
		a.catchUp()
	}
	lines := a.lines
	a.lines = nil
	for _, l := range lines {
		a.post(l)
	}
	a.checkOnce()
	a.shareIfWanted()
}

func (a *app) catchUp() {
	if a.catching {
		return
	}
	a.catching = true
	a.client.Ask(protocol.ChatHistory{Conversation: a.conv.Conversation, After: a.chat.last, Limit: 100}, func(reply any, err error) {
		a.box.post(func(a *app) {
			a.catching = false
			page, ok := reply.(protocol.ChatPage)
			if !ok || page.Conversation != a.conv.Conversation || len(page.Messages) == 0 {
				return // the next connect asks again
			}
			for _, m := range page.Messages {
				a.take(m)
			}
			if a.chat.last < page.LastSeq {
				a.catchUp()
			}
		})
	})
}

// take shows what may be shown, in order, and marks it.
func (a *app) take(m protocol.ChatMessage) {
	ready, gap := a.chat.add(m)
	marked := false
	for _, r := range ready {
		if r.From == "customer" {
			continue
		}
		marked = true
		who := r.Name
		if who == "" {
			who = r.From
		}
		a.out.line(Output{Event: "message", Conversation: string(r.Conversation), Seq: r.Seq, ID: string(r.MessageID), From: r.From, Name: r.Name, Text: r.Text, At: r.At}, who)
	}
	if marked {
		_ = a.client.Notify(protocol.ChatMark{Conversation: a.conv.Conversation, Received: a.chat.last, Read: a.chat.last}) // the next message marks again
	}
	if gap {
		a.catchUp()
	}
}

// post sends a text to the chat; it is repeated until it is stored.
func (a *app) post(text string) {
	a.unstored++
	conv := a.conv.Conversation
	var id protocol.RequestID
	id = a.client.Post(conv, text, func(ack protocol.Ack, err error) {
		a.box.post(func(a *app) {
			a.unstored--
			var user *protocol.UserError
			switch {
			case err == nil:
				at := time.Now()
				if ack.At != nil {
					at = *ack.At
				}
				a.out.say(Output{Event: "sent", Conversation: string(conv), Seq: ack.Seq, ID: string(ack.ID), Text: text}, "")
				if conv == a.conv.Conversation {
					a.take(protocol.ChatMessage{Conversation: conv, Seq: ack.Seq, MessageID: ack.ID, From: "customer", Text: text, At: at})
				}
			case errors.As(err, &user) && user.Code == protocol.CodeConvClosed:
				a.lines = append(a.lines, text)
				a.open()
			case errors.As(err, &user):
				a.out.say(Output{Event: "refused", ID: string(id), Reason: string(user.Code), Text: text}, user.Text)
			}
			a.checkOnce()
		})
	})
}

// checkOnce leaves when the input has ended and everything in it is stored.
func (a *app) checkOnce() {
	if a.o.Once && a.noInput && len(a.lines) == 0 && a.unstored == 0 && a.conv.Conversation != "" {
		a.quit = errDone
	}
}
