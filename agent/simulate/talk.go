package simulate

// What a customer says: a story to a person, or lines at a rate.

import (
	"errors"
	"time"
	"unicode/utf8"

	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/protocol"
)

// The times that people take, before the jitter and the pace.
const (
	hesitates    = 2 * time.Second        // before the first line
	perCharacter = 60 * time.Millisecond  // of typing
	perHan       = 200 * time.Millisecond // of typing a Chinese character
	longest      = 6 * time.Second        // of typing a line, which is as long as "typing" is shown
	reads        = 3 * time.Second        // before an answer
	worries      = time.Minute            // of waiting for anybody
	goes         = 6 * time.Second        // after the thanks
	offers       = 20 * time.Second       // of waiting to be asked, before the customer shows by itself
)

// begin starts to write, once the conversation is there.
func (c *customer) begin(st protocol.ConversationState) {
	if c.r.o.Load {
		if c.r.o.Rate > 0 {
			c.in(dSay, c.jitter(c.interval()))
		}
		return
	}
	c.tell("arrived", "")
	c.lines = append(c.lines, c.story.opening...)
	c.in(dReply, c.human(hesitates))
	if st.State == "waiting" {
		c.in(dWorry, c.human(worries))
	}
}

func (c *customer) interval() time.Duration {
	return time.Duration(float64(time.Second) / c.r.o.Rate)
}

// sayNext says what was being typed, and begins the next line.
func (c *customer) sayNext() {
	if c.quiet {
		return
	}
	if c.r.o.Load {
		lines := c.story.lines()
		c.say(lines[c.next%len(lines)])
		c.next++
		c.in(dSay, c.jitter(c.interval()))
		return
	}
	if len(c.lines) == 0 {
		return
	}
	c.say(c.lines[0])
	switch c.lines = c.lines[1:]; {
	case len(c.lines) > 0:
		c.types()
	case c.thanked:
		c.in(dLeave, c.human(goes))
	case c.owes:
		c.owe()
	}
}

// owe says that the agent has a reply to get, once the customer has said what it is saying.
func (c *customer) owe() {
	if c.owes = !c.r.o.Load && !c.quiet && !c.thanked; c.owes && len(c.lines) == 0 {
		c.in(dReply, c.human(reads))
	}
}

// types begins to type the first of the lines.
func (c *customer) types() {
	_ = c.client.Notify(protocol.ChatTyping{Conversation: c.conv.Conversation, Typing: true}) // not durable
	each := perCharacter
	if c.story.language == "zh" {
		each = perHan
	}
	c.in(dSay, min(c.human(each*time.Duration(utf8.RuneCountInString(c.lines[0]))), longest))
}

// say writes a message; it is repeated over lost connections until it is stored.
func (c *customer) say(text string) {
	if c.unacked >= maxUnacked {
		c.r.tally.count(func(n *Counts) { n.HeldBack++ })
		return
	}
	i, began := len(c.written), time.Now()
	done := func(ack protocol.Ack, err error) {
		at := time.Now()
		c.post(func() { c.acked(i, ack, err, at.Sub(began)) })
	}
	c.mu.Lock() // the answering agent may see it before Post returns
	id := c.client.Post(c.conv.Conversation, text, done)
	if c.r.answer != nil {
		c.posted[id] = began
	}
	c.mu.Unlock()
	c.written = append(c.written, own{id: id, sum: sumOf(text)})
	c.unacked++
	if c.asked.IsZero() {
		c.asked = began
	}
	c.r.tally.count(func(n *Counts) { n.Sent++ })
}

func (c *customer) acked(i int, ack protocol.Ack, err error, took time.Duration) {
	c.unacked--
	var user *protocol.UserError
	switch {
	case err == nil:
		c.written[i].seq = ack.Seq
		c.lastAcked = max(c.lastAcked, ack.Seq)
		c.r.tally.count(func(n *Counts) { n.Acked++ })
		c.r.tally.took(tAck, took)
		c.heard(c.reader.take(protocol.ChatMessage{Conversation: c.conv.Conversation, Seq: ack.Seq, MessageID: ack.ID, From: "customer"}))
	case errors.As(err, &user):
		c.r.tally.refused(user.Code)
	default: // the client has ended
		c.r.tally.count(func(n *Counts) { n.Unconfirmed++ })
	}
}

