// A real browser sends the picture over a lane, with the page's own code, over a bad network.

package peer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/evanw/esbuild/pkg/api"

	"github.com/lookalong/lookalong/e2e/impair"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/peer/peertest"
	"github.com/lookalong/lookalong/protocol"
)

// lanePage is the Signaler to web/test/lane.page.ts.
type lanePage struct {
	script []byte
	next   chan any // to the page; more than a session ever sends
	agent  *peertest.End
	done   chan map[string]float64
	t      *testing.T
}

func (l *lanePage) SendOffer(sdp string) {
	l.next <- protocol.SessionOffer{Type: "session.offer", Session: "s", SDP: sdp}
}
func (l *lanePage) SendAnswer(string) {}
func (l *lanePage) SendRestart()      {}
func (l *lanePage) SendCandidate(c protocol.SessionCandidate) {
	c.Type, c.Session = "session.candidate", "s"
	l.next <- c
}

func (l *lanePage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><meta charset="utf-8"><script type="module" src="/page.js"></script>`)
	case "/page.js":
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(l.script)
	case "/next":
		select {
		case m := <-l.next:
			_ = json.NewEncoder(w).Encode(m)
		case <-r.Context().Done():
		}
	case "/say":
		var m struct {
			Type, SDP, Candidate, UsernameFragment, Ended string
			Done                                          map[string]float64
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			l.t.Error(err)
			return
		}
		switch {
		case m.Done != nil:
			l.done <- m.Done
		case m.Type == "session.answer":
			l.agent.Answer(m.SDP)
		case m.Type == "session.candidate":
			l.agent.Candidate(protocol.SessionCandidate{Candidate: m.Candidate, UsernameFragment: m.UsernameFragment})
		}
	}
}

func laneScript(t *testing.T) []byte {
	t.Helper()
	built := api.Build(api.BuildOptions{EntryPoints: []string{"../web/test/lane.page.ts"}, Bundle: true, Format: api.FormatESModule, Target: api.ES2022})
	if len(built.Errors) > 0 {
		t.Fatalf("lane.page.ts: %v", built.Errors[0].Text)
	}
	return built.OutputFiles[0].Contents
}

func TestLaneFromChromium(t *testing.T) {
	for _, c := range []impair.Conditions{
		{},
		{Delay: 25 * time.Millisecond, Loss: 0.03},
	} {
		t.Run(fmt.Sprint(c.Delay, " ", c.Loss), func(t *testing.T) { laneFromChromium(t, c, 60) })
	}
}

func laneFromChromium(t *testing.T, c impair.Conditions, frames int) {
	network := impair.New(1)
	t.Cleanup(network.Close)
	if err := network.Set(c); err != nil {
		t.Fatal(err)
	}
	impaired, err := network.Net()
	if err != nil {
		t.Fatal(err)
	}
	l := &lanePage{script: laneScript(t), next: make(chan any, 1000), agent: peertest.NewEnd("agent"), done: make(chan map[string]float64, 1), t: t}
	srv := httptest.NewServer(l)
	t.Cleanup(srv.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.WSURLReadTimeout(peertest.Deadline))
	if path := os.Getenv("LOOKALONG_BROWSER"); path != "" {
		options = append(options, chromedp.ExecPath(path))
	}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root with its sandbox
	}
	alloc, stopBrowser := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stopBrowser)
	ctx, stopTab := chromedp.NewContext(alloc)
	t.Cleanup(stopTab)
	var late []time.Duration
	cfg := peer.Config{
		Role: peer.Offerer, LoopbackOK: true, Signaler: l, Net: impaired,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	l.agent.Hook(&cfg)
	noted := cfg.OnFrame
	cfg.OnFrame = func(f *protocol.Frame, at int64) {
		late = append(late, time.Duration(int32(uint32(at)-f.CaptureMs))*time.Millisecond)
		_ = l.agent.SendControl(protocol.ScreenFeedback{Stream: int(f.Stream), Frame: f.Frame, ReceivedMs: at})
		noted(f, at)
	}
	l.agent.StartHooked(t, cfg)
	if err := chromedp.Do(ctx, chromedp.Navigate(fmt.Sprintf("%s/?frames=%d", srv.URL, frames))); err != nil {
		t.Fatalf("Chromium does not start (is it installed?): %v", err)
	}
	got := l.agent.WaitFrames(t, frames)
	for i, f := range got {
		if f.Frame != uint32(i) {
			t.Fatalf("frame %d is number %d", i, f.Frame)
		}
		for j, b := range f.Data {
			if b != byte(j*31+i*7) {
				t.Fatalf("frame %d: byte %d is %d", i, j, b)
			}
		}
	}
	select {
	case s := <-l.done:
		t.Logf("%v; %v", s, late)
	case <-time.After(peertest.Deadline):
		t.Fatal("the page did not come to its end")
	}
}
