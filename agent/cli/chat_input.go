package cli

// What the person types into chat: messages, commands, Ctrl-C; and the line that shows the state before the input.

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lookalong/lookalong/agent/support"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// chatCommands are the /commands, in the order of /help.
var chatCommands = []struct {
	name, args, what string
	run              func(c *chat, args string)
}{
	{"share", "", "ask to see the screen; opens the viewer, also again", (*chat).share},
	{"direct", "TEXT", "send past the server, from computer to computer", (*chat).sendDirect},
	{"snapshot", "[FILE]", "keep a lossless still of the picture", (*chat).snapshot},
	{"record", "[FILE]", "ask to record the picture; again: end the recording", (*chat).record},
	{"stop", "", "end the picture and the direct connection", (*chat).stopSession},
	{"status", "", "show the state of everything", (*chat).showStatus},
	{"history", "N", "show the last N messages again", (*chat).showHistory},
	{"release", "", "put the customer back into the queue, and leave", (*chat).release},
	{"close", "", "close the conversation, and leave", (*chat).closeConversation},
	{"help", "", "", nil}, // set below: it reads this table
	{"quit", "", "leave; the conversation stays yours for a minute", func(c *chat, _ string) { c.leave() }},
}

func init() {
	for i := range chatCommands {
		if chatCommands[i].name == "help" {
			chatCommands[i].what, chatCommands[i].run = "show this", (*chat).help
		}
	}
}

// line takes one line of input.
func (c *chat) line(s string) {
	s = strings.ToValidUTF8(strings.TrimRight(s, " \t"), "\ufffd")
	c.typesNow("")
	switch {
	case s == "":
	case strings.HasPrefix(s, "//"):
		c.send(s[1:])
	case strings.HasPrefix(s, "/"):
		name, args, _ := strings.Cut(s[1:], " ")
		for _, cmd := range chatCommands {
			if cmd.name == name {
				cmd.run(c, strings.TrimSpace(args))
				c.draw()
				return
			}
		}
		c.note("There is no command /%s. /help lists them; a message that begins with a slash is written with two.", name)
	default:
		c.send(s)
	}
	c.draw()
}

// send sends a message. It appears once it is stored; until then the prompt says that it is on its way.
func (c *chat) send(text string) {
	if err := protocol.CheckText(text); err != nil {
		var refused *protocol.UserError
		errors.As(err, &refused)
		c.note("%s", refused.Text)
		c.unsent = true
		return
	}
	c.sending++
	c.room.say(text, func(_ protocol.Ack, err error) {
		c.sending--
		if err == nil {
			c.delay = ""
		} else {
			_, words, _ := c.app.meaning(err)
			c.unsent = true
			c.note("Not sent: %s. “%s”", words, text)
		}
		c.settle()
		c.draw()
	})
}

// settle leaves, once that was asked for and everything is stored or delivered.
func (c *chat) settle() {
	if c.ending && c.sending == 0 && len(c.direct) == 0 {
		c.finish(c.outcome())
	}
}

// outcome is how the chat ends: a script that wrote through a pipe must learn that not everything arrived, as a
// person at a terminal has.
func (c *chat) outcome() error {
	if _, piped := c.ui.(*plainUI); piped && c.unsent {
		return &fail{exitFailed, "not every message was sent", ""}
	}
	return nil
}

// directText is a direct message that waits for a connection, or for the customer's receipt.
type directText struct {
	id   protocol.RequestID
	text string
	sent bool
}

// sendDirect sends a text peer to peer. Without a session it asks for one without a picture first.
func (c *chat) sendDirect(text string) {
	if err := protocol.CheckText(text); err != nil {
		c.note("Write the message behind it: /direct TEXT")
		return
	}
	c.direct = append(c.direct, directText{id: client.NewID(), text: text})
	if c.status.State == "connected" || c.status.State == "reconnecting" {
		c.flushDirect()
		return
	}
	c.ctl.Connect(func(err error) {
		if err != nil {
			c.post(func() {
				_, words, _ := c.app.meaning(err)
				c.note("No direct connection: %s.", words)
				c.dropDirect()
			})
		}
	})
}

