package e2e

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/browser"
)

const measureFor = 10 * time.Second

// percentile of sorted or unsorted durations, in milliseconds.
func percentile(d []time.Duration, p float64) float64 {
	if len(d) == 0 {
		return math.NaN()
	}
	slices.Sort(d)
	return float64(d[min(len(d)-1, int(p*float64(len(d))))].Microseconds()) / 1000
}

// sample is JavaScript that, for the time it is given, reads the pattern's number from a source of pictures at every
// frame of the screen and returns [time, number] pairs. Only one line
// of the blocks is read, shrunk to one pixel a block: one read-back a sample, or the measuring would be what is measured.
const sample = `(source,ms)=>new Promise(done=>{const out=[];const k=document.createElement('canvas');k.width=16;k.height=1;
const x=k.getContext('2d',{willReadFrequently:true});x.imageSmoothingEnabled=false;const end=Date.now()+ms;
const step=()=>{const el=document.querySelector(source);const w=el.videoWidth||el.width,h=el.videoHeight||el.height;
if(w){x.drawImage(el,0,40/720*h,w,1,0,0,16,1);const d=x.getImageData(0,0,16,1).data;let n=0;
for(let i=0;i<16;i++)if(d[i*4]>127)n|=1<<i;out.push([Date.now(),n])}
if(Date.now()<end)requestAnimationFrame(step);else done(out)};requestAnimationFrame(step)})`

// times is JavaScript that makes the pattern's page remember when it drew each number.
const times = `(()=>{window.times={};const old=Object.getOwnPropertyDescriptor(window,'shown');let last=old&&old.value;
Object.defineProperty(window,'shown',{get:()=>last,set:v=>{last=v;window.times[v.n]=v.at}});return true})()`

// measured is what one way of carrying the picture did.
type measured struct {
	age, p50, p95, fps float64 // ms, ms, ms, frames a second
	frames             int
}

// measure samples a page's pictures while the pattern runs, and sets them against the times at which they were drawn.
func measure(b *testing.B, pattern, shown *browser.Page, source string) measured {
	got := browser.Eval[[][2]float64](shown, fmt.Sprintf("(%s)(%q,%d)", sample, source, measureFor.Milliseconds()))
	drawn := browser.Eval[map[string]float64](pattern, "window.times")
	var m measured
	var ages []float64
	var lat []time.Duration
	last := -1.0
	for _, s := range got {
		at, ok := drawn[fmt.Sprint(int(s[1]))]
		if !ok || s[0] < at {
			continue // a number that was never drawn is a torn read
		}
		ages = append(ages, s[0]-at)
		if s[1] != last {
			last = s[1]
			lat = append(lat, time.Duration(s[0]-at)*time.Millisecond)
		}
	}
	if len(ages) == 0 {
		b.Fatal("no picture was seen")
	}
	for _, a := range ages {
		m.age += a / float64(len(ages))
	}
	m.frames = len(lat)
	m.fps = float64(len(lat)) / measureFor.Seconds()
	m.p50, m.p95 = percentile(lat, .5), percentile(lat, .95)
	return m
}

// rtpPage captures the same tab and sends it through an ordinary RTP track to a second peer connection in the page.
const rtpPage = `<!doctype html><title>rtp</title><button>Go</button><video muted autoplay playsinline></video><script>
document.querySelector('button').onclick=async()=>{const s=await navigator.mediaDevices.getDisplayMedia({video:{frameRate:30}});
const t=s.getVideoTracks()[0];t.contentHint='text';const a=new RTCPeerConnection(),b=new RTCPeerConnection();
a.onicecandidate=e=>b.addIceCandidate(e.candidate);b.onicecandidate=e=>a.addIceCandidate(e.candidate);
b.ontrack=e=>{document.querySelector('video').srcObject=new MediaStream([e.track])};
a.addTrack(t,s);await a.setLocalDescription();await b.setRemoteDescription(a.localDescription);await b.setLocalDescription();await a.setRemoteDescription(b.localDescription)}
</script>`

