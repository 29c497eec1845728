package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/browser"
)

// TestServerKilledInMidShare: the picture goes on without the server; when it is back the same session is there.
func TestServerKilledInMidShare(t *testing.T) {
	x := newShared(t)
	v := x.share()
	x.s.kill()
	x.c.WaitText("status", "Connection", "Reconnecting")
	pictures(v, "pictures without the server", 5)
	x.s.up()
	x.c.WaitText("status", "Connection", "Connected")
	write(x.c, "are you still there?")
	x.chat.wants("are you still there?")
	pictures(v, "pictures after the restart", 5)
	x.c.WaitPage("Ana can see: Tab")
	x.c.Click("switch", "Direct message")
	write(x.c, "and directly too")
	x.chat.wants("and directly too")
	x.c.Click("button", "Stop sharing")
	x.chat.wants("stopped")
}

// TestAgentKilledInMidShare: within 15 s the page says so, and it sends nothing more.
func TestAgentKilledInMidShare(t *testing.T) {
	x := newShared(t)
	x.share()
	x.chat.kill()
	killed := time.Now()
	x.c.WaitPage("Nothing is shared")
	t.Logf("the page said so after %.1f s", time.Since(killed).Seconds())
	x.c.Gone("button", "Stop sharing")
	if live := browser.Eval[bool](x.c, "document.title.includes('SHARING')"); live {
		t.Error("the page still says that it shares")
	}
}

// damages makes the customer's page overwrite delta frames as they leave its encoder, and count key frames.
const damages = `(()=>{window.damage=null;window.keys=0;const copy=EncodedVideoChunk.prototype.copyTo;EncodedVideoChunk.prototype.copyTo=function(to){
copy.call(this,to);if(this.type==='key')window.keys++;else if(window.damage!==null){to.fill(window.damage);window.damage=null}};return true})()`

// TestDamagedFrames: a frame of which nothing is left in the middle of a good stream: a key frame is asked for, and the
// picture goes on with it.
func TestDamagedFrames(t *testing.T) {
	x := newShared(t)
	browser.Eval[bool](x.c, damages)
	v := x.share()
	for _, with := range []int{0, 0x5a, 0xff} { // decoders skip some of it without an error
		keys := browser.Eval[int](x.c, "damage="+strconv.Itoa(with)+",keys")
		x.c.Until("a key frame after the damaged one", func() bool { return browser.Eval[int](x.c, "damage===null?keys:0") > keys })
		pictures(v, "whole pictures after it", 5)
	}
	if body := v.Body(); strings.Contains(body, "that this browser can read") {
		t.Errorf("the viewer complains:\n%s", body)
	}
	x.c.WaitPage("Ana can see: Tab")
}

func TestSourceClosed(t *testing.T) {
	x := newShared(t)
	v := x.share()
	x.pattern.Close()
	x.c.WaitPage("What you were showing was closed")
	v.WaitPage("What they were showing was closed")
	x.chat.wants("closed")
}

func TestTabClosedInMidShare(t *testing.T) {
	x := newShared(t)
	v := x.share()
	x.c.Close()
	x.chat.wants("not here right now")
	still(v)
	v.Until("the viewer to say so", func() bool {
		body := v.Body()
		return strings.Contains(body, "closed or reloaded") || strings.Contains(body, "Reconnecting") || strings.Contains(body, "gone")
	})
}

func TestReloadInMidShare(t *testing.T) {
	x := newShared(t)
	v := x.share()
	x.c.Reload()
	x.c.WaitPage("You reloaded the page, so sharing has stopped.")
	x.c.Gone("button", "Stop sharing")
	v.WaitPage("The customer closed or reloaded the page.")
	x.c.Click("button", "Share my screen")
	pictures(v, "pictures after the reload, in the viewer that is open", 3)
}

// TestPermissionRefused uses a browser of its own, in which the person always says no.
func TestPermissionRefused(t *testing.T) {
	b, err := browser.Start(browser.Options{Flags: map[string]any{"use-fake-ui-for-media-stream": "deny", "auto-select-tab-capture-source-by-title": ""}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	s := newSite(t)
	s.b = b
	x := sharedOn(t, s)
	x.c.Click("button", "Share my screen")
	x.c.WaitPage("Nothing was chosen, so nothing is shared.")
	x.chat.wants("refused")
	x.c.Enabled("button", "Share my screen")
}
