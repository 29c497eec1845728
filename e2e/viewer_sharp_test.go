package e2e

import (
	"bytes"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/e2e/browser"
)

// keepsCaptured makes the customer's page keep the latest picture of a second track of what it captures, beside its own.
const keepsCaptured = `(()=>{const m=navigator.mediaDevices,pick=m.getDisplayMedia.bind(m);m.getDisplayMedia=async(...a)=>{
const s=await pick(...a),r=new MediaStreamTrackProcessor({track:s.getVideoTracks()[0].clone()}).readable.getReader();
(async()=>{for(;;){const {done,value}=await r.read();if(done)return;window.latest?.close();window.latest=value}})();return s};return true})()`

// captured is that picture, as a data URL.
const captured = `(()=>{const k=document.createElement('canvas');k.width=latest.displayWidth;k.height=latest.displayHeight;
k.getContext('2d').drawImage(latest,0,0);return k.toDataURL('image/png')})()`

// TestViewerSharpens: a picture that stands still becomes exact by itself, and by the button; a still never covers
// what is newer, and why none comes is said.
func TestViewerSharpens(t *testing.T) {
	x := newShared(t)
	browser.Eval[bool](x.c, keepsCaptured)
	v := x.share()
	v.Until("the tab's own size", func() bool {
		p := pictures(v, "more pictures", 5)
		return p.Width == 1280 && p.Height == 720
	})
	browser.Eval[bool](x.pattern, "(()=>{for(let i=0;i<10000;i++)clearInterval(i);return true})()")
	v.WaitPage("Exact")
	v.Until("each pixel in the colour in which it was captured", func() bool {
		got, captured := pixels(v, 0), fromDataURL(browser.Eval[string](x.c, captured))
		return got != nil && captured != nil && got.Rect == captured.Rect && bytes.Equal(got.Pix, captured.Pix)
	})
	source := fromDataURL(browser.Eval[string](x.pattern, "document.querySelector('canvas').toDataURL('image/png')"))
	got := pixels(v, 0)
	if got == nil || got.Rect != source.Rect {
		t.Fatalf("the still is not of the source's size")
	}
	off := 0
	for i := range got.Pix {
		if d := int(got.Pix[i]) - int(source.Pix[i]); d < -24 || d > 24 {
			off++
		}
	}
	// What is lossless is the way from the captured picture: Chromium captures a tab with one colour for four pixels, and
	// by another matrix than it says (Whole knows as much). Only the letters' edges may differ by more.
	if off > len(got.Pix)/200 {
		t.Errorf("%d of %d channels differ", off, len(got.Pix))
	}
	browser.Eval[bool](x.pattern, "(draw(),true)")
	v.Until("the mark to go with the first movement", func() bool { return !strings.Contains(v.Body(), "Exact") })
	v.WaitPage("Exact")
}
