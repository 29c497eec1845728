package server

import (
	"slices"
	"strings"

	"golang.org/x/time/rate"

	"github.com/lookalong/lookalong/protocol"
)

const (
	available = "available"
	offline   = "offline"
)

// agentOf finds or makes the team's member.
func (h *hub) agentOf(id, name string) *agent {
	a := h.agents[id]
	if a == nil {
		a = &agent{id: id, name: name, chosen: available, conns: map[*conn]struct{}{}, claims: set[*conv]{}, chat: map[string]*rate.Limiter{}}
		h.agents[id] = a
	}
	return a
}

// beHere marks a standing connection (a watch or a hold): from now on its agent is present. One-shot commands don't
// count, so that a script does not make anybody appear.
func (h *hub) beHere(c *conn) {
	if !c.present {
		c.present = true
		h.agentPresence(h.agents[c.agent])
	}
}

// status is what others see: what the agent chose while a standing connection is open.
func (h *hub) status(a *agent) string {
	for c := range a.conns {
		if c.present {
			return a.chosen
		}
	}
	return offline
}

func (h *hub) available() int {
	n := 0
	for _, a := range h.agents {
		if h.status(a) == available {
			n++
		}
	}
	return n
}

func (h *hub) setStatus(c *conn, m protocol.PresenceStatus) {
	a := h.agents[c.agent]
	a.chosen = m.Status
	c.send(protocol.Ack{ID: m.ID})
	h.agentPresence(a)
}

// agentPresence tells the members of an agent's conversations, and customers who wait, that it may have changed.
func (h *hub) agentPresence(a *agent) {
	h.teamDirty = true
	for v := range a.claims {
		h.tell(v, protocol.PresenceAgent{Conversation: protocol.ConversationID(v.ID), Agent: *h.agentInfo(a.id)}, nil)
	}
}

func (h *hub) agentInfo(id string) *protocol.AgentInfo {
	a := h.agents[id]
	if a == nil {
		return nil
	}
	return &protocol.AgentInfo{ID: protocol.AgentID(a.id), Name: a.name, Status: h.status(a)}
}

func (h *hub) listAgents(c *conn, m protocol.PresenceList) {
	out := protocol.PresenceAgents{ID: m.ID, Agents: []protocol.AgentInfo{}}
	for id := range h.agents {
		out.Agents = append(out.Agents, *h.agentInfo(id))
	}
	slices.SortFunc(out.Agents, func(a, b protocol.AgentInfo) int { return strings.Compare(a.Name+string(a.ID), b.Name+string(b.ID)) })
	c.send(out)
}

// setPage notes the page that a customer's connection shows.
func (h *hub) setPage(c *conn, p protocol.Page) {
	c.page = &p
	h.moved[h.customers[c.customer]] = struct{}{} // told at the next tick, however often it changes
}

// customerState is a customer's presence and page: of the active tab, else of the latest.
func (h *hub) customerState(id string) (string, *protocol.Page) {
	cu := h.customers[id]
	if cu == nil || len(cu.conns) == 0 {
		return offline, nil
	}
	var page *protocol.Page
	for _, c := range cu.conns {
		if c.page != nil && (page == nil || c.page.Active || !page.Active) {
			page = c.page
		}
	}
	if page != nil && !page.Active {
		return "idle", page
	}
	return "online", page
}

// customerPresence tells the agents who look at the customer's conversation.
func (h *hub) customerPresence(cu *customer) {
	if cu.conv == nil {
		return
	}
	h.touch(cu.conv)
	presence, page := h.customerState(cu.id)
	msg := protocol.PresenceCustomer{Conversation: protocol.ConversationID(cu.conv.ID), Presence: presence, Page: page}
	h.eachMember(cu.conv, func(c *conn) {
		if c.isAgent() {
			c.send(msg)
		}
	})
}

func (h *hub) team() protocol.PresenceTeam {
	return protocol.PresenceTeam{Available: h.available(), Waiting: len(h.queue)}
}

// pushTeam tells customers how many agents are there, when that has changed: the queue's length alone is not worth a
// message to everybody.
func (h *hub) pushTeam() {
	team := h.team()
	if team.Available == h.lastTeam.Available {
		return
	}
	h.lastTeam = team
	data := protocol.Encode(team)
	for _, cu := range h.customers {
		for _, c := range cu.conns {
			c.enqueue(data)
		}
	}
}
