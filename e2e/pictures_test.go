//go:build pictures

package e2e

// "make screenshots": the pictures in docs/pictures, taken from the real programs. The customer's browser runs on one
// X server and shares its whole screen; the agent's terminal and viewer run on another. Needs Xvfb, xterm, tmux and
// ImageMagick beside Chromium.

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/browser"
)

const pictureDir = "../docs/pictures"

// display starts an X server and returns its DISPLAY.
func display(t *testing.T, number, width, height int) string {
	t.Helper()
	name := fmt.Sprintf(":%d", number)
	cmd := exec.Command("Xvfb", name, "-screen", "0", fmt.Sprintf("%dx%dx24", width, height), "-nolisten", "tcp")
	if err := cmd.Start(); err != nil {
		t.Fatalf("Xvfb: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		if _, err := os.Stat(fmt.Sprintf("/tmp/.X11-unix/X%d", number)); err == nil {
			return "DISPLAY=" + name
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("Xvfb did not start")
	return ""
}

func command(t *testing.T, env string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// settings is what the customer needs help with.
const settings = `<!doctype html><meta charset="utf-8"><title>Printer settings</title><style>
body{font:15px system-ui,sans-serif;margin:0;background:#eef1f5;color:#1d2430}header{background:#27496d;color:#fff;padding:14px 24px;font-size:18px;font-weight:600}
main{padding:22px 24px;max-width:560px}.card{background:#fff;border-radius:10px;padding:16px 18px;margin:0 0 14px;box-shadow:0 1px 3px #0002}
.row{display:flex;justify-content:space-between;padding:7px 0;border-bottom:1px solid #eef}.row:last-child{border:0}.bad{color:#b3261e;font-weight:600}
button{font:inherit;padding:8px 14px;border-radius:8px;border:1px solid #9aa6b5;background:#fff}</style>
<header>Acme LaserPro X-1000</header><main><div class="card"><div class="row"><span>State</span><span class="bad">Error E-42: paper tray</span></div>
<div class="row"><span>Toner</span><span>71 %</span></div><div class="row"><span>Address</span><span>192.0.2.44</span></div></div>
<div class="card"><div class="row"><span>Paper size</span><span>Letter</span></div><div class="row"><span>Tray 1</span><span>A4</span></div></div>
<button>Print a test page</button> <button>Clear the error</button></main>`

func TestPictures(t *testing.T) {
	if err := os.MkdirAll(pictureDir, 0o755); err != nil {
		t.Fatal(err)
	}
	theirs := display(t, 97, 1600, 900) // the customer's screen
	ours := display(t, 98, 1840, 860)   // the agent's
	b, err := browser.Start(browser.Options{Headful: true, Env: []string{theirs}, Width: 900, Height: 900,
		Flags: map[string]any{"auto-select-tab-capture-source-by-title": "", "auto-select-desktop-capture-source": "Entire screen", "window-position": "0,0", "enable-automation": false, "test-type": true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	s := newSite(t, "--site-name", "Acme Support")
	s.b = b
	ana := s.newAgent("Ana")
	profile := b.Profile(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, settings) // the browser may be gone
	}))
	t.Cleanup(page.Close)
	problem := profile.OpenWindow(t, "settings", page.URL, 660, 560)
	problem.Place(920, 60)
	c := profile.OpenWindow(t, "customer", s.url(), 900, 780)
	c.Place(0, 0)
	c.Wait("textbox", "Message")
	write(c, "Hello! My printer says E-42 and prints nothing.")

	// The agent's terminal: tmux in an xterm, so that what is typed is what is seen.
	socket := filepath.Join(t.TempDir(), "tmux")
	tmux := func(args ...string) { command(t, ours, "tmux", append([]string{"-S", socket}, args...)...) }
	shell := fmt.Sprintf("cd %s && PATH=%s:$PATH LOOKALONG_HOME=%s BROWSER=/bin/false PS1='$ ' TERM=xterm-256color exec sh", t.TempDir(), programs, ana.home)
	tmux("-f", "/dev/null", "new-session", "-d", "-x", "102", "-y", "46", shell)
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", socket, "kill-server").Run() })
	tmux("set", "-g", "status", "off")
	term := exec.Command("xterm", "-geometry", "102x46+8+8", "-fa", "DejaVu Sans Mono", "-fs", "10", "-bg", "#11151c", "-fg", "#dfe5ee", "-b", "10", "+sb", "-e", "tmux", "-S", socket, "attach")
	term.Env = append(os.Environ(), ours)
	if err := term.Start(); err != nil {
		t.Fatalf("xterm: %v", err)
	}
	t.Cleanup(func() { _ = term.Process.Kill(); _ = term.Wait() })
	pane := func() string {
		out, err := exec.Command("tmux", "-S", socket, "capture-pane", "-p", "-J", "-t", "0").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	wants := func(text string) {
		t.Helper()
		c.Until("the terminal to show "+text, func() bool { return strings.Contains(pane(), text) })
	}
	keys := func(text string) { tmux("send-keys", "-l", text); tmux("send-keys", "Enter") }
	keys("lookalong queue")
	wants("E-42")
	keys("lookalong chat --next --no-open")
	wants("prints nothing.")
	c.WaitPage("Ana")
	keys("Hi, this is Ana. Could you show me the printer's page?")
	c.WaitText("log", "Conversation", "show me the printer")
	write(c, "Sure, one moment.")
	wants("one moment")

	c.Click("button", "Share my screen")
	c.WaitPage("Ana can see")
	var address string
	c.Until("the viewer's address", func() bool {
		address = viewerAddress.FindString(pane())
		return address != ""
	})
	ob, err := browser.Start(browser.Options{Headful: true, Env: []string{ours}, Width: 960, Height: 844,
		Flags: map[string]any{"window-position": "864,8", "enable-automation": false, "test-type": true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ob.Close)
	v := ob.Profile(t).OpenWindow(t, "viewer", address, 956, 700)
	v.Place(864, 8)
	v.WaitPage("Live")
	v.Until("a whole screen", func() bool {
		w, err := browser.TryEval[int](v, "document.querySelector('canvas').width")
		return err == nil && w == 1600
	})
	keys("I see it: the paper size is Letter, and tray 1 holds A4.")
	c.WaitText("log", "Conversation", "tray 1 holds A4")
	write(c, "Oh! Where do I change that?")
	wants("Where do I change")
	time.Sleep(3 * time.Second) // the last frames are on their way; a picture has no event for that
	command(t, theirs, "import", "-window", "root", filepath.Join(pictureDir, "customer-desktop.png"))
	command(t, ours, "import", "-window", "root", filepath.Join(pictureDir, "agent-desktop.png"))
	v.Screenshot(filepath.Join(pictureDir, "viewer.png"))
	c.Screenshot(filepath.Join(pictureDir, "customer-sharing.png"))
	command(t, ours, "convert", filepath.Join(pictureDir, "customer-desktop.png"), "-resize", "1840x", filepath.Join(pictureDir, "agent-desktop.png"),
		"-background", "#8892a0", "-splice", "0x12", "-append", "-chop", "0x12", "-resize", "1400x", filepath.Join(pictureDir, "overview.png"))
	c.Click("button", "Stop sharing")
	c.WaitPage("Stopped. Nothing is shared now.")
	c.Click("button", "Disconnect")
	c.Gone("button", "Disconnect")

	for _, look := range []struct {
		name string
		l    browser.Look
	}{
		{"customer-wide", browser.Look{Width: 1200, Height: 800}},
		{"customer-360", browser.Look{Width: 360, Height: 740, Scale: 2}},
		{"customer-dark", browser.Look{Width: 1200, Height: 800, Dark: true}},
		{"customer-dark-360", browser.Look{Width: 360, Height: 740, Dark: true, Scale: 2}},
		{"customer-chinese", browser.Look{Width: 360, Height: 740, Locale: "zh-CN", Scale: 2}},
	} {
		p := profile.Open(t, look.name, "about:blank")
		p.Show(look.l)
		p.Go(s.url())
		p.Until("the conversation", func() bool { return strings.Contains(p.Body(), "Where do I change that?") })
		time.Sleep(500 * time.Millisecond) // transitions
		p.Screenshot(filepath.Join(pictureDir, look.name+".png"))
		p.Close()
	}
}
