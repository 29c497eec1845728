// Package consent is the customer's consent to be seen, as one pure function. The native customer and the simulated
// ones use it; its twin in the page is web/src/core/consent.ts, and protocol/testdata/consent/view.json drives both.
// The server can ask, it can never grant (security.md 6, T22).
package consent

import "slices"

// The limits of the consent to view; times in milliseconds.
const (
	ArmMs          = 1_000       // Allow does nothing before
	askTimeoutMs   = 60_000      // no answer is a no
	leaseMs        = 30 * 60_000 // of a yes
	extendBeforeMs = 60_000      // before the lease ends, the customer is asked to go on
	AsksMax        = 3           // asks in
	AsksWindowMs   = 10 * 60_000 // this window; more are declined without a question
)

// State is where the consent stands.
type State string

// The consent's states.
const (
	Off     State = "off"
	Asked   State = "asked"
	Picking State = "picking"
	On      State = "on"
)

// View is the machine's whole memory; its zero value with State Off is the start.
type View struct {
	State    State
	PromptMs int64   // since when a question is shown: of the ask, or of the extension; 0 while On: none
	UntilMs  int64   // end of the lease, while On
	AsksMs   []int64 // times of the asks within the window
	Forged   int     // claims of a grant from outside
}

// Event is what happens to the consent.
type Event string

// The events. Allow, Deny, Click, Stop and Extend are the customer's own; Ask and Forged come from outside.
const (
	EvAsk        Event = "ask"
	EvAllow      Event = "allow"
	EvDeny       Event = "deny"
	EvClick      Event = "click" // the customer's own wish to share
	EvCaptured   Event = "captured"
	EvRefused    Event = "refused" // the picker was dismissed
	EvImpossible Event = "impossible"
	EvFailed     Event = "failed"
	EvClosed     Event = "closed" // the source is gone
	EvStop       Event = "stop"
	EvEnded      Event = "ended" // the session
	EvExtend     Event = "extend"
	EvTick       Event = "tick"
	EvForged     Event = "forged"
)

// Effect is what must be done, in order: prompt, prompt:extend, unprompt, capture, discard, start, stop, count, and
// tell:STATE or tell:STATE:CAUSE.
type Effect string

// Allows reports whether a picture may be captured, encoded or sent at this moment.
func (c View) Allows(nowMs int64) bool {
	return c.State == On && nowMs < c.UntilMs //guard:T22
}

func (c View) armed(nowMs int64) bool {
	return nowMs-c.PromptMs >= ArmMs //guard:T23
}

func (c View) off() View {
	c.State, c.PromptMs, c.UntilMs = Off, 0, 0
	return c
}

// Step takes one event at a moment. It has no other input and no other effect than what it returns.
func Step(c View, e Event, nowMs int64) (View, []Effect) {
	if e == EvForged {
		c.Forged++ //guard:T22
		return c, []Effect{"count"}
	}
	switch c.State {
	case Asked:
		return whileAsked(c, e, nowMs)
	case Picking:
		return whilePicking(c, e, nowMs)
	case On:
		return whileOn(c, e, nowMs)
	}
	return whileOff(c, e, nowMs)
}

func whileOff(c View, e Event, nowMs int64) (View, []Effect) {
	switch e {
	case EvAsk:
		c.AsksMs = slices.DeleteFunc(slices.Clone(c.AsksMs), func(at int64) bool { return nowMs-at >= AsksWindowMs })
		if len(c.AsksMs) >= AsksMax { //guard:T23
			return c, []Effect{"tell:off:declined"}
		}
		c.State, c.PromptMs, c.AsksMs = Asked, nowMs, append(c.AsksMs, nowMs)
		return c, []Effect{"prompt", "tell:asked"}
	case EvClick:
		c.State = Picking
		return c, []Effect{"capture", "tell:picking"}
	case EvCaptured:
		return c, []Effect{"discard"}
	}
	return c, nil
}

func whileAsked(c View, e Event, nowMs int64) (View, []Effect) {
	picking := c
	picking.State, picking.PromptMs = Picking, 0
	switch e {
	case EvAllow:
		if !c.armed(nowMs) {
			return c, nil
		}
		return picking, []Effect{"unprompt", "capture", "tell:picking"}
	case EvClick:
		return picking, []Effect{"unprompt", "capture", "tell:picking"}
	case EvDeny:
		return c.off(), []Effect{"unprompt", "tell:off:declined"}
	case EvStop:
		return c.off(), []Effect{"unprompt", "tell:off:stopped"}
	case EvImpossible:
		return c.off(), []Effect{"unprompt", "tell:off:not_possible"}
	case EvEnded:
		return c.off(), []Effect{"unprompt"}
	case EvTick:
		if nowMs-c.PromptMs < askTimeoutMs {
			return c, nil
		}
		return c.off(), []Effect{"unprompt", "tell:off:timeout"}
	case EvCaptured:
		return c, []Effect{"discard"}
	}
	return c, nil
}

func whilePicking(c View, e Event, nowMs int64) (View, []Effect) {
	switch e {
	case EvCaptured:
		c.State, c.PromptMs, c.UntilMs = On, 0, nowMs+leaseMs
		return c, []Effect{"start", "tell:on"}
	case EvRefused:
		return c.off(), []Effect{"tell:off:refused"}
	case EvImpossible:
		return c.off(), []Effect{"tell:off:not_possible"}
	case EvFailed:
		return c.off(), []Effect{"tell:off:failed"}
	case EvStop:
		return c.off(), []Effect{"stop", "tell:off:stopped"}
	case EvEnded:
		return c.off(), []Effect{"stop"}
	}
	return c, nil
}

func whileOn(c View, e Event, nowMs int64) (View, []Effect) {
	stop := func(effects ...Effect) (View, []Effect) {
		if c.PromptMs > 0 {
			effects = append([]Effect{"unprompt"}, effects...)
		}
		return c.off(), effects
	}
	switch e {
	case EvStop:
		return stop("stop", "tell:off:stopped")
	case EvClosed:
		return stop("stop", "tell:off:source_closed")
	case EvFailed:
		return stop("stop", "tell:off:failed")
	case EvEnded:
		return stop("stop")
	case EvExtend:
		if c.PromptMs == 0 || !c.armed(nowMs) {
			return c, nil
		}
		c.PromptMs, c.UntilMs = 0, nowMs+leaseMs
		return c, []Effect{"unprompt"}
	case EvTick:
		if nowMs >= c.UntilMs {
			return stop("stop", "tell:off:timeout")
		}
		if c.PromptMs == 0 && nowMs >= c.UntilMs-extendBeforeMs {
			c.PromptMs = nowMs
			return c, []Effect{"prompt:extend"}
		}
	case EvCaptured:
		return c, []Effect{"discard"}
	}
	return c, nil
}