// flushDirect sends what waits for a direct connection.
func (c *chat) flushDirect() {
	for i := range c.direct {
		d := &c.direct[i]
		if d.sent {
			continue
		}
		d.sent = true
		text := d.text
		c.ctl.SendDirect(d.id, text, func(err error) {
			c.post(func() {
				if err != nil {
					c.unsent = true
					c.note("Not sent directly: %v. “%s”", err, text)
					return
				}
				me := "You"
				if w := c.link.Welcome().Agent; w != nil {
					me = w.Name
				}
				c.say(time.Now(), me, pink, text, true)
			})
		})
	}
}

func (c *chat) directReceived(id protocol.RequestID) {
	for i, d := range c.direct {
		if d.id == id {
			c.direct = append(c.direct[:i:i], c.direct[i+1:]...)
			break
		}
	}
	c.settle()
	c.draw()
}

// dropDirect says what could not be sent or was not confirmed.
func (c *chat) dropDirect() {
	for _, d := range c.direct {
		c.unsent = true
		if d.sent {
			c.note("Whether the customer received this directly is not known: “%s”", d.text)
		} else {
			c.note("Not sent: “%s”", d.text)
		}
	}
	c.direct = nil
	c.settle()
}

func (c *chat) share(string) {
	c.view.wanted = true
	c.ctl.Share(func(err error) {
		c.post(func() {
			if err != nil {
				_, words, _ := c.app.meaning(err)
				c.note("Can't share: %s.", words)
				return
			}
			if c.status.Live() && c.status.State != "requested" {
				c.view.show() // else when the customer has said yes
			}
		})
	})
}

func (c *chat) stopSession(string) {
	c.ctl.Stop(func(err error) {
		if err == nil {
			return // the status says it
		}
		c.post(func() {
			if c.state.Session == "" {
				c.note("There is nothing to stop.")
				return
			}
			// Another program of this agent has it, or one that is gone.
			c.link.Ask(protocol.SessionEnd{Session: c.state.Session, Reason: "agent_ended"}, func(_ any, err error) {
				c.post(func() {
					if err == nil {
						c.note("The session was ended.")
					}
				})
			})
		})
	})
}

// sessionChanged follows the session: sentences for the person, the viewer, direct messages that wait for it.
func (c *chat) sessionChanged(s support.Status) {
	c.sayStatus(s)
	switch s.State {
	case "connected":
		c.flushDirect()
	case "ended":
		c.dropDirect()
	}
	c.view.follow(s)
	c.draw()
}

func (c *chat) showStatus(string) {
	claim := "yours while this is open"
	if !c.mine() {
		claim = c.state.State
	}
	c.note("Conversation %s: %s, %d messages.", short(c.id), claim, c.follow.Last())
	if c.page != "" {
		c.note("%s.", c.page)
	}
	words := c.status.Sentence()
	if words == "" {
		words = "No picture and no direct connection."
	}
	c.note("%s", words)
	switch {
	case c.status.State == "connected" && (c.status.Path == "" || c.status.RTT == 0):
		c.note("The path is not measured yet. Verification: not checked.")
	case c.status.State == "connected":
		c.note("Path %s, round trip %.1f ms, verification: not checked, viewer pages open: %d.", c.status.Path, float64(c.status.RTT.Microseconds())/1000, c.ctl.Watched())
	}
	c.note("%d waiting in the queue.", c.waiting)
}

