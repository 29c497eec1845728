package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

// event is something that happens to the hub; it runs on the hub's goroutine and never waits.
type event func(h *hub)

// hub is the one owner of connections, presence, the queue's view and the live sessions. Everything else posts
// events. The store is the truth of what is durable: the hub keeps a copy of the rows that are in use and changes
// it only when a commit is reported.
type hub struct {
	store  *store.Store
	log    *slog.Logger
	now    func() time.Time
	site   string
	ice    func(c *conn, user, secret string) []protocol.ICEServer
	relays *relayUsers
	flags  sessionFlags
	spread func() time.Duration

	events chan event
	done   chan struct{} // closed when run ends
	reads  chan struct{} // capacity maxReads
	work   sync.WaitGroup

	conns     map[*conn]struct{}
	customers map[string]*customer
	agents    map[string]*agent
	convs     map[string]*conv
	loading   map[string][]func(*conv)
	sessions  map[string]*session
	waiting   int                    // conversations that wait
	claiming  int                    // claims that are being written
	moved     map[*customer]struct{} // whose presence changed since the last tick

	queueDirty, teamDirty bool
	lastTeam              protocol.PresenceTeam
	lastPositions         time.Time
}

// customer is one customer with at least one connection, or with a rate to remember.
type customer struct {
	id    string
	conns []*conn // oldest first
	conv  *conv   // current one, if loaded
	chat  *rate.Limiter
	left  time.Time // when the last connection went
}

// agent is a member of the team.
type agent struct {
	id, name string
	chosen   string // available, busy or away
	conns    map[*conn]struct{}
	chat     map[string]*rate.Limiter // by device
}

// conv is a conversation in use: its row, and who looks at it.
type conv struct {
	store.Conversation
	marks    protocol.Marks
	lastText string
	watchers map[*conn]struct{}
	holders  map[*conn]struct{}
	session  *session
	position int  // that was last told to the customer
	expiring bool // its end is being written
}

func newHub(s *store.Store, log *slog.Logger, now func() time.Time) *hub {
	return &hub{
		store: s, log: log, now: now,
		events: make(chan event, eventsLen), done: make(chan struct{}), reads: make(chan struct{}, maxReads),
		conns: map[*conn]struct{}{}, customers: map[string]*customer{}, agents: map[string]*agent{}, convs: map[string]*conv{},
		loading: map[string][]func(*conv){}, sessions: map[string]*session{}, moved: map[*customer]struct{}{},
	}
}

// post hands an event to the hub; false when it has ended. It may wait for the hub, which waits for nobody.
func (h *hub) post(ev event) bool {
	select {
	case h.events <- ev:
		return true
	case <-h.done:
		return false
	}
}

// run is the loop. It ends when ctx does, after telling every connection to come back.
func (h *hub) run(ctx context.Context) error {
	defer h.work.Wait()
	defer close(h.done)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for c := range h.conns {
				c.close(protocol.CloseRestart, protocol.CodeBusy)
			}
			return nil
		case ev := <-h.events:
			ev(h)
		case <-tick.C:
			h.expire(h.now())
		}
	}
}

// join is the first event of a connection.
func (h *hub) join(c *conn) {
	c.typing = rate.NewLimiter(typingPerSecond, 2*typingPerSecond)
	c.watches, c.holds, c.sessions = map[*conv]struct{}{}, map[*conv]struct{}{}, map[*session]struct{}{}
	welcome := protocol.HelloWelcome{
		Connection: c.id, Version: protocol.Version, Generation: c.generation, ServerTime: h.now(), SiteName: h.site,
		ReconnectSpreadMs: h.spread().Milliseconds(),
		Limits:            protocol.Limits{MessageBytes: protocol.MaxMessageBytes, TextChars: protocol.MaxTextChars, TextBytes: protocol.MaxTextBytes},
	}
	if c.isAgent() {
		a := h.agentOf(c.agent, c.name)
		n := 0
		for other := range a.conns {
			if other.device == c.device {
				n++
			}
		}
		if n >= agentSockets {
			c.fail("", protocol.Userf(protocol.CodeTooMany, "This device has %d connections open already. Close some.", n))
			c.close(protocol.CloseTryLater, protocol.CodeTooMany)
			return
		}
		h.conns[c] = struct{}{}
		a.conns[c] = struct{}{}
		welcome.Agent = &protocol.AgentInfo{ID: protocol.AgentID(a.id), Name: a.name, Status: h.status(a)}
		welcome.Role, welcome.Device = c.role, protocol.DeviceID(c.device)
		c.send(welcome)
		return
	}
	h.conns[c] = struct{}{}
	cu := h.customers[c.customer]
	if cu == nil {
		cu = &customer{id: c.customer, chat: rate.NewLimiter(customerChat, customerBurst)}
		h.customers[c.customer] = cu
	}
	if len(cu.conns) >= customerSockets {
		oldest := cu.conns[0]
		cu.conns = cu.conns[1:]
		oldest.close(protocol.CloseReplaced, protocol.CodeReplaced)
	}
	cu.conns = append(cu.conns, c)
	welcome.Customer = protocol.CustomerID(c.customer)
	c.send(welcome)
	c.send(h.team())
	h.current(c, cu)
}

