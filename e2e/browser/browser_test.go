package browser

import "testing"

// TestCaptureOfTheRealPattern shows that this Chromium can capture the pattern's tab at all; the other tests rely on it.
func TestCaptureOfTheRealPattern(t *testing.T) {
	b, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	pr := b.Profile(t)
	url := PatternServer(t)
	pr.Open(t, "pattern", url)
	p := pr.Open(t, "share", url+"/share")
	Eval[bool](p, `(()=>{document.title='share';document.body.innerHTML='<button>Share</button><canvas></canvas>';
	document.querySelector('button').onclick=async()=>{const s=await navigator.mediaDevices.getDisplayMedia({video:{frameRate:15}});
	const t=s.getVideoTracks()[0];window.surface=t.getSettings().displaySurface;const r=new MediaStreamTrackProcessor({track:t}).readable.getReader();const c=document.querySelector('canvas');
	for(;;){const {value,done}=await r.read();if(done)break;c.width=value.displayWidth;c.height=value.displayHeight;c.getContext('2d').drawImage(value,0,0);value.close()}};return true})()`)
	p.Click("button", "Share")
	var last Pattern
	seen := map[int]bool{}
	p.Until("five different whole pictures", func() bool {
		v, err := TryEval[*Pattern](p, ReadPattern)
		if err == nil && v != nil && v.Whole() {
			seen[v.N] = true
			last = *v
		}
		return len(seen) >= 5
	})
	t.Log(last, Eval[string](p, "window.surface"))
}
