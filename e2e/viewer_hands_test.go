package e2e

import (
	"math"
	"testing"

	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/protocol"
)

// TestViewerHands: two fingers enlarge the picture between them, one moves it; the key and the button fill the screen.
func TestViewerHands(t *testing.T) {
	x := newScripted(t)
	x.config(0, "image/png", "window", 300, 200)
	x.frame(0, protocol.FrameKey, pngOf(t, noise(300, 200, 1)))
	x.v.WaitPage("Exact")
	// scale, left, top of what is shown, in CSS pixels; the screen has one pixel for each
	lies := func() [3]float64 {
		return browser.Eval[[3]float64](x.v, "(()=>{const m=new DOMMatrix(getComputedStyle(document.querySelector('canvas')).transform);return [m.a,m.e,m.f]})()")
	}
	before := lies()
	x.v.Touch([]browser.Finger{{X: 600, Y: 400}, {X: 700, Y: 400}}, []browser.Finger{{X: 550, Y: 400}, {X: 750, Y: 400}})
	x.v.Until("twice the size", func() bool { return math.Abs(lies()[0]-2*before[0]) < 0.02*before[0] })
	// The point between the fingers has stayed where it is.
	after := lies()
	for i, at := range []float64{650, 400} {
		if was, is := (at-before[1+i])/before[0], (at-after[1+i])/after[0]; math.Abs(was-is) > 2 {
			t.Errorf("axis %d: under the fingers lies pixel %.1f, and %.1f before", i, is, was)
		}
	}
	x.v.Touch([]browser.Finger{{X: 700, Y: 500}}, []browser.Finger{{X: 640, Y: 460}})
	x.v.Until("the picture to have followed the finger", func() bool {
		now := lies()
		return now[0] == after[0] && math.Abs(now[1]-(after[1]-60)) <= 1 && math.Abs(now[2]-(after[2]-40)) <= 1
	})
	x.v.Touch([]browser.Finger{{X: 550, Y: 400}, {X: 750, Y: 400}}, []browser.Finger{{X: 600, Y: 400}, {X: 700, Y: 400}})
	x.v.Until("its size from before", func() bool { return math.Abs(lies()[0]-before[0]) < 0.02*before[0] })

	full := func(what string, want bool) {
		t.Helper()
		x.v.Until(what, func() bool { return browser.Eval[bool](x.v, "document.fullscreenElement!==null") == want })
	}
	x.v.Press("f")
	full("the whole screen by the key", true)
	x.v.Press("f")
	full("the page again", false)
	x.v.Click("button", "Full screen")
	full("the whole screen by the button", true)
	x.v.Press("f")
	full("the page again", false)
}

// TestViewerSleepsAndWakes: what came while the agent's computer slept is there when it wakes.
func TestViewerSleepsAndWakes(t *testing.T) {
	x := newScripted(t)
	one, two, three := noise(120, 90, 1), noise(120, 90, 2), noise(120, 90, 3)
	x.config(0, "image/png", "window", 120, 90)
	x.frame(0, protocol.FrameKey, pngOf(t, one))
	shows(x.v, "the picture before the sleep", 0, one)
	x.v.Hide(true)
	x.v.Until("the page to be hidden", func() bool { return browser.Eval[bool](x.v, "document.hidden") })
	x.v.Sleep(true)
	x.frame(0, protocol.FrameKey, pngOf(t, two))
	x.v.Sleep(false)
	x.v.Hide(false)
	shows(x.v, "the picture of the time asleep", 0, two)
	x.v.WaitPage("Live")
	x.frame(0, protocol.FrameKey, pngOf(t, three))
	shows(x.v, "the picture goes on", 0, three)
}
