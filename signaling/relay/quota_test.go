// The quota and the rate limit alone, with a clock of their own.

package relay

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestQuota(t *testing.T) {
	now := time.Unix(1000, 0)
	q := newQuota(func() time.Time { return now })
	take := func(user string) bool { return q.reserve(user) && q.claim(user) != nil }
	for i := range maxPerUser {
		if !take("s:a") {
			t.Fatalf("relay %d refused", i)
		}
	}
	if take("s:a") {
		t.Error("17th of a user")
	}
	for range maxPerUser {
		if !take("s:c") {
			t.Fatal("other end refused")
		}
	}
	if take("s:x") {
		t.Error("33rd of a session")
	}
	if q.claim("t:a") != nil {
		t.Error("claim without a reservation")
	}
	q.release("s:a")
	if !q.reserve("s:a") || q.reserve("s:a") {
		t.Error("exactly one place was free")
	}
	now = now.Add(reservationLife)
	if !q.reserve("s:a") {
		t.Error("the reservation did not lapse")
	}
	now = now.Add(reservationLife)
	for i := 0; q.total < maxTotal; i++ {
		if !take(fmt.Sprintf("u%d", i)) {
			t.Fatalf("refused at %d in all", q.total)
		}
	}
	if take("last") {
		t.Error("more than the total")
	}
}

func TestQuotaBytesOutliveRelays(t *testing.T) {
	q := newQuota(time.Now)
	q.reserve("s:a")
	q.claim("s:a").bytes.Store(maxSessionBytes)
	q.release("s:a")
	q.forget(func(string) bool { return true })
	if q.reserve("s:c") {
		t.Error("a session that has used its bytes got another relay")
	}
	q.forget(func(string) bool { return false })
	if len(q.sessions) != 0 || len(q.users) != 0 || q.total != 0 {
		t.Error("an ended session was not forgotten")
	}
}

func TestLimiter(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLimiter(20, 20)
	for i := range 21 {
		if got := l.allow("a", now); got != (i < 20) {
			t.Fatalf("request %d: %v", i, got)
		}
	}
	if !l.allow("b", now) || !l.allow("a", now.Add(50*time.Millisecond)) {
		t.Error("another key, or a later time, is refused")
	}
	for i := range 10 * maxBuckets {
		l.allow(fmt.Sprint(i), now)
	}
	if len(l.cur) > maxBuckets || len(l.old) > maxBuckets {
		t.Errorf("%d and %d buckets", len(l.cur), len(l.old))
	}
}

func TestAddrKey(t *testing.T) {
	for a, want := range map[string]string{
		"1.2.3.4": "1.2.3.4", "::ffff:1.2.3.4": "1.2.3.4", "2a00:1:2:3:4:5:6:7": "2a00:1:2:3::", "fe80::1%eth0": "fe80::",
	} {
		if got := addrKey(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: got %s, want %s", a, got, want)
		}
	}
}
