package simulate

// A customer's connection: it is lost and comes back, and what was missed meanwhile is asked for.

import (
	"errors"
	"fmt"
	"time"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

func (c *customer) cut() {
	if c.online {
		c.ownCut, c.lostAt = true, time.Now()
		c.r.tally.count(func(n *Counts) { n.Cuts++ })
		c.wire.cut()
	}
	if !c.quiet {
		c.in(dCut, c.jitter(c.r.o.ReconnectEvery))
	}
}

func (c *customer) onState(s client.State, err error, at time.Time) {
	var stopped *client.StopError
	switch {
	case s == client.Online:
		c.online, c.onlineAt = true, at
		c.r.tally.online.Add(1)
		c.reader.online()
		if !c.greeted {
			c.greeted = true
			select {
			case c.met <- nil:
			default: // told already that the first try failed
			}
			c.r.tally.count(func(n *Counts) { n.Connected++ })
			c.r.tally.took(tConnect, at.Sub(c.wire.began()))
		} else {
			c.r.tally.count(func(n *Counts) { n.Reconnects++ })
			c.r.tally.took(tReconnect, at.Sub(c.lostAt))
			c.recovering = c.conv.Conversation != ""
		}
		c.ownCut = false
		_ = c.client.Notify(protocol.PresencePage{Page: protocol.Page{ // said again after each reconnect
			Title: c.title(), URL: "https://rehearsal.example" + c.story.path, Active: true}})
		c.open()
		if c.sess != nil {
			c.rejoin()
		}
	case s == client.Waiting || s == client.Stopped:
		own := c.online && c.ownCut
		if c.online {
			c.online = false
			c.r.tally.online.Add(-1)
			if !own {
				c.lostAt = at
			}
		}
		c.asking = false
		if c.ctx.Err() != nil {
			return
		}
		if !own {
			c.r.tally.failed(codeOf(err))
		}
		if !c.greeted {
			select {
			case c.met <- err:
			default:
			}
		}
		if s == client.Stopped || errors.As(err, &stopped) {
			c.tell("refused", err.Error())
			c.finish()
		}
	}
}

// codeOf names why a connection failed or ended.
func codeOf(err error) string {
	var stop *client.StopError
	var lost *client.LostError
	switch {
	case errors.As(err, &stop):
		return fmt.Sprintf("close %d", stop.Code)
	case errors.As(err, &lost) && lost.Code != 0:
		return fmt.Sprintf("close %d", lost.Code)
	case errors.Is(err, client.ErrUnreachable):
		return "unreachable"
	}
	return "connection lost"
}

// refused counts a refusal, and says how long to wait where waiting helps.
func (c *customer) refused(err error) (wait time.Duration, retry bool) {
	var user *protocol.UserError
	if !errors.As(err, &user) {
		return 0, false // the connection is gone; the next one asks again
	}
	c.r.tally.refused(user.Code)
	switch user.Code {
	case protocol.CodeBusy, protocol.CodeRetry, protocol.CodeRate, protocol.CodeQueueFull, protocol.CodeConvLimit, protocol.CodeReadOnly:
		return max(c.jitter(time.Duration(user.RetryAfterMs)*time.Millisecond), 250*time.Millisecond), true
	}
	return 0, false
}

// open asks for the conversation, at the beginning and after each reconnect.
func (c *customer) open() {
	c.client.Ask(protocol.ConversationOpen{}, func(reply any, err error) {
		c.post(func() {
			if st, ok := reply.(protocol.ConversationState); ok {
				if st.Session != "" && c.sess == nil { // the connection was cut while it began: this end has forgotten it
					c.client.Ask(protocol.SessionEnd{Session: st.Session, Reason: "left"}, func(any, error) {})
				}
				known := c.conv.Conversation != ""
				c.onConversation(st, true)
				if known && st.State == "claimed" && c.sess == nil {
					c.claimed()
				}
			} else if wait, retry := c.refused(err); retry && !c.quiet {
				c.in(dOpen, wait)
			}
		})
	})
}

func (c *customer) onMessage(msg any) {
	switch m := msg.(type) {
	case protocol.ConversationState:
		c.onConversation(m, false)
	case protocol.ChatMessage:
		if m.Conversation == c.conv.Conversation {
			c.heard(c.reader.push(m))
		}
	case protocol.Error:
		c.r.tally.refused(m.Code)
	default:
		c.onSessionMessage(msg)
	}
}

func (c *customer) onConversation(st protocol.ConversationState, answer bool) {
	before := c.conv
	if before.Conversation != "" && before.Conversation != st.Conversation {
		return // of another program with this key
	}
	c.conv = st
	if before.Conversation == "" {
		if !answer {
			c.conv = before
			return
		}
		c.opened, c.base = time.Now(), st.LastSeq
		c.reader = newReader(st.LastSeq)
		c.r.tally.count(func(n *Counts) { n.Conversations++ })
		c.r.took(c)
		c.begin(st)
	}
	if st.State == "claimed" && before.State != "claimed" {
		c.r.tally.count(func(n *Counts) { n.Claimed++ })
		c.r.tally.took(tWaited, time.Since(c.opened))
		c.cancel(dWorry)
		name := ""
		if st.Agent != nil {
			name = st.Agent.Name
		}
		c.tell("claimed", name)
		c.claimed()
	}
	if st.State == "closed" && before.State != "closed" && !c.r.o.Load && !c.quiet {
		c.finish()
	}
	if answer || st.LastSeq > c.reader.last {
		c.catching = st.LastSeq
		c.catchUp()
	}
}

// catchUp asks for what is missing.
func (c *customer) catchUp() {
	if c.reader.last >= c.catching && !c.reader.gap() {
		if c.recovering && c.online {
			c.recovering = false
			c.r.tally.took(tCatchUp, time.Since(c.onlineAt))
		}
		c.catching = 0
		return
	}
	if c.asking {
		return
	}
	c.asking = true
	c.client.Ask(protocol.ChatHistory{Conversation: c.conv.Conversation, After: c.reader.last, Limit: 100}, func(reply any, err error) {
		c.post(func() {
			c.asking = false
			page, ok := reply.(protocol.ChatPage)
			if !ok {
				if wait, retry := c.refused(err); retry {
					c.in(dHistory, wait)
				}
				return
			}
			before := c.reader.last
			for _, m := range page.Messages {
				c.heard(c.reader.take(m))
			}
			if c.reader.last > before || c.reader.last >= c.catching {
				c.catchUp()
			} // else the server has no more; the audit counts what is lost
		})
	})
}
