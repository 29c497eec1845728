package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/e2e/desktop"
	"github.com/lookalong/lookalong/e2e/impair"
	"github.com/lookalong/lookalong/internal/fault"
)

// trouble is what happens in one round of the soak.
type trouble struct {
	line impair.Conditions
	cut  time.Duration // that the line begins with
	also string        // beside the line; "" for nothing
	size [2]int        // of the shared tab, for "size"
}

func (d trouble) String() string {
	text := fmt.Sprintf("%v, %.1f %%", d.line.Delay, d.line.Loss*100)
	if d.line.Rate > 0 {
		text += fmt.Sprintf(", %.1f Mbit/s", float64(d.line.Rate)/1e6)
	}
	if d.cut > 0 {
		text += fmt.Sprintf(", cut for %v", d.cut)
	}
	if d.also == "size" {
		return text + fmt.Sprintf(", %d×%d", d.size[0], d.size[1])
	}
	return strings.TrimSuffix(text+", "+d.also, ", ")
}

// anyTrouble is that of a round: all of it follows from r. first: before the memory is measured the first time, the
// agent's first viewer may be loaded anew; afterwards only the second one, because a reload would hide what it has lost.
func anyTrouble(r *rand.Rand, period time.Duration, first bool) (d trouble) {
	d.line.Delay = time.Duration(r.IntN(101)) * time.Millisecond
	if r.IntN(3) > 0 {
		d.line.Loss = float64(r.IntN(51)) / 1000
	}
	if r.IntN(2) == 0 {
		d.line.Rate = 2_000_000 + r.Int64N(18_000_001)
	}
	if r.IntN(3) == 0 {
		d.cut = time.Second + time.Duration(r.Int64N(int64(min(7*time.Second, period/2))))
	}
	also := []string{"", "", "second", "second", "size", "still", "hidden", "asleep"}
	if first {
		also = append(also, "reload", "reload")
	}
	d.also = also[r.IntN(len(also))]
	d.size = [2]int{800 + 2*r.IntN(241), 480 + 2*r.IntN(121)}
	return d
}

// soak is a picture in motion over a bad line, with a browser for each side, so that each one's memory can be told.
type soak struct {
	t                  *testing.T
	customers, viewers *browser.Browser
	others             *browser.Profile // of the other viewers: each profile would keep processes and connections of its own
	tab, c, v          *browser.Page
	second             *browser.Page // another viewer, or nil
	chat               *program
	line               impair.Remote
	waits              []float64 // ms
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	x := &soak{t: t, customers: newBrowser(t), viewers: newBrowser(t)}
	s := newSite(t)
	s.b = x.customers
	ana := s.newAgent("Ana")
	profile, c := s.customer()
	x.c = c
	x.tab = profile.OpenWindow(t, "desktop", desktop.Serve(t, browser.PatternTitle).Page(1280, 720, 15), 1280, 720)
	write(c, "I can't find the button")
	x.chat, x.line = ana.onLine("chat", "--next", "--no-open")
	x.chat.wants("I can't find the button")
	c.Click("button", "Share my screen")
	x.others = x.viewers.Profile(t)
	x.v = x.viewers.Profile(t).OpenWindow(t, "viewer", x.chat.viewerURL(), 1400, 900)
	x.v.WaitPage("Live")
	x.whole()
	return x
}

// whole gives the shared tab its size again, whatever bar the browser shows above it.
func (x *soak) whole() { x.tab.Size(1280, 720) }

// fresh waits until a viewer shows the desktop as it was drawn after now: two such frames, so that none is read by chance.
func (x *soak) fresh(v *browser.Page, what string) {
	x.t.Helper()
	withDesktop(v)
	after, began := browser.Eval[int](x.tab, "n"), time.Now()
	seen := map[int]bool{}
	v.Until("the picture of now after "+what, func() bool {
		w := browser.Eval[int](x.tab, "innerWidth")
		n, err := browser.TryEval[int](v, fmt.Sprintf("(()=>{const c=document.querySelector('canvas');return c?(window.read??=desktop.reader())(c,%d):-1})()", w))
		drawn := browser.Eval[int](x.tab, "n")
		if age := (n - after) & 0xffff; err == nil && n >= 0 && age > 0 && age <= (drawn-after)&0xffff {
			seen[n] = true
		}
		return len(seen) > 1
	})
	x.waits = append(x.waits, float64(time.Since(began).Milliseconds()))
}

