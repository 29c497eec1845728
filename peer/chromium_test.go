// A real browser is the other end: descriptions, channels, limits and an ICE restart between pion and Chromium.

package peer_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/peer/peertest"
	"github.com/lookalong/lookalong/protocol"
)

// browserPage is a customer's end in a few lines. It sends what it has to say to /say and asks /next for more.
const browserPage = `<!doctype html><meta charset="utf-8"><script>
const say = (m) => fetch('/say', {method: 'POST', body: JSON.stringify(m)});
const pc = new RTCPeerConnection();
const channel = {};
for (const [id, label] of [[1, 'control'], [2, 'direct'], [3, 'screen']]) {
  const c = pc.createDataChannel(label, {negotiated: true, id, ordered: true});
  c.binaryType = 'arraybuffer';
  channel[label] = c;
}
channel.control.onmessage = (e) => {
  const m = JSON.parse(e.data);
  if (m.type === 'peer.ping') channel.control.send(JSON.stringify({type: 'peer.pong', n: m.n, sentMs: m.sentMs, atMs: Date.now()}));
  else if (m.type === 'peer.bye') say({bye: m.reason}).then(() => pc.close());
  else if (m.type !== 'peer.pong') channel.control.send(e.data); // back again
};
channel.direct.onmessage = (e) => channel.direct.send(e.data);
channel.screen.onopen = () => {
  for (const [frame, size] of [[0, 1], [1, 16368], [2, 1 << 20]]) {
    const chunks = Math.ceil(size / 16368);
    for (let i = 0; i < chunks; i++) {
      const n = Math.min(16368, size - i * 16368);
      const b = new DataView(new ArrayBuffer(16 + n));
      b.setUint8(0, 1); b.setUint8(1, 1); b.setUint16(2, i); b.setUint16(4, chunks); b.setUint32(8, frame); b.setUint32(12, frame * 66);
      for (let j = 0; j < n; j++) b.setUint8(16 + j, frame * 31 + (i * 16368 + j) * 7);
      channel.screen.send(b.buffer);
    }
  }
};
let answers = 0;
pc.onicecandidate = (e) => say({candidate: e.candidate === null ? '' : e.candidate.candidate, ufrag: e.candidate?.usernameFragment ?? ''});
(async () => {
  for (;;) {
    const m = await (await fetch('/next')).json();
    if (m.offer) {
      await pc.setRemoteDescription({type: 'offer', sdp: m.offer});
      await pc.setLocalDescription(await pc.createAnswer());
      await say({answer: pc.localDescription.sdp, answers: ++answers});
    } else if (m.candidate) await pc.addIceCandidate(m.candidate);
    else if (m.candidate === null) { /* end of candidates */ }
    else return;
  }
})().catch((e) => say({failed: String(e)}));
</script>`

// browser is the Signaler to the page.
type browser struct {
	next    chan any // to the page; more than a session ever sends
	victim  *peertest.End
	answers chan int
	bye     chan string
	t       *testing.T
}

func (b *browser) SendOffer(sdp string) { b.next <- map[string]any{"offer": sdp} }
func (b *browser) SendAnswer(string)    {}
func (b *browser) SendRestart()         {}
func (b *browser) SendCandidate(c protocol.SessionCandidate) {
	if c.Candidate == "" {
		b.next <- map[string]any{"candidate": nil}
		return
	}
	b.next <- map[string]any{"candidate": map[string]any{"candidate": c.Candidate, "sdpMid": c.SDPMid, "sdpMLineIndex": c.SDPMLineIndex, "usernameFragment": c.UsernameFragment}}
}

func (b *browser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, browserPage)
	case "/next":
		select {
		case m := <-b.next:
			_ = json.NewEncoder(w).Encode(m)
		case <-r.Context().Done():
		}
	case "/say":
		var m struct {
			Answer, Candidate, Ufrag, Failed, Bye string
			Answers                               int
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			b.t.Error(err)
			return
		}
		switch {
		case m.Failed != "":
			b.t.Errorf("the page failed: %s", m.Failed)
		case m.Answer != "":
			b.victim.Answer(m.Answer)
			b.answers <- m.Answers
		case m.Bye != "":
			b.bye <- m.Bye
		default:
			b.victim.Candidate(protocol.SessionCandidate{Candidate: m.Candidate, UsernameFragment: m.Ufrag})
		}
	}
}

func TestChromium(t *testing.T) {
	b := &browser{next: make(chan any, 1000), answers: make(chan int, 100), bye: make(chan string, 1), t: t, victim: peertest.NewEnd("agent")}
	srv := httptest.NewServer(b)
	t.Cleanup(srv.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.WSURLReadTimeout(peertest.Deadline))
	if path := os.Getenv("LOOKALONG_BROWSER"); path != "" {
		options = append(options, chromedp.ExecPath(path))
	}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root with its sandbox
	}
	alloc, stopBrowser := chromedp.NewExecAllocator(context.Background(), options...)
	defer stopBrowser()
	ctx, stopTab := chromedp.NewContext(alloc)
	defer stopTab()
	if err := chromedp.Do(ctx, chromedp.Navigate(srv.URL)); err != nil {
		t.Fatalf("Chromium does not start (is it installed?): %v", err)
	}
	timers := peertest.Fast()
	timers.Silent, timers.Restarts = 3*time.Second, nil                     // a browser on a busy machine is slow at times
	timers.ICEDisconnected, timers.ICEFailed, timers.ICEKeepAlive = 0, 0, 0 // pion waits 1 s for something better than a peer-reflexive pair
	timers.Bye = peertest.Deadline
	b.victim.Start(t, peer.Config{
		Role: peer.Offerer, LoopbackOK: true, Signaler: b, Timers: timers,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	b.victim.WaitState(t, peer.Connected)
	checkFrames(t, b.victim.WaitFrames(t, 3), []int{1, 16368, 1 << 20})
	if err := b.victim.SendDirect(direct(1)); err != nil {
		t.Fatal(err)
	}
	if got := b.victim.WaitDirect(t, 1)[0].(protocol.DirectMessage); got.Text != direct(1).Text {
		t.Errorf("the echo is %+v", got)
	}
	s := b.victim.WaitStats(t, func(s peer.Stats) bool { return s.RTT > 0 })
	if s.ClockOffset.Abs() > time.Second {
		t.Errorf("stats are %+v", s)
	}
	if path := b.victim.WaitPath(t); path != "direct" {
		t.Errorf("path is %q, want direct", path)
	}
	// An ICE restart in the middle of it: the same session, the same channels.
	<-b.answers
	b.victim.RestartRequested()
	select {
	case <-b.answers:
	case <-time.After(peertest.Deadline):
		t.Fatal("no answer to the restart")
	}
	if err := b.victim.SendDirect(direct(2)); err != nil {
		t.Fatal(err)
	}
	b.victim.WaitDirect(t, 2)
	if got := b.victim.State(); got == peer.Ended {
		t.Error("the restart ended the session")
	}
	b.victim.Close("agent_ended")
	select {
	case reason := <-b.bye:
		if reason != "agent_ended" {
			t.Errorf("the page heard %q, want agent_ended", reason)
		}
	case <-time.After(peertest.Deadline):
		t.Error("the goodbye did not reach the page")
	}
	b.victim.WaitDone(t)
}
