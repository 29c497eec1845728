package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/e2e/browser"
)

func TestChatBothWaysWithDeliveryStates(t *testing.T) {
	s := newSite(t)
	ana := s.newAgent("Ana")
	_, c := s.customer()
	c.WaitPage("Nobody is here right now")
	write(c, "Hello, my printer says E-42 🖨️")
	c.WaitText("log", "Conversation", "Sent")
	if queue := ana.run("queue"); !strings.Contains(queue, "E-42") {
		t.Errorf("the queue does not show the message:\n%s", queue)
	}
	chat := ana.start("chat", "--next", "--no-open")
	chat.wants("my printer says E-42 🖨️")
	c.WaitPage("Ana")
	c.WaitText("log", "Conversation", "Read")
	chat.say("你好！Which model is it?")
	c.WaitText("log", "Conversation", "你好！Which model is it?")
	c.Type("textbox", "Message", "The model is ")
	c.Type("textbox", "Message", "X-1000 <b>&amp;</b>")
	c.Click("button", "Send")
	chat.wants("The model is X-1000 <b>&amp;</b>")
	c.WaitText("log", "Conversation", "The model is X-1000 <b>&amp;</b>")
	if got := browser.Eval[string](c, "document.querySelector('textarea').value"); got != "" {
		t.Errorf("after sending the composer holds %q", got)
	}
	if n := strings.Count(c.Text("log", "Conversation"), "X-1000"); n != 1 {
		t.Errorf("the message is shown %d times", n)
	}
	chat.say("/quit")
	if code := chat.wait(); code != 0 {
		t.Errorf("chat ended with %d", code)
	}
	c.WaitPage("offline")
}

func TestReloadKeepsEverything(t *testing.T) {
	s := newSite(t)
	ana := s.newAgent("Ana")
	profile, c := s.customer()
	write(c, "first")
	chat := ana.start("chat", "--next", "--no-open")
	chat.wants("first")
	chat.say("second")
	c.WaitText("log", "Conversation", "second")
	draft := ""
	for _, part := range []string{"a draft", " that", " is", " not", " sent"} { // each kept, however soon the reload comes
		c.Type("textbox", "Message", part)
		c.Reload()
		c.WaitText("log", "Conversation", "second")
		draft += part
		c.WaitText("textbox", "Message", draft)
	}
	c.WaitPage("Ana")
	c.Go("about:blank")
	chat.say("while you were away")
	chat.until("the message to be stored", func() bool {
		return strings.Contains(ana.run("history", "--json", conversation(t, ana)), "while you were away")
	})
	c = profile.Open(t, "customer again", s.url())
	c.WaitText("log", "Conversation", "while you were away")
	log := c.Text("log", "Conversation")
	for _, text := range []string{"first", "second", "while you were away"} {
		if n := strings.Count(log, text); n != 1 {
			t.Errorf("%q is shown %d times:\n%s", text, n, log)
		}
	}
	if !(strings.Index(log, "first") < strings.Index(log, "second") && strings.Index(log, "second") < strings.Index(log, "while you")) {
		t.Errorf("out of order:\n%s", log)
	}
}

var idPattern = regexp.MustCompile(`"conversation":"([a-z0-9]+)"`)

// conversation is the id of the agent's only conversation, or of the only one in the queue.
func conversation(t testing.TB, a *agent) string {
	t.Helper()
	for _, args := range [][]string{{"history", "--json"}, {"queue", "--json"}} {
		if m := idPattern.FindStringSubmatch(strings.ReplaceAll(a.run(args...), " ", "")); m != nil {
			return m[1]
		}
	}
	t.Fatal("no conversation found")
	return ""
}

func TestTwoAgentsRaceForOneClaim(t *testing.T) {
	s := newSite(t)
	ana, bo := s.newAgent("Ana"), s.newAgent("Bo")
	_, c := s.customer()
	write(c, "help")
	c.WaitText("log", "Conversation", "Sent")
	id := conversation(t, ana)
	one, two := ana.start("claim", id), bo.start("claim", id)
	codes := map[int]*program{one.wait(): one, two.wait(): two}
	winner, loser := codes[0], codes[3]
	if winner == nil || loser == nil {
		t.Fatalf("exit codes %d and %d, want 0 and 3\n%s%s", one.code, two.code, one.err, two.err)
	}
	name := map[*program]string{one: "Ana", two: "Bo"}[winner]
	if !strings.Contains(loser.err.String(), name) {
		t.Errorf("the loser is not told who won: %s", loser.err)
	}
	c.WaitPage(name)
}

