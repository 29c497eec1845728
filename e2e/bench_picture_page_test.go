package e2e

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/e2e/desktop"
)

// screen is what the customer's tab shows.
type screen struct {
	width, height, fps int
}

// withDesktop makes the desktop's functions known to a page, in which it may be done again.
func withDesktop(p *browser.Page) {
	browser.Eval[bool](p, "(()=>{window.desktop??=(()=>{"+desktop.JS+";return desktop})();return true})()")
}

// sample is JavaScript that, for the time it is given, reads the frame's number from a source of pictures at every
// frame of the screen and returns [time, number] pairs. Only one line of the blocks is read, shrunk to one pixel a block:
// one read-back a sample, or the measuring would be what is measured.
const sample = `((source,w,ms)=>new Promise(done=>{const out=[],read=desktop.reader(),now=()=>performance.timeOrigin+performance.now();const end=now()+ms;
const step=()=>{const el=document.querySelector(source),n=el?read(el,w):-1;if(n>=0)out.push([now(),n]);
if(now()<end)requestAnimationFrame(step);else done(out)};requestAnimationFrame(step)}))(%q,%d,%d)`

// watchFirst is JavaScript that notes when a frame after BEFORE is seen first.
const watchFirst = `((source,w,before)=>{window.first=0;const read=desktop.reader();
const step=()=>{const el=document.querySelector(source),n=el?read(el,w):-1;
if(n>before&&n<before+900){window.first=performance.timeOrigin+performance.now();return}requestAnimationFrame(step)};
requestAnimationFrame(step);return true})(%q,%d,%d)`

// watchClick is JavaScript that notes when the page is clicked next.
const watchClick = `(()=>{document.addEventListener('click',()=>{window.clicked=performance.timeOrigin+performance.now()},{capture:true,once:true});return true})()`

// keepDirect is JavaScript that notes, in direct, when each direct message leaves the page, and how long its receipt took
// to come on whichever channel.
const keepDirect = `(()=>{window.direct={sent:new Map(),took:[]};const now=()=>performance.now(),make=RTCPeerConnection.prototype.createDataChannel;
RTCPeerConnection.prototype.createDataChannel=function(label,o){const c=make.call(this,label,o);if(label!=='direct'&&label!=='copies')return c;
c.addEventListener('message',e=>{const m=JSON.parse(e.data),at=direct.sent.get(m.id);
if(m.type==='direct.ack'&&at){direct.took.push(now()-at);direct.sent.delete(m.id)}});
if(label==='direct'){const send=c.send;c.send=text=>{const m=JSON.parse(text);if(m.type==='direct.message')direct.sent.set(m.id,now());send.call(c,text)}}
return c};return true})()`

// chatOver is JavaScript that writes a direct message of 100 characters five times a second, as a person does, and
// returns how long each took to the agent's program and back as its receipt; one without a receipt after two more
// seconds counts as it is.
const chatOver = `(ms=>new Promise(done=>{direct.sent.clear();direct.took=[];
const on=document.querySelector('.composer [role=switch]');if(on.getAttribute('aria-checked')!=='true')on.click();
const field=document.querySelector('.composer textarea'),set=Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype,'value').set;
const t=setInterval(()=>{set.call(field,'x'.repeat(100));field.dispatchEvent(new Event('input',{bubbles:true}));
field.dispatchEvent(new KeyboardEvent('keydown',{key:'Enter',bubbles:true,cancelable:true}))},200);
setTimeout(()=>{clearInterval(t);setTimeout(()=>{for(const at of direct.sent.values())direct.took.push(performance.now()-at);
done(direct.took)},2000)},ms)}))`

