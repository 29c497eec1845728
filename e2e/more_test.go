package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/e2e/browser"
)

// TestTheLineThatTheServerPrints runs the agent's one command as the first start prints it, and what README says of it.
func TestTheLineThatTheServerPrints(t *testing.T) {
	s := newSite(t)
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "make run") || !strings.Contains(string(readme), "bin/lookalong login http://localhost:8080 < data/first-invite && bin/lookalong chat --next") {
		t.Error("README does not show the two commands that the server prints")
	}
	line := regexp.MustCompile(`\S+ login http\S+ < \S+ && \S+ chat --next`).FindString(s.out.String())
	if line == "" {
		t.Fatalf("no line for the agent in:\n%s", s.out)
	}
	_, c := s.customer()
	write(c, "is anybody there?")
	home := t.TempDir() + "/lookalong"
	p := startCommand(t, []string{"LOOKALONG_HOME=" + home}, line, exec.Command("sh", "-c", strings.Replace(line, "chat --next", "chat --next --no-open", 1)))
	p.wants("is anybody there?")
	p.say("I am")
	c.WaitText("log", "Conversation", "I am")
	s.stop()
	s.up()
	if strings.Contains(s.out.String(), "login") {
		t.Errorf("the second start still asks to log in:\n%s", s.out)
	}
}

// TestInsecureContext: on plain HTTP under another name a browser has no keys; the page says so and shows no composer.
func TestInsecureContext(t *testing.T) {
	s := newSite(t, "--url", "http://help.test:PORT", "--no-relay")
	c := chromium.Profile(t).Open(t, "customer", strings.Replace(s.url(), "127.0.0.1", "help.test", 1))
	c.WaitPage("This page is not encrypted")
	if c.Has("textbox", "Message") {
		t.Error("there is a composer")
	}
}

func TestThroughTheRelayOverTCP(t *testing.T) {
	x := newShared(t, "--relay-only", "--turn-url", "turn:ADDR?transport=tcp")
	x.share().WaitPage("Relayed")
}

// hostileTexts would run, write to the terminal or break the layout if any sink forgot to escape.
var hostileTexts = []string{
	`<script>window.hacked=1</script>`, `<img src=x onerror="window.hacked=1">`, `"><svg/onload=window.hacked=1>`, `javascript:window.hacked=1`,
	`</textarea><iframe srcdoc="<script>parent.hacked=1</script>">`, "{{constructor.constructor('window.hacked=1')()}}", `<b onmouseover=window.hacked=1>x</b>`,
	"\u202egnp.exe\u202c", "a\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309\u030a", "zero\u200b\u200b\ufeffwidth",
}

func TestHostileTexts(t *testing.T) {
	s := newSite(t)
	ana := s.newAgent(`<img src=x onerror="window.hacked=1">`)
	_, c := s.customer()
	write(c, "hello")
	chat := ana.start("chat", "--next", "--no-open")
	chat.wants("hello")
	for _, text := range hostileTexts {
		chat.say(text)
		write(c, "echo "+text)
	}
	chat.say("\x1b]52;c;aGFja2Vk\x07\x1b[2J\x9b31mred\x1bP+q544e\x1b\\")
	chat.say("the end")
	c.WaitText("log", "Conversation", "the end")
	c.WaitPage(`<img src=x onerror=`)
	if browser.Eval[bool](c, "window.hacked!==undefined") {
		t.Error("a text ran in the page")
	}
	if n := browser.Eval[int](c, "document.querySelectorAll('iframe,script:not([src]),img[src=x],svg[onload]').length"); n != 0 {
		t.Errorf("%d elements came out of texts", n)
	}
	chat.wants("echo " + `<script>window.hacked=1</script>`)
	printed := chat.out.String() + chat.err.String() + ana.run("history", conversation(t, ana)) + ana.run("queue")
	for _, r := range printed {
		if r < 0x20 && r != '\n' && r != '\r' && r != '\a' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e {
			t.Fatalf("the terminal gets %U:\n%q", r, printed)
		}
	}
}

// TestACustomerWithoutABrowser: the native program shows its numbered pattern, and the viewer decodes it.
func TestACustomerWithoutABrowser(t *testing.T) {
	s := newSite(t)
	ana := s.newAgent("Ana")
	native := start(t, []string{"LOOKALONG_HOME=" + t.TempDir() + "/customer"}, "lookalong-customer", "chat", "--server", s.url(), "--accept", "view,direct")
	native.say("no browser here")
	chat := ana.start("chat", "--next", "--no-open")
	chat.wants("no browser here")
	chat.say("/share")
	v := chat.viewer()
	v.WaitPage("Test pattern")
	seen := map[int]bool{}
	v.Until("ten different numbers of the native pattern", func() bool {
		n, err := browser.TryEval[int](v, `(()=>{const c=document.querySelector('canvas');if(!c||!c.width)return -1;const x=document.createElement('canvas').getContext('2d');x.canvas.width=c.width;x.canvas.height=c.height;x.drawImage(c,0,0);
let n=0;for(let i=0;i<16;i++)n=n*2+(x.getImageData((i+.5)*c.width/16,c.height/16,1,1).data[0]>127?1:0);return n})()`)
		if err == nil && n > 0 {
			seen[n] = true
		}
		return len(seen) >= 10
	})
	chat.say("/direct past the server")
	native.wants("past the server")
	chat.say("/stop")
	native.wants("ended")
}
