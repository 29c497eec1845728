package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

// Times of the hub that nobody needs to change.
const (
	tailLen      = 64       // messages of a conversation in use that stay in memory
	sendsWaiting = 128      // chat messages of one connection that wait for those before them; our own clients have 16 under way
	tailBytes    = 64 << 10 // of their texts
	readsWaiting = 8        // reads of the store that wait for one connection; more are refused
	teamEvery    = time.Second
	silentEvery  = time.Minute
	clockJump    = 5 * time.Second // security.md F10
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
	queue     []*conv          // those that wait, oldest first
	open      map[string]*conv // by customer
	leases    set[*conv]       // claims that lapse unless somebody holds them again
	closed    set[*conv]
	loading   map[string][]func(*conv, error)
	sessions  map[string]*session
	claiming  int                 // claims that are being written
	moved     set[*customer]      // whose presence changed since the last tick
	left      set[*customer]      // who have no connection
	marked    set[*conv]          // whose marks changed since the last tick
	opened    map[string]*address // new conversations, by address
	opening   int                 // conversations that are being written into the queue: new ones, and closed ones that a message reopens
	erasures  int                 // a read that began before the last one may bring back what it took
	all       *rate.Limiter       // chat messages of everybody
	sending   set[*conn]          // who wait for the store to take a chat message
	limits    Limits
	audits    audits

	commitMu  sync.Mutex
	committed []event // what the writer has reported since its last commit

	queueDirty, teamDirty bool
	lastTeam              protocol.PresenceTeam
	lastTeamAt            time.Time
	lastPositions         time.Time
	lastSilent            time.Time
	lastTick              time.Time
}

// customer is one customer with at least one connection, or with a rate to remember.
type customer struct {
	id     string
	conns  []*conn          // oldest first
	conv   *conv            // current one, if loaded
	looked bool             // in the store: without conv there was none
	chat   [2]*rate.Limiter // messages a second and an hour; nil before the first message
	left   time.Time        // when the last connection went
}

// agent is a member of the team.
type agent struct {
	id, name string
	chosen   string // available, busy or away
	conns    map[*conn]struct{}
	claims   set[*conv]
	chat     map[string]*rate.Limiter // by device
}

func newHub(s *store.Store, log *slog.Logger, now func() time.Time, l Limits) *hub {
	h := &hub{
		store: s, log: log, now: now,
		events: make(chan event, eventsLen), done: make(chan struct{}), reads: make(chan struct{}, maxReads),
		conns: map[*conn]struct{}{}, customers: map[string]*customer{}, agents: map[string]*agent{}, convs: map[string]*conv{},
		loading: map[string][]func(*conv, error){}, sessions: map[string]*session{}, opened: map[string]*address{},
		open: map[string]*conv{}, leases: set[*conv]{}, closed: set[*conv]{}, moved: set[*customer]{}, left: set[*customer]{}, marked: set[*conv]{},
		sending: set[*conn]{}, lastTick: now(), limits: l, all: rate.NewLimiter(rate.Limit(l.GlobalPerSecond), l.GlobalBurst),
	}
	s.OnCommit(h.reported)
	return h
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
			for len(h.events) > 0 { // what was sent before the sockets closed
				(<-h.events)(h)
			}
			h.saveMarks()
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
		if n >= h.limits.AgentSockets {
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
		cu = &customer{id: c.customer, conv: h.open[c.customer]}
		h.customers[c.customer] = cu
	}
	delete(h.left, cu)
	if len(cu.conns) >= h.limits.CustomerSockets {
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
	if cu.conv == nil && cu.looked {
		return
	}
	erasures := h.erasures
	h.read(func(ctx context.Context) event {
		row, err := h.store.CurrentConversation(ctx, cu.id)
		if errors.Is(err, store.ErrNotFound) {
			return func(*hub) { cu.looked = true } // none yet
		}
		var marks protocol.Marks
		var last []store.Message
		if err == nil {
			marks, last, err = h.readConv(ctx, row, tailLen)
		}
		return func(h *hub) {
			_, here := h.conns[c]
			switch {
			case err != nil && here: // the disk's trouble; the page waits for this
				h.later(func(h *hub) {
					if _, here := h.conns[c]; here {
						h.current(c, cu)
					}
				})
				return
			case err != nil:
				return
			case erasures != h.erasures:
				h.current(c, cu)
				return
			}
			cu.conv = h.addConv(row, marks, last)
			if here {
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
	delete(h.sending, c)
	c.sends = nil
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
	if len(cu.conns) == 0 {
		cu.left = h.now()
		h.left[cu] = struct{}{}
	}
	h.customerPresence(cu)
}

// reported runs on the store's writer after each commit: what the commit's parts have to tell becomes one event.
func (h *hub) reported(store.Commit) {
	h.commitMu.Lock()
	events := h.committed
	h.committed = nil
	h.commitMu.Unlock()
	if len(events) > 0 {
		h.post(func(h *hub) {
			for _, ev := range events {
				ev(h)
			}
		})
	}
}

// after is what a write's done callback calls: ev runs in commit order, once the whole commit is on disk.
func (h *hub) after(ev event) {
	h.commitMu.Lock()
	defer h.commitMu.Unlock()
	h.committed = append(h.committed, ev)
}

// expire does what time brings.
func (h *hub) expire(now time.Time) {
	if jump := now.Round(0).Sub(h.lastTick.Round(0)) - now.Sub(h.lastTick); jump.Abs() > clockJump {
		h.log.Warn("the clock was set", "by", jump.Round(time.Second))
	}
	h.lastTick = now
	h.lateSends(now)
	h.lateAudits()
	h.expireClaims(now)
	for _, s := range h.sessions {
		h.expireSession(s, now)
	}
	h.putAway()
	for cu := range h.left {
		if (cu.conv == nil || cu.conv.State == store.Closed) && now.Sub(cu.left) > time.Minute {
			delete(h.customers, cu.id)
			delete(h.left, cu)
		}
	}
	for cu := range h.moved {
		h.customerPresence(cu)
	}
	clear(h.moved)
	h.saveMarks()
	if h.queueDirty {
		h.queueDirty = false
		h.pushQueue()
	}
	if h.teamDirty && now.Sub(h.lastTeamAt) >= teamEvery {
		h.teamDirty, h.lastTeamAt = false, now
		h.pushTeam()
	}
	if now.Sub(h.lastPositions) >= positionEvery {
		h.lastPositions = now
		h.pushPositions()
	}
	if now.Sub(h.lastSilent) >= silentEvery {
		h.lastSilent = now
		h.closeSilent(now)
		h.forgetAddresses(now)
	}
}
