package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/e2e/desktop"
	"github.com/lookalong/lookalong/e2e/impair"
	"github.com/lookalong/lookalong/e2e/port"
)

// Flags of the picture's benchmark: go test -bench Picture ./e2e -picture.cells 25ms/1%
var (
	pictureCells   = flag.String("picture.cells", "", "networks, comma-separated; empty: all")
	pictureSizes   = flag.String("picture.sizes", "720,1080", "heights of the screen: 720, 1080")
	pictureSources = flag.String("picture.sources", "ours,AV1,H264", "what is compared: ours, and RTP with AV1, H264, VP9 or VP8")
	pictureFPS     = flag.Int("picture.fps", 15, "frames a second that the desktop draws")
	pictureLong    = flag.Int("picture.seconds", 10, "how long each cell is measured, in seconds; at most 40")
	pictureWarm    = flag.Int("picture.warm", 5, "how long each picture runs before it is measured, in seconds")
	pictureRepeats = flag.Int("picture.repeats", 1, "how often each cell is measured; the table has the medians")
	pictureCuts    = flag.String("picture.cuts", "", "how long the path of ours is cut, one after the other, in seconds: 5,30,100; empty: never")
	pictureOut     = flag.String("picture.out", "", "also write the figures to this file, as JSON")
)

// bench is what the cells have in common: the customer's browser with the desktop, the agent's program on a bad network,
// and another browser for what the agent sees, so that each one's processor time can be told.
type bench struct {
	t                  testing.TB
	customers, viewers *browser.Browser
	desk               desktop.Server
	tab                *browser.Page // the desktop
	c                  *browser.Page // the customer's page
	chat               *program
	line               impair.Remote
	v                  *browser.Page // the viewer's page
	rtp                *program
	rtpURL             string
	rtpLine            impair.Remote
	send, watch        *browser.Page // of the RTP reference
}

// built builds a program of this folder.
func built(t testing.TB, name, pkg string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(programs, name)
	if out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return exec.Command(path)
}

// onLine runs the agent's CLI on a bad network.
func (a *agent) onLine(args ...string) (*program, impair.Remote) {
	a.t.Helper()
	cmd, addr := built(a.t, "lookalong-on-line", "./impair/agent"), port.Free(a.t)
	cmd.Args = append(append(cmd.Args, addr), args...)
	return startCommand(a.t, []string{"LOOKALONG_HOME=" + a.home}, "lookalong "+strings.Join(args, " "), cmd), impair.Remote("http://" + addr)
}