// BenchmarkPicture: mean age, latency and rate of the picture at 1280×720 on loopback, beside an ordinary RTP track of
// the same tab in the same browser.
func BenchmarkPicture(b *testing.B) {
	for range b.N {
		x := newShared(b)
		v := x.share()
		pictures(v, "the picture to settle after the start", 60)
		browser.Eval[bool](x.pattern, times)
		ours := measure(b, x.pattern, v, "canvas")
		x.c.Click("button", "Stop sharing")
		x.c.WaitPage("Nothing is shared now.")

		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, rtpPage) // the browser may be gone
		}))
		defer srv.Close()
		ref := x.profile.Open(b, "rtp", srv.URL)
		ref.Show(browser.Look{Width: 1400, Height: 900})
		ref.Click("button", "Go")
		ref.Until("the first RTP picture", func() bool {
			n, err := browser.TryEval[int](ref, "document.querySelector('video').videoWidth")
			return err == nil && n > 0
		})
		rtp := measure(b, x.pattern, ref, "video")

		b.ReportMetric(0, "ns/op")
		b.ReportMetric(ours.age, "age-ms")
		b.ReportMetric(ours.p50, "latency-p50-ms")
		b.ReportMetric(ours.p95, "latency-p95-ms")
		b.ReportMetric(ours.fps, "frames/s")
		b.ReportMetric(rtp.age, "rtp-age-ms")
		b.ReportMetric(rtp.fps, "rtp-frames/s")
		b.ReportMetric(ours.age/rtp.age, "age/rtp")
	}
}

// BenchmarkFirstPicture: from the click (the source is selected by itself) to the first painted picture, in a session
// that begins with the click, and in one that was connected before. The reference is one picture interval of the
// pattern (66 ms): below that there was nothing to show.
func BenchmarkFirstPicture(b *testing.B) {
	for range b.N {
		x := newShared(b)
		// A viewer must be open to paint: one share before opens it, then the session is ended.
		v := x.share()
		x.c.Click("button", "Disconnect")
		x.c.WaitPage("Nothing is shared now.")
		cold := firstPicture(b, x, v)
		x.c.Click("button", "Stop sharing")
		x.c.WaitPage("Nothing is shared now.")
		warm := firstPicture(b, x, v)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(cold, "new-session-ms")
		b.ReportMetric(warm, "same-session-ms")
		b.ReportMetric(cold/66, "new-session/picture-interval")
	}
}

// firstPicture clicks and returns the milliseconds until a picture that was drawn after the click is on the canvas.
func firstPicture(b *testing.B, x *shared, v *browser.Page) float64 {
	browser.Eval[bool](x.c, `(()=>{document.addEventListener('click',()=>{window.clicked=Date.now()},{capture:true,once:true});return true})()`)
	before := browser.Eval[float64](x.pattern, "window.shown.n")
	browser.Eval[bool](v, strings.ReplaceAll(`(()=>{window.first=0;const k=document.createElement('canvas');k.width=16;k.height=1;const x=k.getContext('2d',{willReadFrequently:true});x.imageSmoothingEnabled=false;
const step=()=>{const el=document.querySelector('canvas');const w=el?el.width:0,h=el?el.height:0;if(w){x.drawImage(el,0,40/720*h,w,1,0,0,16,1);
const d=x.getImageData(0,0,16,1).data;let n=0;for(let i=0;i<16;i++)if(d[i*4]>127)n|=1<<i;if(n>BEFORE&&n<BEFORE+600){window.first=Date.now();return}}requestAnimationFrame(step)};requestAnimationFrame(step);return true})()`, "BEFORE", fmt.Sprint(int(before))))
	x.c.Click("button", "Share my screen")
	v.Until("the first picture", func() bool {
		f, err := browser.TryEval[float64](v, "window.first")
		return err == nil && f > 0
	})
	return browser.Eval[float64](v, "window.first") - browser.Eval[float64](x.c, "window.clicked")
}