// compare is JavaScript that takes n pictures from a source, one every 300 ms, and afterwards sets the text of each
// against the frame as it was drawn: [PSNR of luma, PSNR of RGB, SSIM of luma, PSNR of luma after the best gain and offset].
const compare = `(async(source,w,h,fps,count)=>{const canvas=()=>{const c=document.createElement('canvas');c.width=w;c.height=h;return c.getContext('2d',{alpha:false,willReadFrequently:true})};
const shot=canvas(),read=desktop.reader(),taken=[];
for(let i=0;i<count;i++){await new Promise(r=>setTimeout(r,300));await new Promise(requestAnimationFrame);const el=document.querySelector(source);
shot.drawImage(el,0,0,w,h);const n=read(shot.canvas,w),t=desktop.text(n,w,h,fps);taken.push({n,t,data:shot.getImageData(t.x,t.y,t.w,t.h).data})}
const luma=d=>{const y=new Float32Array(d.length/4);for(let i=0;i<y.length;i++)y[i]=.2126*d[i*4]+.7152*d[i*4+1]+.0722*d[i*4+2];return y};
const db=mse=>mse>0?10*Math.log10(65025/mse):100;const original=canvas(),out=[];
for(const {n,t,data} of taken){desktop.draw(original,n,w,h,fps);const o=original.getImageData(t.x,t.y,t.w,t.h).data;
const a=luma(o),b=luma(data),N=a.length;let ey=0,ec=0,sa=0,sb=0,saa=0,sbb=0,sab=0;
for(let i=0;i<N;i++){const x=a[i],y=b[i];ey+=(x-y)**2;sa+=x;sb+=y;saa+=x*x;sbb+=y*y;sab+=x*y;
for(let k=0;k<3;k++)ec+=(o[i*4+k]-data[i*4+k])**2}
const va=saa/N-(sa/N)**2,vb=sbb/N-(sb/N)**2,cov=sab/N-sa*sb/N/N;
let ssim=0,windows=0;for(let y=0;y+8<=t.h;y+=4)for(let x=0;x+8<=t.w;x+=4){let p=0,q=0,pp=0,qq=0,pq=0;
for(let j=0;j<8;j++)for(let i=0,k=(y+j)*t.w+x;i<8;i++,k++){const u=a[k],v=b[k];p+=u;q+=v;pp+=u*u;qq+=v*v;pq+=u*v}
p/=64;q/=64;const vp=pp/64-p*p,vq=qq/64-q*q,c=pq/64-p*q;
ssim+=(2*p*q+6.5025)*(2*c+58.5225)/((p*p+q*q+6.5025)*(vp+vq+58.5225));windows++}
out.push([db(ey/N),db(ec/N/3),ssim/windows,db(va-(vb>0?cov*cov/vb:0))]);await new Promise(r=>setTimeout(r))}
return out})(%q,%d,%d,%d,%d)`

// looked is what a viewer saw.
type looked struct {
	age, p50, p95, fps float64 // ms, ms, ms, frames a second
	torn               float64 // share of the samples whose number was never drawn, or only later
}

// look samples what a page shows of the desktop, and sets it against the times at which it was drawn.
func look(shown, desk *browser.Page, source string, of screen, long time.Duration) (m looked, err error) {
	got, err := browser.TryEval[[][2]float64](shown, fmt.Sprintf(sample, source, of.width, long.Milliseconds()))
	if err != nil {
		return m, err
	}
	drawn, err := browser.TryEval[map[string]float64](desk, "times")
	if err != nil {
		return m, err
	}
	var lat []float64
	var span, sum float64
	torn, last := 0, -1.0
	for i, s := range got {
		at, ok := drawn[fmt.Sprint(int(s[1]))]
		if !ok || s[0] < at-5 { // the pages' clocks agree to a millisecond or two
			torn++
			continue
		}
		if i > 0 { // what was seen stood since the last sample
			span += s[0] - got[i-1][0]
			sum += (s[0] - at) * (s[0] - got[i-1][0])
		}
		if s[1] != last {
			last = s[1]
			lat = append(lat, s[0]-at)
		}
	}
	if span == 0 {
		return m, fmt.Errorf("no picture was seen in %d samples", len(got))
	}
	m.age, m.fps = sum/span, float64(max(0, len(lat)-1))/long.Seconds() // the first one stood there before
	m.torn = float64(torn) / float64(len(got))
	if len(lat) > 1 {
		m.p50, m.p95 = percentile(lat[1:], .5), percentile(lat[1:], .95)
	}
	return m, nil
}

// percentile of unsorted figures; NaN of none.
func percentile(d []float64, p float64) float64 {
	if len(d) == 0 {
		return math.NaN()
	}
	d = slices.Sorted(slices.Values(d))
	return d[min(len(d)-1, int(p*float64(len(d))))]
}

// sharp is how near a picture's text is to what was drawn, the mean of some frames.
type sharp struct {
	luma, rgb, ssim, fitted float64 // dB, dB, 0 to 1, dB
}

func sharpness(shown *browser.Page, source string, of screen) (m sharp, err error) {
	const frames = 10
	got, err := browser.TryEval[[][4]float64](shown, fmt.Sprintf(compare, source, of.width, of.height, of.fps, frames))
	for _, g := range got {
		m.luma += g[0] / float64(len(got))
		m.rgb += g[1] / float64(len(got))
		m.ssim += g[2] / float64(len(got))
		m.fitted += g[3] / float64(len(got))
	}
	return m, err
}