func TestServerKilledInMidChat(t *testing.T) {
	s := newSite(t)
	ana := s.newAgent("Ana")
	_, c := s.customer()
	write(c, "message 0")
	chat := ana.start("chat", "--next", "--no-open")
	chat.wants("message 0")
	chat.say("answer 0")
	c.WaitText("log", "Conversation", "answer 0")
	for round := 1; round <= 3; round++ {
		s.kill()
		c.WaitText("status", "Connection", "Reconnecting")
		write(c, fmt.Sprintf("message %d", round))
		chat.say(fmt.Sprintf("answer %d", round))
		s.up()
		chat.wants(fmt.Sprintf("message %d", round))
		c.WaitText("log", "Conversation", fmt.Sprintf("answer %d", round))
	}
	c.WaitText("status", "Connection", "Connected")
	want := []string{}
	for i := range 4 {
		want = append(want, fmt.Sprintf("message %d", i), fmt.Sprintf("answer %d", i))
	}
	history := ana.run("history", conversation(t, ana))
	log := c.Text("log", "Conversation")
	for _, text := range want {
		for where, shown := range map[string]string{"page": log, "terminal": chat.out.String(), "history": history} {
			if n := strings.Count(shown, text); n != 1 {
				t.Errorf("%s: %q is shown %d times:\n%s", where, text, n, shown)
			}
		}
	}
}

func TestDirectMessagesNeverReachTheServer(t *testing.T) {
	s := newSite(t)
	ana := s.newAgent("Ana")
	_, c := s.customer()
	write(c, "CANARY-STORED")
	chat := ana.start("chat", "--next", "--no-open")
	chat.wants("CANARY-STORED")
	chat.say("/direct CANARY-FROM-AGENT")
	c.Click("button", "Allow")
	c.WaitText("log", "Conversation", "CANARY-FROM-AGENT")
	chat.wants("(direct)")
	c.Click("switch", "Direct message")
	write(c, "CANARY-FROM-CUSTOMER")
	chat.wants("CANARY-FROM-CUSTOMER")
	c.WaitText("log", "Conversation", "Direct")
	// The same through the one-shot command, while the chat holds the session: refused or sent, never stored.
	s.stop()
	for _, text := range []string{"CANARY-FROM-AGENT", "CANARY-FROM-CUSTOMER"} {
		if n := holds(t, s.dir, text); n != 0 {
			t.Errorf("%s is in the server's files %d times", text, n)
		}
		if strings.Contains(s.err.String()+s.out.String(), text) {
			t.Errorf("%s is in the server's log", text)
		}
	}
	if holds(t, s.dir, "CANARY-STORED") == 0 {
		t.Error("the stored message is not in the server's files: the search looks at the wrong place")
	}
}

func TestSendDirectFromACommand(t *testing.T) {
	s := newSite(t)
	ana := s.newAgent("Ana")
	_, c := s.customer()
	write(c, "hello")
	c.WaitText("log", "Conversation", "Sent")
	ana.run("claim", "--next")
	send := ana.start("send", "--direct", conversation(t, ana), "The code is 1234")
	c.Click("button", "Allow")
	c.WaitText("log", "Conversation", "The code is 1234")
	if code := send.wait(); code != 0 {
		t.Errorf("send --direct ended with %d: %s", code, send.err)
	}
	again := ana.start("send", "--direct", conversation(t, ana), "another")
	c.Click("button", "Don't allow")
	if code := again.wait(); code != 5 {
		t.Errorf("refused: exit code %d, want 5: %s", code, again.err)
	}
}

// TestTypingDrawsNoMessageAgain: each key changes the page's model, and a long conversation must not be drawn anew for it.
// What a row needs each time that it is drawn is the text of its time.
func TestTypingDrawsNoMessageAgain(t *testing.T) {
	s := newSite(t)
	_, c := s.customer()
	for i := range 5 {
		write(c, fmt.Sprint("message ", i))
	}
	c.WaitText("log", "Conversation", "Sent")
	browser.Eval[bool](c, `(()=>{window.drawn=0;const old=Date.prototype.toLocaleTimeString;
Date.prototype.toLocaleTimeString=function(...a){window.drawn++;return old.apply(this,a)};return true})()`)
	c.Type("textbox", "Message", "a longer text of many keys")
	if n := browser.Eval[int](c, "window.drawn"); n != 0 {
		t.Errorf("typing drew %d messages again", n)
	}
	c.Press("Enter")
	c.Until("the new one to be drawn, and that alone", func() bool {
		n := browser.Eval[int](c, "window.drawn")
		return n > 0 && n < 5
	})
}
