package simulate

// The consent to be seen, as the programs of real customers keep it (protocol/testdata/consent/view.json drives all
// of them). Here the person says yes; the server can still only ask.

import "slices"

const (
	armMs        = 1_000       // a yes counts only so long after the question
	askTimeoutMs = 60_000      // no answer is a no
	leaseMs      = 30 * 60_000 // of a yes
	asksMax      = 3           // questions in
	asksWindowMs = 10 * 60_000 // this window; more are declined unasked
)

// The states of the consent, as on the wire.
const (
	off     = "off"
	asking  = "asked"
	picking = "picking"
	on      = "on"
)

// The events that change it.
const (
	evAsk      = "ask"      // the agent's question
	evAllow    = "allow"    // the person's yes to it
	evDeny     = "deny"     // or no
	evClick    = "click"    // the person's own wish
	evCaptured = "captured" // something was picked
	evFailed   = "failed"
	evStop     = "stop"
	evEnded    = "ended" // the session
	evTick     = "tick"
)

// consent is the machine's memory.
type consent struct {
	state   string
	askedMs int64
	untilMs int64
	asksMs  []int64
}

// allows reports whether a picture may be drawn or sent at this moment.
func (c consent) allows(nowMs int64) bool { return c.state == on && nowMs < c.untilMs } //guard:T22

// step takes one event. The effects are capture, start, stop, and tell:STATE or tell:STATE:CAUSE, in order.
func (c consent) step(event string, nowMs int64) (consent, []string) {
	gone := func(effects ...string) (consent, []string) {
		c.state, c.askedMs, c.untilMs = off, 0, 0
		return c, effects
	}
	switch c.state + " " + event {
	case "off ask":
		c.asksMs = slices.DeleteFunc(slices.Clone(c.asksMs), func(at int64) bool { return nowMs-at >= asksWindowMs })
		if len(c.asksMs) >= asksMax { //guard:T23
			return c, []string{"tell:off:declined"}
		}
		c.state, c.askedMs, c.asksMs = asking, nowMs, append(c.asksMs, nowMs)
		return c, []string{"tell:asked"}
	case "asked allow":
		if nowMs-c.askedMs < armMs { //guard:T23
			return c, nil
		}
		c.state, c.askedMs = picking, 0
		return c, []string{"capture", "tell:picking"}
	case "off click", "asked click":
		c.state, c.askedMs = picking, 0
		return c, []string{"capture", "tell:picking"}
	case "asked deny":
		return gone("tell:off:declined")
	case "asked tick":
		if nowMs-c.askedMs >= askTimeoutMs {
			return gone("tell:off:timeout")
		}
	case "asked stop":
		return gone("tell:off:stopped")
	case "asked ended":
		return gone()
	case "picking captured":
		c.state, c.untilMs = on, nowMs+leaseMs
		return c, []string{"start", "tell:on"}
	case "picking failed":
		return gone("tell:off:failed")
	case "on tick":
		if nowMs >= c.untilMs {
			return gone("stop", "tell:off:timeout")
		}
	case "on failed":
		return gone("stop", "tell:off:failed")
	case "picking stop", "on stop":
		return gone("stop", "tell:off:stopped")
	case "picking ended", "on ended":
		return gone("stop")
	}
	return c, nil
}