func (c *chat) showHistory(args string) {
	n := 20
	if args != "" {
		var err error
		if n, err = strconv.Atoi(args); err != nil || n < 1 || n > 100 {
			c.note("A number from 1 to 100: /history N")
			return
		}
	}
	c.link.Ask(protocol.ChatHistory{Conversation: c.id, Before: c.follow.Last() + 1, Limit: n}, func(reply any, err error) {
		c.post(func() {
			page, ok := reply.(protocol.ChatPage)
			if !ok {
				c.note("The history can't be read right now.")
				return
			}
			c.note("The last %d messages:", len(page.Messages))
			for _, m := range page.Messages {
				c.ui.say(c.app.messageLine(m, time.Now()))
			}
		})
	})
}

func (c *chat) release(string) {
	c.giveUp(protocol.QueueRelease{Conversation: c.id}, "The customer waits again.")
}

func (c *chat) closeConversation(string) {
	c.giveUp(protocol.ConversationClose{Conversation: c.id}, "The conversation is closed. The customer can reopen it for 7 days.")
}

// giveUp asks for something that ends the claim, and leaves.
func (c *chat) giveUp(request any, done string) {
	c.ending = true
	c.link.Ask(request, func(_ any, err error) {
		c.post(func() {
			if err != nil {
				c.ending = false
				_, words, _ := c.app.meaning(err)
				c.note("That did not work: %s.", words)
				return
			}
			c.note("%s", done)
			c.finish(c.outcome())
		})
	})
}

func (c *chat) help(string) {
	for _, cmd := range chatCommands {
		c.note("%-15s %s", strings.TrimSpace("/"+cmd.name+" "+cmd.args), cmd.what)
	}
	c.note("%-15s %s", "//TEXT", "a message that begins with a slash")
}

// leave ends the chat once everything is stored. The claim stays for a minute.
func (c *chat) leave() {
	if c.ending {
		return
	}
	c.ending = true
	if c.settle(); !c.over {
		c.note("Waiting until your last message is stored or delivered. Ctrl-C leaves at once.")
	}
}

// interrupted is Ctrl-C: once it leaves politely, twice at once.
func (c *chat) interrupted() {
	if c.ending || c.sending+len(c.direct) == 0 {
		if c.mine() && !c.ending {
			c.note("Left. %s stays yours for a minute; /release gives it back.", short(c.id))
		}
		c.ending = true
		c.finish(errInterrupted)
		return
	}
	c.leave()
}

var errInterrupted = &fail{code: exitInterrupted}

// typesNow tells the customer that somebody types here, at most every typingGap; an empty line says that it ended.
func (c *chat) typesNow(s string) {
	typing := s != "" && !strings.HasPrefix(s, "/")
	now := time.Now()
	if typing == !c.typed.IsZero() && (!typing || now.Sub(c.typed) < typingGap) {
		return
	}
	c.typed = time.Time{}
	if typing {
		c.typed = now
	}
	_ = c.link.Notify(protocol.ChatTyping{Conversation: c.id, Typing: typing}) // not durable
}

// draw shows the state before the input line.
func (c *chat) draw() {
	parts := []string{short(c.id)}
	if !c.online {
		parts = append(parts, "offline")
	} else if c.state.Presence != "" {
		parts = append(parts, c.state.Presence)
	}
	if !c.typing.IsZero() {
		parts = append(parts, "typing…")
	}
	switch {
	case c.status.State == "connected" && c.status.View == "on":
		parts = append(parts, "sees "+c.status.Shows())
		if c.status.Record == "on" {
			parts = append(parts, "REC")
		}
	case c.status.Live():
		parts = append(parts, c.status.State)
	}
	if d := c.delivery(); d != "" {
		parts = append(parts, d)
	}
	if c.waiting > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", c.waiting))
	}
	c.ui.prompt(term.Line(strings.Join(parts, " · ")) + " > ") //guard:T29
}

// delivery is how far the last own message got.
func (c *chat) delivery() string {
	switch {
	case c.sending > 0:
		return "sending…"
	case c.ownSeq == 0:
		return ""
	case c.state.Marks.CustomerRead >= c.ownSeq:
		return "✓✓ read"
	case c.state.Marks.CustomerReceived >= c.ownSeq:
		return "✓✓"
	}
	return "✓"
}
