// A rate limit per key in bounded memory: two generations of token buckets, so that forgetting needs no timer.

package relay

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBuckets is how many keys one generation holds. With both generations and about 150 bytes a bucket this is 5 MiB.
const maxBuckets = 16384

// limiter gives each key its own token bucket. When a generation is full it becomes the old one and the one before it
// is forgotten: a key that was not seen for a whole generation starts with a full bucket again.
type limiter struct {
	perSecond rate.Limit
	burst     int

	mu       sync.Mutex
	cur, old map[string]*rate.Limiter
}

func newLimiter(perSecond float64, burst int) *limiter {
	return &limiter{perSecond: rate.Limit(perSecond), burst: burst, cur: map[string]*rate.Limiter{}}
}

// allow takes a token of key and reports whether there was one.
func (l *limiter) allow(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.cur[key]
	if b == nil {
		if b = l.old[key]; b == nil {
			b = rate.NewLimiter(l.perSecond, l.burst)
		}
		if len(l.cur) >= maxBuckets {
			l.old, l.cur = l.cur, map[string]*rate.Limiter{}
		}
		l.cur[key] = b
	}
	return b.AllowN(now, 1)
}

// addrKey is the key of an address: IPv4 as it is, IPv6 by /64, which is what one household or machine has.
func addrKey(ip netip.Addr) string {
	ip = ip.Unmap()
	if ip.Is4() {
		return ip.String()
	}
	p, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return ""
	}
	return p.Addr().String()
}
