package desktop

import (
	"fmt"
	"testing"

	"github.com/lookalong/lookalong/e2e/browser"
)

// TestAFrameCanBeDrawnAgain: frame n is the same to the last bit after n-1 frames and from nothing, and in another page.
func TestAFrameCanBeDrawnAgain(t *testing.T) {
	b, err := browser.Start(browser.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const drawn = `(()=>{%s;const c=document.createElement('canvas');c.width=1280;c.height=720;const x=c.getContext('2d',{alpha:false%s});
		const out=[];for(const n of %s){desktop.draw(x,n,1280,720,15);if(n%%50===49||n%%50===10){const d=x.getImageData(0,0,1280,720).data;
		let h=0;for(let i=0;i<d.length;i++)h=(Math.imul(h,31)+d[i])|0;const r=desktop.reader();out.push(n+':'+r(c,1280)+':'+h)}}return out})()`
	every, some := "Array.from({length:260},(_,n)=>n)", "[10,49,60,99,110,149,160,199,210,249]"
	s := Serve(t, "desktop")
	one := b.Profile(t).Open(t, "one", s.Page(1280, 720, 15))
	two := b.Profile(t).Open(t, "two", "about:blank")
	first := browser.Eval[[]string](one, fmt.Sprintf(drawn, JS, "", every))
	again := browser.Eval[[]string](two, fmt.Sprintf(drawn, JS, ",willReadFrequently:true", some))
	seen := map[string]bool{}
	if len(first) != len(again) || len(first) < 10 {
		t.Fatalf("%d and %d frames", len(first), len(again))
	}
	for i := range first {
		var n, read, hash int
		if _, err := fmt.Sscanf(first[i], "%d:%d:%d", &n, &read, &hash); err != nil || n != read {
			t.Errorf("frame %d carries the number %d (%v)", n, read, err)
		}
		if first[i] != again[i] {
			t.Errorf("drawn in a row %s, alone %s", first[i], again[i])
		}
		seen[fmt.Sprint(hash)] = true
	}
	if len(seen) != len(first) {
		t.Errorf("only %d of %d frames differ", len(seen), len(first))
	}
}
