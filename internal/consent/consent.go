// Package consent is the customer's consent to be seen and recorded, as one pure function. The native customer and the
// simulated ones use it; its twin in the page is web/src/core/consent.ts, and protocol/testdata/consent/*.json drives
// both. The server can ask, it can never grant (security.md 6, T22). What is not seen is not recorded: the grant record
// is over with the grant view.
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

// View is the machine's whole memory; its zero value with State and Record Off is the start.
type View struct {
	State    State
	Record   State   // Off, Asked or On: whether the agent may record; not Off only while State is On
	RecordMs int64   // since when Record is Asked or On
	PromptMs int64   // since when a question is shown: of the ask, or of the extension; 0 while On: none
	UntilMs  int64   // end of the lease, while On
	AsksMs   []int64 // times of the asks within the window
	Forged   int     // claims of a grant from outside
}

// Event is what happens to the consent.
type Event string

// The events. Allow, Deny, Click, Stop and Extend are the customer's own, and those of the record; Ask, RecordAsk,
// RecordDone and Forged come from outside.
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

	EvRecordAsk   Event = "record:ask"
	EvRecordAllow Event = "record:allow"
	EvRecordDeny  Event = "record:deny"
	EvRecordStop  Event = "record:stop" // the customer takes the yes back
	EvRecordDone  Event = "record:done" // the agent records no more, or takes the question back
)

// Effect is what must be done, in order: prompt, prompt:extend, prompt:record, unprompt, capture, discard, start, stop,
// count, tell:STATE or tell:STATE:CAUSE of the grant view, and record:STATE or record:STATE:CAUSE of the grant record.
type Effect string

// Allows reports whether a picture may be captured, encoded or sent at this moment.
func (c View) Allows(nowMs int64) bool {
	return c.State == On && nowMs < c.UntilMs //guard:T22
}

// Records reports whether the agent may record at this moment.
func (c View) Records(nowMs int64) bool {
	return c.Record == On && c.Allows(nowMs) //guard:T22
}

func (c View) armed(nowMs int64) bool {
	return nowMs-c.PromptMs >= ArmMs //guard:T23
}

// count counts a question of the agent's; muted: there were too many, and it must not be shown.
func (c View) count(nowMs int64) (next View, muted bool) {
	c.AsksMs = slices.DeleteFunc(slices.Clone(c.AsksMs), func(at int64) bool { return nowMs-at >= AsksWindowMs })
	if len(c.AsksMs) >= AsksMax { //guard:T23
		return c, true
	}
	c.AsksMs = append(c.AsksMs, nowMs)
	return c, false
}

func (c View) off() View {
	c.State, c.PromptMs, c.UntilMs = Off, 0, 0
	c.Record, c.RecordMs = Off, 0
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
		c, muted := c.count(nowMs)
		if muted {
			return c, []Effect{"tell:off:declined"}
		}
		c.State, c.PromptMs = Asked, nowMs
		return c, []Effect{"prompt", "tell:asked"}
	case EvClick:
		c.State = Picking
		return c, []Effect{"capture", "tell:picking"}
	case EvCaptured:
		return c, []Effect{"discard"}
	}
	return c, unseen(e)
}

// unseen is the answer while there is no picture: nothing to record.
func unseen(e Event) []Effect {
	if e == EvRecordAsk {
		return []Effect{"record:off:ended"}
	}
	return nil
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
	return c, unseen(e)
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
	return c, unseen(e)
}

func whileOn(c View, e Event, nowMs int64) (View, []Effect) {
	stop := func(tell ...Effect) (View, []Effect) {
		var effects []Effect
		if c.PromptMs > 0 || c.Record == Asked {
			effects = append(effects, "unprompt")
		}
		effects = append(effects, "stop")
		if len(tell) > 0 && c.recordable() {
			effects = append(effects, "record:off:ended")
		}
		return c.off(), append(effects, tell...)
	}
	switch e {
	case EvStop:
		return stop("tell:off:stopped")
	case EvClosed:
		return stop("tell:off:source_closed")
	case EvFailed:
		return stop("tell:off:failed")
	case EvEnded:
		return stop()
	case EvExtend:
		if c.PromptMs == 0 || !c.armed(nowMs) {
			return c, nil
		}
		c.PromptMs, c.UntilMs = 0, nowMs+leaseMs
		return c, []Effect{"unprompt"}
	case EvTick:
		switch {
		case nowMs >= c.UntilMs:
			return stop("tell:off:timeout")
		case c.PromptMs == 0 && nowMs >= c.UntilMs-extendBeforeMs:
			var effects []Effect
			if c.Record == Asked { // one question at a time, and this one is about everything
				c, effects = c.unrecord("timeout")
			}
			c.PromptMs = nowMs
			return c, append(effects, "prompt:extend")
		case c.Record == Asked && nowMs-c.RecordMs >= askTimeoutMs:
			return c.unrecord("timeout")
		}
	case EvCaptured:
		return c, []Effect{"discard"}
	default:
		return recording(c, e, nowMs)
	}
	return c, nil
}

// recordable reports whether there is a grant record, or a question for one.
func (c View) recordable() bool { return c.Record == Asked || c.Record == On }

func (c View) unrecord(cause string) (View, []Effect) {
	var effects []Effect
	if c.Record == Asked {
		effects = append(effects, "unprompt")
	}
	c.Record, c.RecordMs = Off, 0
	return c, append(effects, Effect("record:off:"+cause))
}

// recording is the grant record, while there is a picture.
func recording(c View, e Event, nowMs int64) (View, []Effect) {
	switch {
	case e == EvRecordAsk && c.recordable():
		return c, []Effect{Effect("record:" + c.Record)} // its answer was lost
	case e == EvRecordAsk && c.PromptMs > 0:
		return c, []Effect{"record:off:dismissed"} // another question is shown
	case e == EvRecordAsk:
		c, muted := c.count(nowMs)
		if muted {
			return c, []Effect{"record:off:declined"}
		}
		c.Record, c.RecordMs = Asked, nowMs
		return c, []Effect{"prompt:record", "record:asked"}
	case e == EvRecordAllow && c.Record == Asked && nowMs-c.RecordMs >= ArmMs: //guard:T23
		c.Record, c.RecordMs = On, nowMs
		return c, []Effect{"unprompt", "record:on"}
	case e == EvRecordDeny && c.Record == Asked:
		return c.unrecord("declined")
	case e == EvRecordStop && c.recordable():
		return c.unrecord("stopped")
	case e == EvRecordDone && c.recordable():
		return c.unrecord("ended")
	}
	return c, nil
}
