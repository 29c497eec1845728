package e2e

import (
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/e2e/firefox"
)

// encodes makes the customer's page count what it hands to its video encoders.
const encodes = `(()=>{window.encodes=0;const old=VideoEncoder.prototype.encode;
VideoEncoder.prototype.encode=function(...a){window.encodes++;return old.apply(this,a)};return true})()`

// own gives the site a browser of its own, started with these options.
func own(t *testing.T, o browser.Options) *site {
	t.Helper()
	b, err := browser.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	s := newSite(t)
	s.b = b
	return s
}

// TestTheCameraBesideTheScreen: a second source is added by a click of its own and taken away alone; the share ends with
// the last one.
func TestTheCameraBesideTheScreen(t *testing.T) {
	x := sharedOn(t, own(t, browser.Options{Flags: map[string]any{"use-fake-device-for-media-stream": true, "use-fake-ui-for-media-stream": true}}))
	x.c.Click("button", "Share my screen")
	x.c.WaitPage("Ana can see: Entire screen") // the fake device's
	v := x.chat.viewer()
	v.WaitPage("Live")
	x.c.Click("button", "Add the camera")
	x.c.WaitPage("Ana can see: Entire screen, Camera")
	x.c.Gone("button", "Add the camera")
	x.c.Click("button", "Stop showing: Entire screen")
	x.c.WaitPage("Ana can see: Camera")
	x.c.Wait("button", "Stop sharing")
	x.c.Click("button", "Stop sharing")
	x.c.WaitPage("Nothing is shared now.")
}

// TestAStillScreenCostsNothing: Chromium delivers a whole screen thirty times a second, also when nothing on it moves. The
// page itself, whose clock moves, lies beside the screen.
func TestAStillScreenCostsNothing(t *testing.T) {
	display := firefox.Screen(t, 1280, 800)
	x := sharedOn(t, own(t, browser.Options{Headful: true, Env: []string{"DISPLAY=" + display}, Width: 1000, Height: 700,
		Flags: map[string]any{"auto-select-tab-capture-source-by-title": "", "auto-select-desktop-capture-source": "Entire screen", "window-position": "3000,0", "test-type": true}}))
	browser.Eval[bool](x.c, encodes)
	x.pattern.Close()
	x.c.Click("button", "Share my screen")
	x.c.WaitPage("Ana can see: Entire screen")
	v := x.chat.viewer()
	v.WaitPage("Live")
	last, since := -1.0, time.Now()
	x.c.Until("the encoder to rest", func() bool {
		if n := browser.Eval[float64](x.c, "window.encodes"); n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) > 2*time.Second
	})
}