// round lets a trouble last for a while; afterwards the line is good, and each viewer must show the picture of now.
func (x *soak) round(d trouble, period time.Duration) {
	x.t.Helper()
	began := time.Now()
	last := func(long time.Duration, what string) {
		x.c.Until(what, func() bool { return time.Since(began) > long })
	}
	if d.cut > 0 {
		set(x.t, x.line, impair.Conditions{Cut: true})
	} else {
		set(x.t, x.line, d.line)
	}
	undo := x.begin(d)
	if d.cut > 0 {
		last(d.cut, "the cut's end")
		set(x.t, x.line, d.line)
	}
	last(period, "the round's end")
	undo()
	if keep := "Keep sharing"; x.c.Has("button", keep) { // the customer is asked each half hour
		x.c.Click("button", keep)
	}
	set(x.t, x.line, impair.Conditions{})
	x.fresh(x.v, d.String())
	if x.second != nil {
		x.fresh(x.second, d.String()+" in the second viewer")
	}
}

// begin does what happens beside the line, and returns what ends it.
func (x *soak) begin(d trouble) (undo func()) {
	switch d.also {
	case "reload":
		x.v.Reload()
	case "second": // another one opens, or goes
		if x.second == nil {
			x.second = duplicate(x.t, x.others, x.v)
		} else {
			x.second.Close()
			x.second = nil
		}
	case "size":
		x.tab.Size(d.size[0], d.size[1])
		return x.whole
	case "still":
		browser.Eval[bool](x.tab, "(()=>{window.kept=step;step=()=>{};return true})()")
		return func() { browser.Eval[bool](x.tab, "(()=>{step=kept;step();return true})()") }
	case "hidden", "asleep":
		x.v.Hide(true)
		x.v.Until("the viewer to be hidden", func() bool { return browser.Eval[bool](x.v, "document.hidden") })
		if d.also == "hidden" {
			return func() { x.v.Hide(false) }
		}
		x.v.Sleep(true)
		return func() { x.v.Sleep(false); x.v.Hide(false) }
	}
	return func() {}
}

// held is what the programs hold.
type held struct {
	customer, viewer browser.Live
	customers        float64 // MiB, of the customer's browser
	viewers          float64 // MiB, of the agent's
	agent            float64 // MiB
	goroutines       int
	heap             int // bytes, of the agent's program
}

func (h held) String() string {
	return fmt.Sprintf("customer's page %.1f MiB, %d nodes, %d listeners, %v, browser %.0f MiB; viewer's page %.1f MiB, %d nodes, %d listeners, %v, browser %.0f MiB; agent's program %.0f MiB, heap %.1f MiB, %d goroutines",
		mib(h.customer.Heap), h.customer.Nodes, h.customer.Listeners, h.customer.Objects, h.customers,
		mib(h.viewer.Heap), h.viewer.Nodes, h.viewer.Listeners, h.viewer.Objects, h.viewers, h.agent, mib(h.heap), h.goroutines)
}

func mib(bytes int) float64 { return float64(bytes) / (1 << 20) }

// classes are those of which each object costs more than memory.
var classes = []string{"HTMLCanvasElement", "Worker", "WebSocket", "RTCPeerConnection", "RTCDataChannel", "MediaStreamTrack", "VideoFrame", "ImageBitmap", "VideoEncoder", "VideoDecoder", "Blob"}

