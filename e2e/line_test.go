package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/e2e/impair"
)

// onLine is a customer who talks with Ana, whose program is on a bad network of its own.
func onLine(t testing.TB) (*shared, impair.Remote) {
	t.Helper()
	x := &shared{s: newSite(t)}
	x.ana = x.s.newAgent("Ana")
	x.profile, x.c = x.s.customer()
	x.pattern = x.profile.OpenWindow(t, "pattern", browser.PatternServer(t), 1280, 720)
	write(x.c, "I can't find the button")
	chat, line := x.ana.onLine("chat", "--next", "--no-open")
	x.chat = chat
	x.chat.wants("I can't find the button")
	return x, line
}

func set(t testing.TB, line impair.Remote, c impair.Conditions) {
	t.Helper()
	if err := line.Set(c); err != nil {
		t.Fatal(err)
	}
}

// TestTheDirectPathIsBadAndIsCut: over a lossy line with delay the picture comes; when the line is cut both sides say so,
// the last picture stays, and it goes on in the same session when the line is back.
func TestTheDirectPathIsBadAndIsCut(t *testing.T) {
	x, line := onLine(t)
	bad := impair.Conditions{Delay: 25 * time.Millisecond, Loss: 0.03}
	set(t, line, bad)
	v := x.share()
	v.WaitPage("Direct")
	x.c.WaitPage("Ana can see: Tab")
	set(t, line, impair.Conditions{Cut: true})
	began := time.Now()
	x.c.WaitPage("Reconnecting…")
	v.WaitPage("Reconnecting…")
	// ICE restarts after 3 and 6 s: there is no other way.
	v.Until("the restarts to be over", func() bool { return time.Since(began) > 8*time.Second })
	before := still(v)
	set(t, line, bad)
	if after := pictures(v, "pictures after the cut", 5); after.N == before {
		t.Errorf("the picture did not go on: %d", after.N)
	}
	x.c.Gone("button", "Share my screen")
	x.c.WaitPage("Ana can see: Tab")
	if n := strings.Count(x.chat.out.String()+x.chat.err.String(), "session has ended"); n != 0 {
		t.Errorf("the session ended:\n%s", x.chat.out)
	}
	if s, err := line.State(); err != nil || s.In.Bytes < 10_000 || s.Out.Cut == 0 || s.In.Cut == 0 {
		t.Errorf("the picture did not go over the line: %+v, %v", s, err)
	}
}
