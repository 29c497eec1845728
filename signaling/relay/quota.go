// How many relays and bytes a user, a session and the server may have. Counting and deciding happen under one lock:
// a place is reserved when the quota is asked for, because the library creates the socket later.

package relay

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The limits come from the project's table of limits: Chromium allocates for each URL, interface and IP version.
const (
	maxPerUser      = 16
	maxPerSession   = 32
	maxTotal        = 2000
	reservationLife = 5 * time.Second // a reservation without an allocation lapses after this
	maxSessionBytes = 20 << 30        // both directions of all relays of a session together
)

// session returns the part of a username that all users of one peer session share: the text before the last colon.
func sessionOf(user string) string {
	if i := strings.LastIndexByte(user, ':'); i >= 0 {
		return user[:i]
	}
	return user
}

// usage is what one session has used. It outlives the session's relays, so that the bytes stay counted.
type usage struct {
	count int // relays and reservations, guarded by quota.mu
	last  string
	bytes atomic.Int64
}

// quota counts relays and reservations. All methods may be called from any goroutine.
type quota struct {
	now func() time.Time

	mu       sync.Mutex
	users    map[string]int
	sessions map[string]*usage
	reserved map[string][]time.Time // when each reservation of a user lapses, oldest first
	total    int
}

func newQuota(now func() time.Time) *quota {
	return &quota{now: now, users: map[string]int{}, sessions: map[string]*usage{}, reserved: map[string][]time.Time{}}
}

// reserve takes one place for user and reports whether there was one. The place becomes a relay by claim, or lapses.
func (q *quota) reserve(user string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	s := q.sessions[sessionOf(user)]
	if s == nil {
		s = &usage{}
	}
	if q.users[user] >= maxPerUser || s.count >= maxPerSession || q.total >= maxTotal || s.bytes.Load() >= maxSessionBytes {
		return false //guard:T14
	}
	s.last = user
	q.sessions[sessionOf(user)] = s
	q.add(user, s, 1)
	q.reserved[user] = append(q.reserved[user], q.now().Add(reservationLife))
	return true
}

// claim turns the oldest reservation of user into a relay; release gives its place back. Without a reservation it
// returns nil: nobody gets a relay past the quota.
func (q *quota) claim(user string) *usage {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	if len(q.reserved[user]) == 0 {
		return nil
	}
	q.drop(user)
	return q.sessions[sessionOf(user)]
}

// release gives back the place of one relay of user.
func (q *quota) release(user string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(user, q.sessions[sessionOf(user)], -1)
}

// forget drops the byte counts of sessions that have no relay and whose user is not live any more.
func (q *quota) forget(live func(user string) bool) {
	q.mu.Lock()
	q.lapse()
	idle := map[string]string{}
	for name, s := range q.sessions {
		if s.count == 0 {
			idle[name] = s.last
		}
	}
	q.mu.Unlock()
	maps.DeleteFunc(idle, func(_, user string) bool { return live(user) })
	q.mu.Lock()
	defer q.mu.Unlock()
	for name := range idle {
		if s := q.sessions[name]; s != nil && s.count == 0 {
			delete(q.sessions, name)
		}
	}
}

func (q *quota) lapse() {
	now := q.now()
	for user := range q.reserved {
		for len(q.reserved[user]) > 0 && !q.reserved[user][0].After(now) {
			q.drop(user)
			q.add(user, q.sessions[sessionOf(user)], -1)
		}
	}
}

func (q *quota) drop(user string) {
	if q.reserved[user] = q.reserved[user][1:]; len(q.reserved[user]) == 0 {
		delete(q.reserved, user)
	}
}

func (q *quota) add(user string, s *usage, n int) {
	q.total += n
	s.count += n
	if q.users[user] += n; q.users[user] == 0 {
		delete(q.users, user)
	}
}
