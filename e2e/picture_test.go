package e2e

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/e2e/port"
)

// shared is a customer who talks with Ana, with the pattern's tab ready to be shown.
type shared struct {
	s       *site
	ana     *agent
	chat    *program
	profile *browser.Profile
	pattern *browser.Page
	c       *browser.Page
}

func newShared(t testing.TB, flags ...string) *shared {
	t.Helper()
	return sharedOn(t, newSite(t, flags...))
}

func sharedOn(t testing.TB, s *site) *shared {
	t.Helper()
	x := &shared{s: s}
	x.ana = x.s.newAgent("Ana")
	x.profile, x.c = x.s.customer()
	x.pattern = x.profile.OpenWindow(t, "pattern", browser.PatternServer(t), 1280, 720)
	write(x.c, "I can't find the button")
	x.chat = x.ana.start("chat", "--next", "--no-open")
	x.chat.wants("I can't find the button")
	return x
}

// share clicks and returns the viewer once it shows the real picture.
func (x *shared) share() *browser.Page {
	x.c.Click("button", "Share my screen")
	v := x.chat.viewer()
	pictures(v, "the first pictures", 3)
	x.pattern.Size(1280, 720) // the browser's own bar above a shared tab has taken some of it
	return v
}

// pictures waits until the viewer's canvas has shown that many different whole pictures.
func pictures(v *browser.Page, what string, n int) browser.Pattern {
	seen := map[int]bool{}
	var last browser.Pattern
	v.Until(what, func() bool {
		p, err := browser.TryEval[*browser.Pattern](v, browser.ReadPattern)
		if err == nil && p != nil && p.Whole() {
			seen[p.N] = true
			last = *p
		}
		return len(seen) >= n
	})
	return last
}

// still waits until the canvas has not changed for a while, and returns its number.
func still(v *browser.Page) int {
	last, since := -1, time.Now()
	v.Until("the picture to stand still", func() bool {
		p, err := browser.TryEval[*browser.Pattern](v, browser.ReadPattern)
		if err == nil && p != nil && p.N != last {
			last, since = p.N, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
	return last
}

func TestThePictureItself(t *testing.T) {
	x := newShared(t)
	v := x.share()
	v.Until("the tab's own size", func() bool {
		p := pictures(v, "more pictures", 5)
		return p.Width == 1280 && p.Height == 720
	})
	x.c.WaitPage("Ana can see: Tab")
	x.c.WaitPage("Never open your bank")
	x.c.WaitPage("Not checked")
	v.WaitPage("Not checked")
	v.WaitPage("Live")
	x.chat.wants("The customer shows")
	if title := browser.Eval[string](x.c, "document.title"); !strings.Contains(title, "SHARING") {
		t.Errorf("the page's title is %q", title)
	}

	x.c.Click("button", "Stop sharing")
	x.c.WaitPage("Stopped. Nothing is shared now.")
	x.c.Gone("button", "Stop sharing")
	v.WaitPage("stopped")
	still(v)

	x.c.Click("button", "Share my screen")
	x.c.WaitPage("Ana can see: Tab")
	pictures(v, "pictures after sharing again", 3)

	x.c.Focus("log", "Conversation")
	x.c.Press("Escape")
	x.c.WaitPage("Stopped. Nothing is shared now.")
}

func TestTheAgentAsks(t *testing.T) {
	x := newShared(t)
	x.chat.say("/share")
	x.c.WaitPage("asks to see")
	x.c.Click("button", "Don't allow")
	x.chat.wants("said no")
	x.chat.say("/share")
	x.c.Click("button", "Choose what to show")
	pictures(x.chat.viewer(), "the first pictures", 3)
	x.chat.say("/stop")
	x.c.WaitPage("Nothing is shared")
	x.c.Gone("button", "Stop sharing")
}

func TestThroughTheRelayOnly(t *testing.T) {
	x := newShared(t, "--relay-only")
	v := x.share()
	v.WaitPage("Relayed")
	x.c.WaitPage("Relayed")
	x.c.Click("switch", "Direct message")
	write(x.c, "through the relay, and still unread by it")
	x.chat.wants("through the relay, and still unread by it")
}

// cutter is a UDP relay before the TURN server that can be cut like a cable.
type cutter struct {
	addr string
	cut  atomic.Bool
}

func newCutter(t testing.TB, to string) *cutter {
	t.Helper()
	front, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close() })
	k := &cutter{addr: front.LocalAddr().String()}
	go func() {
		backs := map[string]net.Conn{}
		defer func() {
			for _, b := range backs {
				b.Close()
			}
		}()
		buf := make([]byte, 65536)
		for {
			n, from, err := front.ReadFrom(buf)
			if err != nil {
				return
			}
			b := backs[from.String()]
			if b == nil {
				if b, err = net.Dial("udp4", to); err != nil {
					return
				}
				backs[from.String()] = b
				go func() {
					buf := make([]byte, 65536)
					for {
						n, err := b.Read(buf)
						if err != nil {
							return
						}
						if !k.cut.Load() {
							_, _ = front.WriteTo(buf[:n], from) // a lost packet is what this is for
						}
					}
				}()
			}
			if !k.cut.Load() {
				_, _ = b.Write(buf[:n]) // a lost packet is what this is for
			}
		}
	}()
	return k
}

// TestThePathIsCutAndComesBack cuts the only path for 30 s: the same session and the same picture go on, nobody clicks.
func TestThePathIsCutAndComesBack(t *testing.T) {
	turn := port.Free(t)
	k := newCutter(t, turn)
	x := newShared(t, "--relay-only", "--turn-listen", turn, "--turn-url", "turn:"+k.addr+"?transport=udp")
	v := x.share()
	k.cut.Store(true)
	began := time.Now()
	x.c.WaitPage("Reconnecting…")
	v.WaitPage("Reconnecting…")
	v.WaitPage("last picture 0:0")
	if look := browser.Eval[string](v, "getComputedStyle(document.querySelector('canvas')).opacity"); look != "0.35" {
		t.Errorf("the last picture is not dimmed: %s", look)
	}
	x.chat.wants("Reconnecting")
	x.c.Wait("button", "Stop sharing")
	before := still(v)
	v.Until("the 30 seconds to pass", func() bool { return time.Since(began) > 30*time.Second })
	k.cut.Store(false)
	after := pictures(v, "pictures after the cut", 5)
	if after.N == before {
		t.Errorf("the picture did not go on: %d", after.N)
	}
	x.c.Gone("button", "Share my screen")
	x.c.WaitPage("Ana can see: Tab")
	if n := strings.Count(x.chat.out.String()+x.chat.err.String(), "session has ended"); n != 0 {
		t.Errorf("the session ended:\n%s", x.chat.out)
	}
}
