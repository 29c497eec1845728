package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/e2e/firefox"
	"github.com/lookalong/lookalong/e2e/impair"
)

// screenWidth and screenHeight are those of the customer's screen, which one Firefox fills. It shares that screen: the
// agent must see the tab in front, the pattern's, while the customer's own tab is hidden behind it.
const screenWidth, screenHeight = 1320, 900

// inFirefox is a customer with Firefox who talks with Ana.
type inFirefox struct {
	t       *testing.T
	f       *firefox.Browser
	chat    *program
	c       *firefox.Page
	pattern *firefox.Page
}

func newInFirefox(t *testing.T, prefs map[string]any, flags ...string) *inFirefox {
	t.Helper()
	x, ana := waitingInFirefox(t, prefs, flags...)
	x.chat = ana.start("chat", "--next", "--no-open")
	x.chat.wants("I can't find the button")
	return x
}

// waitingInFirefox is the customer before Ana takes the conversation.
func waitingInFirefox(t *testing.T, prefs map[string]any, flags ...string) (*inFirefox, *agent) {
	t.Helper()
	x := &inFirefox{t: t}
	s := newSite(t, flags...)
	ana := s.newAgent("Ana")
	x.f = firefox.Start(t, firefox.Options{Display: firefox.Screen(t, screenWidth, screenHeight), Width: screenWidth, Height: screenHeight, Prefs: prefs})
	x.pattern = x.f.Open("pattern", browser.PatternServer(t))
	x.c = x.f.Open("customer", s.url())
	x.c.Type("textbox", "Message", "I can't find the button")
	x.c.Press("Enter")
	return x, ana
}

// share clicks, brings the pattern to the front, and returns the agent's viewer.
func (x *inFirefox) share() *browser.Page {
	x.t.Helper()
	x.c.Click("button", "Share my screen")
	v := x.chat.viewer()
	x.c.WaitPage("Ana can see")
	x.pattern.Front()
	return v
}

// pictures waits until the viewer has shown that many different whole patterns, each of the screen's size.
func (x *inFirefox) pictures(v *browser.Page, n int) {
	x.t.Helper()
	// The page does not begin in the screen's corner: browser.ReadPattern is given the part of the canvas that it fills.
	at := firefox.Eval[[2]int](x.pattern, "[mozInnerScreenX,mozInnerScreenY]")
	read := fmt.Sprintf(`(()=>{const seen=document.querySelector('canvas');if(!seen||seen.width!==%d||seen.height!==%d)return null;
const part=new OffscreenCanvas(1280,720);part.getContext('2d').drawImage(seen,-%d,-%d);
return (document=>%s)({querySelector:()=>part,createElement:()=>new OffscreenCanvas(1,1)})})()`,
		screenWidth, screenHeight, at[0], at[1], browser.ReadPattern)
	seen := map[int]bool{}
	v.Until(fmt.Sprintf("%d pictures of the screen", n), func() bool {
		p, err := browser.TryEval[*browser.Pattern](v, read)
		if err == nil && p != nil && p.Whole() {
			seen[p.N] = true
		}
		return len(seen) >= n
	})
}

// fps waits until the viewer shows that many frames a second, by its own figure.
func fps(v *browser.Page, what string, ok func(fps int) bool) {
	shown := regexp.MustCompile(`(\d+) fps`)
	v.Until(what, func() bool {
		m := shown.FindStringSubmatch(v.Body())
		if m == nil {
			return ok(0)
		}
		n, err := strconv.Atoi(m[1])
		return err == nil && ok(n)
	})
}

// quiet shows a page that stands still, and waits until the viewer gets nothing more.
func (x *inFirefox) quiet(v *browser.Page) {
	x.t.Helper()
	// It fills the screen: the mark on the tab that shares moves all the time.
	quiet := x.f.Open("quiet", browser.PatternServer(x.t))
	firefox.Eval[bool](quiet, "document.body.requestFullscreen().then(()=>{document.querySelector('canvas').remove();return true})")
	moved := time.Now()
	fps(v, "no frames of a screen that stands still", func(n int) bool {
		if n > 0 {
			moved = time.Now()
		}
		return time.Since(moved) > 4*time.Second // a busy machine may give none for a moment
	})
}

// TestFirefoxShares: chat, share, go on in a hidden tab, send nothing while nothing moves, stop.
func TestFirefoxShares(t *testing.T) {
	x := newInFirefox(t, nil)
	x.chat.say("Please show me")
	x.c.WaitPage("Please show me")
	v := x.share()
	x.pictures(v, 20)
	if state := firefox.Eval[string](x.c, "document.visibilityState"); state != "hidden" {
		t.Errorf("the customer's tab is %s, want it hidden behind the pattern", state)
	}
	fps(v, "5 frames a second", func(n int) bool { return n >= 5 })

	x.quiet(v)
	x.c.Front()
	x.c.Click("button", "Stop sharing")
	x.c.WaitPage("Stopped. Nothing is shared now.")
	x.c.Gone("button", "Stop sharing")
	v.WaitPage("stopped")
	still(v)
}

// TestFirefoxSharesWithoutEncoders: a browser without WebCodecs, as Firefox before 130, sends whole images.
func TestFirefoxSharesWithoutEncoders(t *testing.T) {
	x := newInFirefox(t, map[string]any{"dom.media.webcodecs.enabled": false})
	const have = "typeof VideoEncoder+' '+typeof VideoFrame"
	if got := firefox.Eval[string](x.c, "delete window.VideoFrame&&"+have); got != "undefined undefined" { // it stays with that setting
		t.Fatalf("this Firefox has WebCodecs all the same: %s", got)
	}
	v := x.share()
	x.pictures(v, 5)
	v.WaitPage("JPEG")
	x.quiet(v)
}

// TestFirefoxComesBack: the picture goes over a lane; after a cut it goes on in the same session, over another lane.
func TestFirefoxComesBack(t *testing.T) {
	x, ana := waitingInFirefox(t, nil)
	chat, line := ana.onLine("chat", "--next", "--no-open")
	x.chat = chat
	x.chat.wants("I can't find the button")
	v := x.share()
	x.pictures(v, 5)
	v.Press("i")
	lane := regexp.MustCompile(`own connection\s+(yes|no)`)
	hasLane := func(want string) {
		v.Until("the picture's own connection: "+want, func() bool {
			m := lane.FindStringSubmatch(v.Body())
			return m != nil && m[1] == want
		})
	}
	hasLane("yes")
	set(t, line, impair.Conditions{Cut: true})
	v.WaitPage("Reconnecting…")
	x.c.WaitPage("Reconnecting…")
	set(t, line, impair.Conditions{})
	x.pictures(v, 5)
	x.c.WaitPage("Ana can see")
	hasLane("yes")
}

// TestFirefoxViews: the agent's viewer in a Firefox shows what a customer shares in Chromium.
func TestFirefoxViews(t *testing.T) {
	x := newShared(t)
	x.c.Click("button", "Share my screen")
	v := firefox.Start(t, firefox.Options{}).Open("viewer", x.chat.viewerURL())
	x.pattern.Size(1280, 720)
	seen := map[int]bool{}
	v.Until("10 pictures of the tab", func() bool {
		p, err := firefox.TryEval[*browser.Pattern](v, browser.ReadPattern)
		if err == nil && p != nil && p.Whole() && p.Width == 1280 && p.Height == 720 {
			seen[p.N] = true
		}
		return len(seen) >= 10
	})
	v.WaitPage("AV1")
}
