package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// PatternTitle is the title of the tab that getDisplayMedia picks by itself.
const PatternTitle = "LOOKALONG-PATTERN"

// The test pattern: 16 blocks of 80×80 in the top row are the bits of a number that counts up with each frame (white
// is 1, the first is the lowest), and below is one field whose colour follows from the number.
const patternPage = `<!doctype html><title>` + PatternTitle + `</title><style>body{margin:0;overflow:hidden}canvas{display:block}</style>
<canvas id="c" width="1280" height="720"></canvas><script>
let n=0;const x=document.getElementById('c').getContext('2d');
const colours=['#d03030','#30a030','#3040d0'];
function draw(){n=(n+1)&65535;x.fillStyle=colours[(n>>3)%3];x.fillRect(0,0,1280,720);
for(let i=0;i<16;i++){x.fillStyle=(n>>i)&1?'#fff':'#000';x.fillRect(i*80,0,80,80)}
x.fillStyle='#fff';x.font='bold 160px sans-serif';x.fillText(String(n),420,480);
window.shown={n:n,at:Date.now()}}
setInterval(draw,66);draw();
</script>`

// ReadPattern is JavaScript that reads the pattern back from the canvas of the viewer: {n, colour, width, height}, or
// null while there is none.
const ReadPattern = `(()=>{const c=document.querySelector('canvas');if(!c||!c.width)return null;
const k=document.createElement('canvas');k.width=c.width;k.height=c.height;const x=k.getContext('2d',{willReadFrequently:true});x.drawImage(c,0,0);
const s=c.width/1280;let n=0;const at=(px,py)=>x.getImageData(Math.round(px*s),Math.round(py*s),1,1).data;
for(let i=0;i<16;i++){const d=at(i*80+40,40);if(d[0]>127)n|=1<<i}
const d=at(100,300);return {n:n,colour:[d[0],d[1],d[2]],width:c.width,height:c.height}})()`

// Pattern is what ReadPattern returns.
type Pattern struct {
	N             int
	Colour        [3]int
	Width, Height int
}

// Whole reports whether the field has the colour that belongs to the number, within what an encoder may change.
func (p Pattern) Whole() bool {
	want := [][3]int{{0xd0, 0x30, 0x30}, {0x30, 0xa0, 0x30}, {0x30, 0x40, 0xd0}}[(p.N>>3)%3]
	for i := range want {
		if d := p.Colour[i] - want[i]; d > 24 || d < -24 {
			return false
		}
	}
	return true
}

func (p Pattern) String() string {
	return fmt.Sprintf("number %d, colour %v, %d×%d", p.N, p.Colour, p.Width, p.Height)
}

// PatternServer serves the pattern's page until the test ends.
func PatternServer(t testing.TB) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, patternPage) // the browser may be gone
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func unquote(s string) string {
	var out string
	if json.Unmarshal([]byte(s), &out) != nil {
		return ""
	}
	return out
}
