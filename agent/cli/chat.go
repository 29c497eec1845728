package cli

// chat: a conversation in a terminal. Lines are messages, lines that begin with a slash are commands.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/agent/support"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

type chatOptions struct {
	oneOptions
	viewerOptions
	next    bool
	history int
}

func newChatCmd(a *app) *cobra.Command {
	o := &chatOptions{oneOptions: oneOptions{app: a}}
	cmd := &cobra.Command{
		Use:   "chat ID|--next",
		Short: "Talk with a customer; /share shows their screen",
		Long: "Takes the conversation and keeps it while the chat is open. A line is a message; /help lists the commands.\n" +
			"With an empty queue, chat --next waits for the next customer. Leaving does not give the conversation up:\n/release does, or a minute without you.",
		Example: `  lookalong chat --next
  lookalong chat 4f2a`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeIDs("mine", "waiting"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.id = args[0]
			}
			if (o.id == "") != o.next {
				return usage(cmd, errors.New("give a conversation, or --next"))
			}
			return runChat(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.next, "next", false, "the customer who waits longest; waits for one when nobody does")
	cmd.Flags().IntVarP(&o.history, "history", "n", 20, "begin with this many of the last messages")
	o.flags(cmd)
	return cmd
}

// chat is one open chat. Its fields belong to the room's goroutine.
type chat struct {
	*room
	ui         ui
	o          *chatOptions
	view       *viewing
	page       string    // of the customer, as last noted
	typing     time.Time // the customer types, until then
	typed      time.Time // when this side last said that it types
	sending    int       // own messages that are not stored yet
	ownSeq     int64     // the last own message
	waiting    int       // conversations in the queue
	direct     []directText
	said       string // the last sentence about the session
	saidRecord string // and about a recording
	away       bool   // the connection was lost since it was online last
	delay      string // why messages wait, as it was said; empty: they don't
	unsent     bool   // something that was written did not arrive
	ending     bool   // Ctrl-C or end of input: leaves when everything is stored
}

func runChat(ctx context.Context, o *chatOptions) error {
	a := o.app
	r, err := newRoom(ctx, a)
	if err != nil {
		return err
	}
	defer r.close()
	if o.next {
		err = claimNext(ctx, r)
	} else {
		var item protocol.QueueItem
		if item, err = resolve(ctx, r.link, o.id); err == nil {
			err = r.claim(ctx, item.Conversation)
		}
	}
	if err != nil {
		return err
	}
	r.withSessions(ctx, o.viewerPort)
	u, err := newUI(a)
	if err != nil {
		return err
	}
	defer u.close() // also when something panics
	c := &chat{room: r, ui: u, o: o, view: &viewing{room: r, noOpen: o.noOpen}}
	c.view.note = c.note
	return c.run(ctx)
}

// claimNext takes the conversation that waits longest, and waits for one when the queue is empty.
func claimNext(ctx context.Context, r *room) error {
	told := false
	for {
		err := r.claim(ctx, "")
		var refused *protocol.UserError
		if !errors.As(err, &refused) || refused.Code != protocol.CodeNotFound && refused.Code != protocol.CodeTaken {
			return err
		}
		if !told {
			told = true
			r.app.note("Nobody is waiting. The next customer is yours; Ctrl-C stops waiting.")
		}
		if err := r.waitForQueue(ctx); err != nil {
			return err
		}
	}
}

// waitForQueue returns when somebody waits.
func (r *room) waitForQueue(ctx context.Context) error {
	waiting := true // an answer that is still in the mailbox afterwards must not end what comes next
	seen := func(msg any) {
		if q, ok := msg.(protocol.QueueState); ok && q.Total > 0 && waiting {
			r.finish(nil)
		}
	}
	watch := func() {
		r.link.Ask(protocol.QueueList{Watch: true}, func(reply any, err error) {
			r.post(func() { seen(reply) })
		})
	}
	r.onPush = seen
	r.onLink = func(s client.State, err error) {
		switch s {
		case client.Online:
			watch()
		case client.Waiting:
			r.app.note("Connection lost (%v). Reconnecting…", err)
		}
	}
	watch()
	err := r.run(ctx)
	waiting = false
	r.over, r.onPush, r.onLink = false, nil, nil
	if err == nil && r.app.io.ErrTTY {
		fmt.Fprint(r.app.io.Err, "\a")
	}
	return err
}

// run shows the conversation and reads lines until it is over.
func (c *chat) run(ctx context.Context) error {
	c.onMessage = c.message
	c.onPush = c.pushed
	c.onStatus = c.sessionChanged
	c.onLink = c.linkChanged
	c.onState = c.stateChanged
	c.onDirect = func(m protocol.DirectMessage) {
		c.say(m.At, "Customer", cyan, m.Text, true)
	}
	c.onAck = c.directReceived
	c.onTick = c.tick
	c.onDelay = c.delayed
	c.draw()
	c.ui.start(inputEvents{
		line: func(s string) {
			taken := make(chan struct{}, 1) // one answer
			c.post(func() {
				c.ui.entered(s)
				c.line(s)
				taken <- struct{}{}
			})
			select {
			case <-taken:
			case <-c.link.ended:
			}
		},
		typing:    func(s string) { c.post(func() { c.typesNow(s) }) },
		edit:      func() { c.post(c.ui.redraw) },
		interrupt: func() { c.post(c.interrupted) },
		end:       func() { c.post(c.leave) },
	})
	c.note("%s. A line is a message, /help lists the commands, /quit leaves.", short(c.id))
	c.notePage(c.state.Presence, c.state.Page)
	if err := c.begin(ctx, c.o.history); err != nil {
		return err
	}
	c.watchQueue()
	c.draw()
	stop := context.AfterFunc(ctx, func() { c.post(c.interrupted) })
	defer stop()
	// ctx ends politely, through interrupted: the room itself runs until then.
	err := c.room.run(context.WithoutCancel(ctx))
	c.ui.close()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// note prints a line beside the conversation; whatever is foreign in it is made safe.
func (c *chat) note(format string, args ...any) {
	c.ui.note(c.app.dim("— " + term.Line(fmt.Sprintf(format, args...))))
}

// say prints an utterance. A direct one is marked: the server has not seen it.
func (c *chat) say(at time.Time, who, colour, text string, direct bool) {
	if direct {
		who, colour = "⇄ "+who+" (direct)", pink
	}
	c.ui.say(c.app.said(at, time.Now(), who, colour, text))
}

func (c *chat) message(m protocol.ChatMessage) {
	c.ui.say(c.app.messageLine(m, time.Now()))
	switch m.From {
	case "agent":
		if me := c.link.Welcome().Agent; me != nil && m.Sender == string(me.ID) {
			c.ownSeq = m.Seq
		}
	case "customer":
		c.typing = time.Time{}
	}
	c.mark(m.Seq)
	c.draw()
}

// pushed takes everything that is neither a message nor the conversation's state.
func (c *chat) pushed(msg any) {
	switch m := msg.(type) {
	case protocol.PresenceCustomer:
		c.state.Presence = m.Presence
		c.notePage(m.Presence, m.Page)
	case protocol.PresenceTyping:
		if m.Conversation == c.id && m.From == "customer" {
			c.typing = time.Time{}
			if m.Typing {
				c.typing = time.Now().Add(6 * time.Second)
			}
		}
	case protocol.QueueState:
		c.queueChanged(m.Total)
	case protocol.Error:
		c.note("%s", m.Text)
	case protocol.ChatMarks: // the prompt shows them
	default:
		return
	}
	c.draw()
}

// notePage says where the customer is, when that changed.
func (c *chat) notePage(presence string, page *protocol.Page) {
	now := "The customer is " + presence
	switch {
	case presence == "offline":
		now = "The customer is not here right now; messages wait for them"
	case page != nil && pageOf(page) != "" && !page.Active:
		now = "The customer has “" + pageOf(page) + "” open, but looks at something else"
	case page != nil && pageOf(page) != "":
		now = "The customer is on “" + pageOf(page) + "”"
	}
	if presence != "" && now != c.page {
		c.page = now
		c.note("%s.", now)
	}
}

// watchQueue asks for the queue's changes, now and after each reconnect.
func (c *chat) watchQueue() {
	c.link.Ask(protocol.QueueList{Watch: true}, func(reply any, err error) {
		c.post(func() {
			if q, ok := reply.(protocol.QueueState); ok {
				c.queueChanged(q.Total)
			}
		})
	})
}

func (c *chat) queueChanged(total int) {
	if total > c.waiting {
		c.ui.alert()
		c.note("%d more waiting.", total)
	}
	c.waiting = total
	c.draw()
}

func (c *chat) linkChanged(s client.State, err error) {
	switch s {
	case client.Waiting:
		if !c.away {
			c.away = true
			c.note("Connection lost: %v. Reconnecting; what you write is sent then.", err)
		}
	case client.Online:
		if c.away {
			c.away = false
			c.note("Connected again.")
			c.watchQueue()
		}
	}
	c.draw()
}

// delayed says once why messages wait. A moment's pause of somebody who pastes many lines is shown by the prompt.
func (c *chat) delayed(why *protocol.UserError) {
	if words := delay(why); why.Code != protocol.CodeRate && words != c.delay {
		c.delay = words
		c.note("%s", words)
	}
}

func (c *chat) stateChanged(before, now protocol.ConversationState) {
	c.notePage(now.Presence, now.Page)
	if c.ending {
		return
	}
	switch {
	case now.State == "closed":
		c.note("The conversation is closed.")
		c.finish(nil)
	case !c.mine() && now.Agent != nil:
		c.finish(&fail{exitRace, fmt.Sprintf("%s has taken the conversation", now.Agent.Name), ""})
	case !c.mine():
		c.note("The conversation waits again; it is not yours any more.")
		c.finish(nil)
	}
	c.draw()
}

func (c *chat) tick(now time.Time) {
	if !c.typing.IsZero() && now.After(c.typing) {
		c.typing = time.Time{}
	}
	c.ui.resize()
	c.viewerLapsed(now)
	c.draw()
}

// viewerLapsed says once that the viewer's address lapsed unused. Another comes only when it is asked for: whoever
// chats must not find an address in between each minute.
func (c *chat) viewerLapsed(now time.Time) {
	if c.view.shownAt.IsZero() || now.Sub(c.view.shownAt) < codeLife {
		return
	}
	c.view.shownAt = time.Time{}
	if c.status.Live() && c.ctl.Watched() == 0 {
		c.note("The viewer's address was not used and has lapsed; /share gives another.")
	}
}

// sayStatus says what has changed about the session and a recording.
func (c *chat) sayStatus(s support.Status) {
	if words := s.Sentence(); words != "" && words != c.said {
		c.said = words
		c.note("%s", words)
	}
	words := s.RecordSentence()
	if words != "" && words != c.saidRecord {
		c.note("%s", words)
	}
	c.saidRecord = words
}