func newBrowser(t testing.TB) *browser.Browser {
	t.Helper()
	br, err := browser.Start(browser.Options{Flags: map[string]any{"screen-info": "{2560x1600}"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(br.Close)
	return br
}

func newBench(t testing.TB) *bench {
	t.Helper()
	x := &bench{t: t, customers: newBrowser(t), viewers: newBrowser(t), desk: desktop.Serve(t, browser.PatternTitle)}
	s := newSite(t)
	s.b = x.customers
	ana := s.newAgent("Ana")
	var profile *browser.Profile
	profile, x.c = s.customer()
	x.tab = profile.OpenWindow(t, "desktop", x.desk.Page(1280, 720, *pictureFPS), 1280, 720)
	browser.Eval[bool](x.c, keepDirect)
	write(x.c, "I can't find the button")
	x.chat, x.line = ana.onLine("chat", "--next", "--no-open")
	x.chat.wants("I can't find the button")

	cmd, addr := built(t, "rtpref", "./impair/rtpref"), port.Free(t)
	cmd.Args = append(cmd.Args, addr)
	x.rtp, x.rtpURL, x.rtpLine = startCommand(t, nil, "rtpref", cmd), "http://"+addr, impair.Remote("http://"+addr+"/line")
	x.send = profile.OpenWindow(t, "send", "about:blank", 400, 300)

	// The first share opens the viewer, which stays: a cell begins with a new session and an open page.
	x.c.Click("button", "Share my screen")
	v := x.viewers.Profile(t)
	x.v = v.OpenWindow(t, "viewer", x.chat.viewerURL(), 1400, 900)
	x.v.WaitPage("Live")
	x.c.Click("button", "Disconnect")
	x.c.WaitPage("Nothing is shared now.")
	x.watch = v.OpenWindow(t, "watch", "about:blank", 1400, 900)
	return x
}

// BenchmarkPicture: the picture beside ordinary RTP tracks of the same tab, over the same bad networks, in turn.
func BenchmarkPicture(b *testing.B) {
	list, err := cells(*pictureCells, *pictureSizes, *pictureFPS)
	if err == nil && (*pictureLong < 1 || *pictureLong > 40) { // a page is not waited for longer than browser.Patience
		err = fmt.Errorf("-picture.seconds is %d: between 1 and 40", *pictureLong)
	}
	if err != nil {
		b.Fatal(err)
	}
	x := newBench(b)
	var all []figures
	for _, c := range list {
		for range *pictureRepeats {
			for _, source := range split(*pictureSources) {
				all = append(all, x.run(b, c, source))
			}
		}
	}
	joined := medians(all)
	fmt.Printf("\n%s\n%s", table(joined), verdicts(joined))
	b.Run("cut", func(b *testing.B) { x.cuts(b, split(*pictureCuts)) })
	if *pictureOut != "" {
		data, err := json.MarshalIndent(all, "", "\t")
		if err == nil {
			err = os.WriteFile(*pictureOut, data, 0o644)
		}
		if err != nil {
			b.Error(err)
		}
	}
}

// run measures one source in one cell, as a benchmark of its own: where it fails the others go on.
func (x *bench) run(b *testing.B, c cell, source string) figures {
	f := figures{Network: c.Network, Size: c.Size, Source: source, Failed: "did not come to its end"}
	b.Run(c.Size+"/"+c.Network+"/"+source, func(b *testing.B) {
		for range b.N {
			if source == "ours" {
				f = x.ours(c)
			} else {
				f = x.reference(c, source)
			}
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(f.Age, "age-ms")
		b.ReportMetric(f.Kbit, "kbit/s")
		b.ReportMetric(f.Luma, "dB")
	})
	return f
}

// begin shows the desktop from its first frame on, so that every source carries the same.
func (x *bench) begin(c cell) {
	x.tab.Go(x.desk.Page(c.screen.width, c.screen.height, c.screen.fps))
	x.tab.Size(c.screen.width, c.screen.height)
}

// set sets a line, or ends the benchmark.
func (x *bench) set(line impair.Remote, c impair.Conditions) {
	if err := line.Set(c); err != nil {
		x.t.Fatal(err)
	}
}

// ours measures a new session of ours.
func (x *bench) ours(c cell) figures {
	const canvas = "canvas"
	x.begin(c)
	withDesktop(x.v)
	x.set(x.line, c.line)
	defer x.set(x.line, impair.Conditions{})
	first := x.first(c, x.c, x.v, canvas, func() { x.c.Click("button", "Share my screen") })
	defer func() {
		x.c.Click("button", "Disconnect")
		x.c.WaitPage("Nothing is shared now.")
	}()
	m := x.measure(c, picture{x.v, canvas, x.chat.cmd.Process.Pid, x.line, true})
	m.Source, m.First = "ours", first()
	m.Codec = codecOf(x.v.Body()) + otherSize(x.v, canvas, c.screen)
	return m
}

// codecOf finds the codec among the facts that the viewer shows.
func codecOf(text string) string {
	for _, name := range []string{"AV1 4:4:4", "AV1", "H.264", "VP9", "VP8", "WEBP", "JPEG", "PNG"} {
		if strings.Contains(text, name) {
			return name
		}
	}
	return ""
}

// receivedCodec is JavaScript for the codec that the RTP reference's viewer receives in fact.
const receivedCodec = `(async()=>{const all=[...(await pc.getStats()).values()],one=all.find(s=>s.type==='inbound-rtp');
return all.find(s=>s.id===one?.codecId)?.mimeType.replace('video/','')??'none'})()`

// otherSize is the size of the picture that is shown where it is not the screen's.
func otherSize(p *browser.Page, source string, of screen) string {
	size := browser.Eval[[2]int](p, fmt.Sprintf("(()=>{const e=document.querySelector(%q);return [e.videoWidth||e.width,e.videoHeight||e.height]})()", source))
	if size == [2]int{of.width, of.height} {
		return ""
	}
	return fmt.Sprintf(" %d×%d", size[0], size[1])
}

// reference measures an RTP track with that codec.
func (x *bench) reference(c cell, codec string) figures {
	const video = "video"
	x.begin(c)
	x.watch.Go(x.rtpURL + "/watch?codec=" + codec)
	withDesktop(x.watch)
	x.watch.Until("the viewer's connection", func() bool {
		return browser.Eval[string](x.watch, "document.title") == "connected"
	})
	x.send.Go(x.rtpURL + "/?codec=" + codec)
	x.set(x.rtpLine, c.line)
	defer x.set(x.rtpLine, impair.Conditions{})
	defer func() { x.send.Go("about:blank"); x.watch.Go("about:blank") }()
	first := x.first(c, x.send, x.watch, video, func() { x.send.Click("button", "Go") })
	m := x.measure(c, picture{x.watch, video, x.rtp.cmd.Process.Pid, x.rtpLine, false})
	m.Source, m.First = codec, first()
	m.Codec = browser.Eval[string](x.watch, receivedCodec) + otherSize(x.watch, video, c.screen)
	return m
}

// first clicks, and returns what tells how long it took until a picture drawn after the click was shown.
func (x *bench) first(c cell, clicked, shown *browser.Page, source string, click func()) func() float64 {
	browser.Eval[bool](clicked, watchClick)
	before := browser.Eval[int](x.tab, "n")
	browser.Eval[bool](shown, fmt.Sprintf(watchFirst, source, c.screen.width, before))
	click()
	shown.Until("the first picture", func() bool {
		at, err := browser.TryEval[float64](shown, "window.first")
		return err == nil && at > 0
	})
	return func() float64 {
		return browser.Eval[float64](shown, "window.first") - browser.Eval[float64](clicked, "window.clicked")
	}
}

// cuts cuts the path of a running picture for each of the times, and prints how long after its return the first frame is
// seen that was drawn after it.
func (x *bench) cuts(b *testing.B, list []string) {
	if len(list) == 0 {
		b.Skip("no cuts are asked for: -picture.cuts")
	}
	c := cell{Network: "25ms", Size: "720", line: impair.Conditions{Delay: 25 * time.Millisecond}, screen: screen{1280, 720, *pictureFPS}}
	x.begin(c)
	withDesktop(x.v)
	x.set(x.line, c.line)
	defer x.set(x.line, impair.Conditions{})
	x.first(c, x.c, x.v, "canvas", func() { x.c.Click("button", "Share my screen") })
	defer x.c.Click("button", "Disconnect")
	for _, one := range list {
		n, err := strconv.Atoi(one)
		if err != nil {
			b.Fatal(err)
		}
		time.Sleep(seconds(*pictureWarm))
		x.set(x.line, impair.Conditions{Cut: true})
		time.Sleep(seconds(n))
		before := browser.Eval[int](x.tab, "n")
		browser.Eval[bool](x.v, fmt.Sprintf(watchFirst, "canvas", c.screen.width, before))
		back := time.Now()
		x.set(x.line, c.line)
		x.v.Until("the first frame after the cut", func() bool {
			at, err := browser.TryEval[float64](x.v, "window.first")
			return err == nil && at > 0
		})
		took := browser.Eval[float64](x.v, "window.first") - float64(back.UnixMicro())/1000
		fmt.Printf("cut for %d s: the first new frame %.0f ms after the path was back\n", n, took)
		b.ReportMetric(took, fmt.Sprintf("ms-after-%ds", n))
	}
	b.ReportMetric(0, "ns/op")
}

// picture is one that is being shown.
type picture struct {
	shown  *browser.Page
	source string // selects the element
	agent  int    // the process behind the bad line
	line   impair.Remote
	chat   bool
}

// measure waits until the picture has settled, then measures it: latency, chat and processors together, and sharpness
// after them, because reading whole pictures back takes time.
func (x *bench) measure(c cell, r picture) (f figures) {
	x.tab.Size(c.screen.width, c.screen.height) // the browser's own bar above a shared tab has taken some of it
	time.Sleep(seconds(*pictureWarm))           // the encoder and the rate control begin carefully: that is measured as First alone
	bytes, began := x.bytes(r.line), time.Now()
	time.Sleep(desktop.Scene) // the picture alone: a reference carries no messages
	f = figures{Network: c.Network, Size: c.Size, Kbit: float64(x.bytes(r.line)-bytes) * 8 / 1000 / time.Since(began).Seconds()}
	pids := []int{x.customers.PID(), r.agent, x.viewers.PID()}
	cpu := treeCPU(pids)
	began = time.Now()
	chats := make(chan []float64, 1)
	if r.chat {
		go func() {
			took, _ := browser.TryEval[[]float64](x.c, fmt.Sprintf("%s(%d)", chatOver, seconds(*pictureLong).Milliseconds())) // none is seen below
			chats <- took
		}()
	} else {
		close(chats)
	}
	seen, err := look(r.shown, x.tab, r.source, c.screen, seconds(*pictureLong))
	took := time.Since(began).Seconds()
	f.Load, f.Age, f.P50, f.P95, f.FPS, f.Torn = loadOf(), seen.age, seen.p50, seen.p95, seen.fps, seen.torn
	for i, used := range treeCPU(pids) {
		*[]*float64{&f.Customer, &f.Agent, &f.Viewer}[i] = (used - cpu[i]) / took * 100
	}
	if list := <-chats; len(list) > 0 {
		p50, p95 := percentile(list, .5), percentile(list, .95)
		f.Chat50, f.Chat95 = &p50, &p95
	} else if r.chat {
		x.t.Error("no direct message was sent")
	}
	if err != nil {
		f.Failed = err.Error()
		return f
	}
	s, err := sharpness(r.shown, r.source, c.screen)
	if err != nil {
		f.Failed = "the sharpness could not be measured: " + err.Error()
	}
	f.Luma, f.RGB, f.SSIM, f.Fitted = s.luma, s.rgb, s.ssim, s.fitted
	return f
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// bytes is what a line has carried, both ways.
func (x *bench) bytes(line impair.Remote) uint64 {
	s, err := line.State()
	if err != nil {
		x.t.Fatal(err)
	}
	return s.Out.Bytes + s.In.Bytes
}