// current tells a customer's connection about the conversation that they come back to.
func (h *hub) current(c *conn, cu *customer) {
	if cu.conv != nil && cu.conv.State != store.Closed {
		c.send(h.stateFor(c, cu.conv, ""))
		h.sendRequested(c, cu.conv)
		h.customerPresence(cu)
		return
	}
	h.read(func(ctx context.Context) event {
		row, err := h.store.CurrentConversation(ctx, cu.id)
		if err != nil {
			return nil // none yet
		}
		marks, text, err := h.readConv(ctx, row)
		if err != nil {
			return nil
		}
		return func(h *hub) {
			cu.conv = h.addConv(row, marks, text)
			if _, here := h.conns[c]; here {
				c.send(h.stateFor(c, cu.conv, ""))
				h.sendRequested(c, cu.conv)
				h.customerPresence(cu)
			}
		}
	})
}

// leave is the last event of a connection.
func (h *hub) leave(c *conn) {
	if _, joined := h.conns[c]; !joined {
		return
	}
	delete(h.conns, c)
	for s := range c.sessions {
		h.unbind(s, c)
	}
	for v := range c.watches {
		delete(v.watchers, c)
	}
	for v := range c.holds {
		h.unhold(v, c)
	}
	if c.isAgent() {
		a := h.agents[c.agent]
		delete(a.conns, c)
		h.agentPresence(a)
		return
	}
	cu := h.customers[c.customer]
	for i, other := range cu.conns {
		if other == c {
			cu.conns = append(cu.conns[:i:i], cu.conns[i+1:]...)
			break
		}
	}
	cu.left = h.now()
	h.customerPresence(cu)
}

// members are the connections that see a conversation: the customer's, the claiming agent's and the watchers.
func (h *hub) members(v *conv) map[*conn]struct{} {
	out := map[*conn]struct{}{}
	if cu := h.customers[v.CustomerID]; cu != nil {
		for _, c := range cu.conns {
			out[c] = struct{}{}
		}
	}
	if a := h.agents[v.ClaimedBy]; a != nil && v.State == store.Claimed {
		for c := range a.conns {
			out[c] = struct{}{}
		}
	}
	for c := range v.watchers {
		out[c] = struct{}{}
	}
	return out
}

// tell sends a message to every member but one (who may be nil).
func (h *hub) tell(v *conv, msg any, except *conn) {
	data := protocol.Encode(msg)
	for c := range h.members(v) {
		if c != except {
			c.enqueue(data)
		}
	}
}

// audit writes an append-only row; a failure is the operator's to know.
func (h *hub) audit(kind string, v *conv, c *conn) {
	entry := store.Entry{Kind: kind, Conversation: v.ID, Actor: store.Actor{Kind: store.KindSystem}}
	switch {
	case c != nil && c.isAgent():
		entry.Actor = store.Actor{Kind: store.KindAgent, ID: c.agent}
	case c != nil:
		entry.Actor = store.Actor{Kind: store.KindCustomer, ID: c.customer}
	}
	err := h.store.Audit(entry, func(_ store.Entry, err error) {
		if err != nil {
			h.log.Error("audit row not written", "kind", kind, "err", err)
		}
	})
	if err != nil {
		h.log.Error("audit row not written", "kind", kind, "err", err)
	}
}

// expire does what time brings.
func (h *hub) expire(now time.Time) {
	lapsed := false
	for _, v := range h.convs {
		if v.State == store.Claimed && v.LapsesAt != nil && !now.Before(*v.LapsesAt) {
			lapsed = true
		}
		if v.State == store.Closed && len(h.members(v)) == 0 {
			delete(h.convs, v.ID)
			if cu := h.customers[v.CustomerID]; cu != nil && cu.conv == v {
				cu.conv = nil
			}
		}
	}
	if lapsed {
		h.expireClaims(now)
	}
	for _, s := range h.sessions {
		h.expireSession(s, now)
	}
	for id, cu := range h.customers {
		if len(cu.conns) == 0 && (cu.conv == nil || cu.conv.State == store.Closed) && now.Sub(cu.left) > time.Minute {
			delete(h.customers, id)
		}
	}
	for cu := range h.moved {
		h.customerPresence(cu)
	}
	clear(h.moved)
	if h.queueDirty {
		h.queueDirty = false
		h.pushQueue()
	}
	if h.teamDirty {
		h.teamDirty = false
		h.pushTeam()
	}
	if now.Sub(h.lastPositions) >= positionEvery {
		h.lastPositions = now
		h.pushPositions()
		h.closeSilent(now)
	}
}