// held measures, with one viewer and a picture in motion.
func (x *soak) held() (h held) {
	x.t.Helper()
	h.customer, h.viewer = x.c.Live(classes...), x.v.Live(classes...)
	m := treeMemory([]int{x.customers.PID(), x.viewers.PID(), x.chat.cmd.Process.Pid})
	h.customers, h.viewers, h.agent = m[0], m[1], m[2]
	resp, err := http.Get(string(x.line) + "/runtime")
	if err != nil {
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	var of struct{ Goroutines, Heap int }
	if err := json.NewDecoder(resp.Body).Decode(&of); err != nil {
		x.t.Fatal(err)
	}
	h.goroutines, h.heap = of.Goroutines, of.Heap
	return h
}

// goroutines says where those of the agent's program are.
func (x *soak) goroutines() string {
	resp, err := http.Get(string(x.line) + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body) // what came of it says enough
	return string(text)
}

// grown says what h holds more than before, beyond what comes and goes; nothing is lost where it is empty. What a
// round leaves behind is multiplied by the rounds; the bounds are for what does not grow with them.
func (h held) grown(before held) (list []string) {
	more := func(what string, was, is, room float64) {
		if is > was+room {
			list = append(list, fmt.Sprintf("%s: %.1f, and %.1f before", what, is, was))
		}
	}
	page := func(whose string, was, is browser.Live) {
		more(whose+" page, MiB", mib(was.Heap), mib(is.Heap), 6)
		more(whose+" page, nodes", float64(was.Nodes), float64(is.Nodes), 150)
		more(whose+" page, listeners", float64(was.Listeners), float64(is.Listeners), 40)
		for _, class := range slices.Sorted(maps.Keys(is.Objects)) {
			more(whose+" page, "+class, float64(was.Objects[class]), float64(is.Objects[class]), 2)
		}
	}
	page("customer's", before.customer, h.customer)
	page("viewer's", before.viewer, h.viewer)
	more("customer's browser, MiB", before.customers, h.customers, 400)
	more("viewer's browser, MiB", before.viewers, h.viewers, 400)
	more("agent's program, MiB", before.agent, h.agent, 60)
	more("agent's heap, MiB", mib(before.heap), mib(h.heap), 12)
	more("goroutines", float64(before.goroutines), float64(h.goroutines), 12)
	return list
}

// TestSoakPicture: the picture in motion, in trouble by a random script; after each trouble it is that of now, and in the
// end nothing has been lost. Short in "make test", 30 minutes in "make soak"; LOOKALONG_SEED repeats a script.
func TestSoakPicture(t *testing.T) {
	n, period := rounds(6, 90), 4*time.Second
	if os.Getenv("LOOKALONG_SOAK") != "" {
		period = 20 * time.Second
	}
	seed := firstSeed()
	r := fault.Rand(seed)
	t.Logf("LOOKALONG_SEED=%d, %d rounds of %v", seed, n, period)
	x := newSoak(t)
	var before held
	for i := range n {
		warm := i > n/4
		if i > 0 && warm && before.goroutines == 0 {
			before = x.alone()
			t.Logf("after %d rounds: %v", i, before)
		}
		d := anyTrouble(r, period, !warm)
		x.round(d, period)
		t.Logf("round %d: %v: the picture of now after %.0f ms", i, d, x.waits[len(x.waits)-1])
	}
	after := x.alone()
	grown := after.grown(before)
	for end := time.Now().Add(browser.Patience); len(grown) > 0 && time.Now().Before(end); { // what ends by itself may take its time
		x.fresh(x.v, "the end")
		after = x.held()
		grown = after.grown(before)
	}
	if len(grown) > 0 {
		t.Errorf("it holds more and more:\n%s\n%s", strings.Join(grown, "\n"), x.goroutines())
	}
	t.Logf("after %d rounds: %v", n, after)
	t.Logf("the picture of now after %.0f ms (p50), %.0f (p95), %.0f (worst)", percentile(x.waits, .5), percentile(x.waits, .95), slices.Max(x.waits))
}

// alone measures with the first viewer alone, over a good line.
func (x *soak) alone() held {
	x.t.Helper()
	if x.second != nil {
		x.second.Close()
		x.second = nil
		x.fresh(x.v, "the second viewer's end")
	}
	return x.held()
}
