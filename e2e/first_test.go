package e2e

import (
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/e2e/desktop"
	"github.com/lookalong/lookalong/e2e/impair"
	"github.com/lookalong/lookalong/protocol"
)

// outgoing makes the customer's page note what leaves it of the picture, on `screen` or a lane, and how many pictures are
// encoded before the first of them is open.
const outgoing = `(()=>{window.out=[];window.ahead=0;let open=false;
const make=RTCPeerConnection.prototype.createDataChannel;RTCPeerConnection.prototype.createDataChannel=function(label,o){
const c=make.call(this,label,o),at={screen:16,lane:24}[label];if(at===undefined)return c;
if(label==='screen'){open=false;c.addEventListener('open',()=>open=true)}
const send=c.send;c.send=function(d){if(label==='screen'||d[1]!==0)window.out.push({bytes:d.byteLength,jpeg:d[at]===0xff&&d[at+1]===0xd8});
return send.call(this,d)};return c};
const old=VideoEncoder.prototype.encode;VideoEncoder.prototype.encode=function(...a){if(!open)window.ahead++;return old.apply(this,a)};return true})()`

// message is one that went out.
type message struct {
	Bytes int
	JPEG  bool
}

// TestTheFirstPictureIsSmallAndAhead: with a viewer open, a share encodes its first frame while the path is still being
// made, once, and what goes out first is a JPEG of one flight of packets, before the key frame.
func TestTheFirstPictureIsSmallAndAhead(t *testing.T) {
	s := newSite(t)
	ana := s.newAgent("Ana")
	profile, c := s.customer()
	profile.OpenWindow(t, "desktop", desktop.Serve(t, browser.PatternTitle).Page(1280, 720, 15), 1280, 720)
	write(c, "I can't find the button")
	chat, line := ana.onLine("chat", "--next", "--no-open")
	chat.wants("I can't find the button")
	if err := line.Set(impair.Conditions{Delay: 75 * time.Millisecond}); err != nil { // on loopback the path is there at once
		t.Fatal(err)
	}
	c.Click("button", "Share my screen")
	v := chat.viewer()
	v.WaitPage("Live")
	browser.Eval[bool](c, outgoing)
	for range 5 { // on a busy machine the path may be there before the picture, or the key frame before the JPEG
		c.Click("button", "Disconnect")
		c.WaitPage("Nothing is shared now.")
		browser.Eval[bool](c, "(out=[],ahead=0,true)")
		c.Click("button", "Share my screen")
		var sent []message
		c.Until("something to be sent", func() bool {
			sent = browser.Eval[[]message](c, "out")
			return len(sent) > 0
		})
		v.WaitPage("Live")
		ahead, first := browser.Eval[int](c, "ahead"), sent[0]
		if ahead > 1 || first.JPEG && first.Bytes > 12<<10+protocol.FrameHeaderBytes {
			t.Errorf("%d pictures were encoded before there was a path; what went out first: %+v", ahead, first)
		}
		if ahead == 1 && first.JPEG {
			return
		}
	}
	t.Error("no small picture came first, with a key frame ready behind it")
}
