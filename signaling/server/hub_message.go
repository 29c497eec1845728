package server

import (
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

// received handles one message of a connection: the object is looked up, the authorization table is asked, then the
// family's handler runs.
func (h *hub) received(c *conn, msg any) {
	if _, joined := h.conns[c]; !joined {
		return
	}
	verb := protocol.RowOf(msg).Type
	req, convID, sessID := objectOf(msg)
	if needOf(c, verb) == never {
		c.fail(req, errForbidden) //guard:T02
		return
	}
	switch {
	case sessID != "":
		s := h.sessions[string(sessID)]
		var v *conv
		if s != nil {
			v = s.conv
		}
		if err := allow(c, verb, v, s); err != nil {
			h.refuse(c, req, sessID, err)
			return
		}
		h.handleSession(c, s, msg)
	case convID != "":
		fresh := h.convs[string(convID)] == nil && h.loading[string(convID)] == nil
		if fresh && c.reads >= readsWaiting {
			h.holdBack(c, msg, req, storeError(store.ErrBusy))
			return
		}
		if fresh {
			c.reads++
		}
		h.withConv(convID, func(v *conv, err error) {
			if fresh {
				c.reads--
			}
			if _, joined := h.conns[c]; !joined {
				return
			}
			if v == nil {
				h.holdBack(c, msg, req, notFound(err))
				return
			}
			if err := allow(c, verb, v, nil); err != nil {
				h.refuse(c, req, "", err)
				return
			}
			h.handleConv(c, v, msg)
		})
	default:
		if err := allow(c, verb, nil, nil); err != nil {
			h.refuse(c, req, "", err)
			return
		}
		h.handlePlain(c, msg)
	}
}

// refuse answers a request; what has no id is answered only where the sender must learn that a session is gone.
func (h *hub) refuse(c *conn, req protocol.RequestID, session protocol.SessionID, err error) {
	if req == "" && session == "" {
		return
	}
	c.fail(req, err)
}

// holdBack refuses a request that the server could not look at; what is sent after a chat message that may be sent again
// waits like it.
func (h *hub) holdBack(c *conn, msg any, req protocol.RequestID, err error) {
	h.refuse(c, req, "", err)
	if _, chat := msg.(protocol.ChatSend); chat {
		h.holdOff(c, err)
	}
}

// objectOf reads the request's id and what it acts on.
func objectOf(msg any) (protocol.RequestID, protocol.ConversationID, protocol.SessionID) {
	switch m := msg.(type) {
	case protocol.Ping:
		return m.ID, "", ""
	case protocol.ConversationOpen:
		return m.ID, "", ""
	case protocol.ConversationClose:
		return m.ID, m.Conversation, ""
	case protocol.ConversationWatch:
		return m.ID, m.Conversation, ""
	case protocol.ConversationList:
		return m.ID, "", ""
	case protocol.ChatSend:
		return m.ID, m.Conversation, ""
	case protocol.ChatHistory:
		return m.ID, m.Conversation, ""
	case protocol.ChatMark:
		return "", m.Conversation, ""
	case protocol.ChatTyping:
		return "", m.Conversation, ""
	case protocol.PresenceStatus:
		return m.ID, "", ""
	case protocol.PresenceList:
		return m.ID, "", ""
	case protocol.QueueList:
		return m.ID, "", ""
	case protocol.QueueClaim:
		return m.ID, "", ""
	case protocol.QueueRelease:
		return m.ID, m.Conversation, ""
	case protocol.SessionRequest:
		return m.ID, m.Conversation, ""
	case protocol.SessionAccept:
		return m.ID, "", m.Session
	case protocol.SessionDecline:
		return m.ID, "", m.Session
	case protocol.SessionRejoin:
		return m.ID, "", m.Session
	case protocol.SessionOffer:
		return "", "", m.Session
	case protocol.SessionAnswer:
		return "", "", m.Session
	case protocol.SessionCandidate:
		return "", "", m.Session
	case protocol.SessionRestart:
		return "", "", m.Session
	case protocol.SessionReport:
		return "", "", m.Session
	case protocol.SessionEnd:
		return m.ID, "", m.Session
	case protocol.ConsentAsk:
		return m.ID, "", m.Session
	case protocol.ConsentState:
		return "", "", m.Session
	}
	return "", "", ""
}

// handlePlain handles verbs without an object.
func (h *hub) handlePlain(c *conn, msg any) {
	switch m := msg.(type) {
	case protocol.Ping:
		c.send(protocol.Pong{ID: m.ID})
	case protocol.ConversationOpen:
		h.openConversation(c, m)
	case protocol.ConversationList:
		h.listConversations(c, m)
	case protocol.PresencePage:
		h.setPage(c, m.Page)
	case protocol.PresenceStatus:
		h.setStatus(c, m)
	case protocol.PresenceList:
		h.listAgents(c, m)
	case protocol.QueueList:
		h.listQueue(c, m)
	case protocol.QueueClaim:
		h.claimConversation(c, m)
	default: // hello.proof a second time
		c.fail("", protocol.Userf(protocol.CodeBadMessage, "This message is not expected here."))
	}
}

// handleConv handles verbs on a conversation; the table has allowed them.
func (h *hub) handleConv(c *conn, v *conv, msg any) {
	switch m := msg.(type) {
	case protocol.ConversationClose:
		h.closeConversation(c, v, m.ID)
	case protocol.ConversationWatch:
		h.watch(c, v, m)
	case protocol.ChatSend:
		h.chatSend(c, v, m)
	case protocol.ChatHistory:
		h.history(c, v, m)
	case protocol.ChatMark:
		h.mark(c, v, m)
	case protocol.ChatTyping:
		h.typing(c, v, m)
	case protocol.QueueRelease:
		h.release(c, v, m.ID)
	case protocol.SessionRequest:
		h.requestSession(c, v, m)
	}
}