// delivered is when the answering agent sees a message; on its goroutine.
func (c *customer) delivered(id protocol.RequestID, live bool) {
	c.mu.Lock()
	began, ok := c.posted[id]
	delete(c.posted, id)
	c.mu.Unlock()
	if ok {
		c.r.tally.count(func(n *Counts) { n.Delivered++ })
	}
	if ok && live {
		c.r.tally.took(tDelivery, time.Since(began))
	}
}

// heard takes messages that are there without a gap now.
func (c *customer) heard(list []protocol.ChatMessage) {
	for _, m := range list {
		if m.From != "agent" {
			continue
		}
		c.r.tally.count(func(n *Counts) { n.Replies++ })
		if !c.answered {
			c.answered = true
			c.r.tally.count(func(n *Counts) { n.Answered++ })
		}
		if !c.asked.IsZero() {
			c.r.tally.took(tAnswered, time.Since(c.asked))
			c.asked = time.Time{}
		}
		c.mark(c.agentRead())
		c.in(dRead, c.human(reads/2))
		c.owe()
	}
	if c.reader.gap() {
		c.catchUp()
	}
}

func (c *customer) agentRead() int64 { return c.conv.Marks.CustomerRead }

// mark tells that everything so far was received, and what was read.
func (c *customer) mark(read int64) {
	read = max(read, c.agentRead())
	c.conv.Marks.CustomerRead = read
	_ = c.client.Notify(protocol.ChatMark{Conversation: c.conv.Conversation, Received: c.reader.last, Read: read}) // the next one says more
}

// reply is the next turn of the story.
func (c *customer) reply() {
	if len(c.lines) == 0 {
		c.owes = false
	}
	switch {
	case c.quiet:
		return
	case len(c.lines) > 0: // the opening
	case c.r.o.Share && !c.shown && c.next == 1 && c.conv.State == "claimed":
		c.shown = true
		c.lines = []string{c.story.show}
		c.in(dShare, c.human(offers))
	case c.r.o.Direct && !c.told && c.next == 2 && c.conv.State == "claimed":
		c.told = true
		c.connect(false)
		return // the story goes on with the agent's next message, direct or not
	case c.next < len(c.story.replies):
		c.lines = []string{c.story.replies[c.next]}
		c.next++
	case !c.thanked:
		c.thanked = true
		c.lines = []string{c.story.thanks}
		c.r.tally.count(func(n *Counts) { n.Finished++ })
		c.tell("thanks", "")
	}
	if len(c.lines) > 0 && c.agenda[dSay].IsZero() {
		c.types()
	}
}

// worry asks whether anybody is there.
func (c *customer) worry() {
	if c.quiet || c.conv.State != "waiting" || c.worried == 2 {
		return
	}
	c.worried++
	c.in(dWorry, c.human(worries))
	if len(c.lines) == 0 && c.agenda[dSay].IsZero() {
		c.lines = []string{c.story.waiting}
		c.types()
	}
}

// hush ends the writing and the picture; settled is closed when nothing is under way any more.
func (c *customer) hush() {
	c.quiet = true
	c.lines = nil
	c.cancel(dOpen, dSay, dReply, dWorry, dCut, dShare, dDirect, dAllow, dDecline, dLeave)
	c.step(consent.EvStop)
	c.settle()
}

// settle looks whether all that was written is stored and seen.
func (c *customer) settle() {
	if c.conv.Conversation == "" && c.online {
		c.calm.Do(func() { close(c.settled) })
		return
	}
	caughtUp := c.online && c.catching == 0 && !c.reader.gap()
	seen := !c.taken.Load() || c.agentSeen.Load() >= c.lastAcked
	if c.unacked == 0 && caughtUp && seen {
		c.calm.Do(func() { close(c.settled) })
		return
	}
	c.in(dSettle, 50*time.Millisecond)
}
