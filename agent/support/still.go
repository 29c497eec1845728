package support

// Stills: lossless pictures that the customer's end makes on request. One is on its way at a time in a stream; who asks
// meanwhile gets the same one.

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

// StillRefused is why a still does not come, a value of protocol.ViewerRefused.Why; as an error it is a sentence.
type StillRefused string

func (r StillRefused) Error() string {
	return "no still picture: " + map[StillRefused]string{
		"off":    "nothing is shown; ask with share",
		"motion": "the picture moved; try again",
		"slow":   "the customer's connection is too slow for one now; try again",
		"large":  "it would be larger than 8 MiB; ask the customer to show a window instead of the whole screen",
		"failed": "the customer's browser could not make one",
		"path":   "the customer's end did not answer; look at the connection",
	}[r]
}

// stillPatience is how long an answer may take: 8 MiB at 3.4 Mbit/s.
const stillPatience = 20 * time.Second

// still is what is asked for in one stream.
type still struct {
	id    protocol.RequestID // "" while nothing is
	auto  bool
	since time.Time
	waits []waiter
}

// waiter wants the next still.
type waiter struct {
	auto bool // nobody asked for it
	done func(*protocol.Frame, error)
}

// AskStill asks the customer's end for a lossless picture of a stream. done gets it (PNG, or JPEG where a PNG is larger
// than a frame may be), or StillRefused, on the controller's goroutine. auto: nobody asked for it, so a slow path or
// motion is reason enough to refuse.
func (c *Controller) AskStill(stream uint8, auto bool, done func(*protocol.Frame, error)) {
	c.post(func(c *Controller) { c.askStill(stream, waiter{auto, done}) })
}

func (c *Controller) askStill(stream uint8, w waiter) {
	if stream >= protocol.MaxStreams || c.peer == nil || c.flows[stream].config == nil && (c.status.View != "on" || stream > 0) {
		w.done(nil, StillRefused("off"))
		return
	}
	s := &c.stills[stream]
	s.waits = append(s.waits, w)
	if !c.flows[stream].begun() { // nothing is encoded before somebody needs it
		if s.since = time.Now(); c.codecs == nil {
			c.noViewer = true
			c.sendCodecs()
		}
		return
	}
	if s.id == "" {
		c.sendStill(stream)
	}
}

// sendStill asks for those who wait.
func (c *Controller) sendStill(stream uint8) {
	s := &c.stills[stream]
	s.id, s.since, s.auto = protocol.RequestID(rand.Text()), time.Now(), true
	for _, w := range s.waits {
		s.auto = s.auto && w.auto
	}
	if c.peer == nil || c.peer.SendControl(protocol.ScreenStill{ID: s.id, Stream: int(stream), Auto: s.auto}) != nil {
		c.noStill(stream, "path")
	}
}

// onStill takes a still that passed the gate. One that nobody asked for is dropped.
func (c *Controller) onStill(f *protocol.Frame) {
	s := &c.stills[f.Stream]
	if s.id == "" {
		return
	}
	waits := s.waits
	*s = still{}
	if v := c.theViewer(); v != nil {
		v.Push(f)
	}
	for _, w := range waits {
		w.done(f, nil)
	}
}

// onRefused takes the customer's no. Who wanted a still on purpose asks again where that was for one by the way.
func (c *Controller) onRefused(m protocol.ScreenRefused) {
	s := &c.stills[m.Stream]
	if s.id == "" || s.id != m.ID {
		return
	}
	if s.auto && (m.Why == "motion" || m.Why == "slow") {
		var wanted, others []waiter
		for _, w := range s.waits {
			if w.auto {
				others = append(others, w)
			} else {
				wanted = append(wanted, w)
			}
		}
		if *s = (still{waits: wanted}); len(wanted) > 0 {
			c.sendStill(uint8(m.Stream))
		}
		for _, w := range others {
			w.done(nil, StillRefused(m.Why))
		}
		return
	}
	c.noStill(uint8(m.Stream), m.Why)
}

// noStill tells those who wait why none comes.
func (c *Controller) noStill(stream uint8, why string) {
	waits := c.stills[stream].waits
	c.stills[stream] = still{}
	for _, w := range waits {
		w.done(nil, StillRefused(why))
	}
}

// expireStills gives up those that take too long.
func (c *Controller) expireStills(now time.Time) {
	for i := range c.stills {
		if s := &c.stills[i]; len(s.waits) > 0 && now.Sub(s.since) > stillPatience {
			c.noStill(uint8(i), "path")
		}
	}
}

// pageStill is a viewer page's wish.
func (c *Controller) pageStill(stream uint8, auto bool) {
	c.askStill(stream, waiter{auto, func(_ *protocol.Frame, err error) {
		if auto && c.stills[stream].id != "" {
			return // somebody asks on purpose now: that answer counts
		}
		var why StillRefused
		if v := c.theViewer(); v != nil && errors.As(err, &why) {
			v.RefuseStill(int(stream), string(why))
		} else if err != nil {
			c.cfg.Log.Error("still failed", "err", fmt.Sprint(err))
		}
	}})
}
