// What the customer types: lines for the chat, and commands that start with a slash.

package share

import (
	"strings"
	"time"

	"github.com/lookalong/lookalong/internal/consent"
	"github.com/lookalong/lookalong/protocol"
)

// onLine takes a line of the input: a command, or a text for the chat.
func (a *app) onLine(line string) {
	line = strings.TrimRight(line, "\r")
	if line == "" {
		return
	}
	if rest, ok := strings.CutPrefix(line, "/"); ok && !strings.HasPrefix(rest, "/") {
		word, text, _ := strings.Cut(rest, " ")
		a.command(word, text)
		return
	}
	if strings.HasPrefix(line, "//") {
		line = line[1:]
	}
	if a.conv.Conversation == "" {
		a.lines = append(a.lines, line)
		return
	}
	a.post(line)
}

// command takes a line that starts with a slash.
func (a *app) command(word, text string) {
	problem := ""
	switch word {
	case "share":
		problem = a.share()
	case "stop":
		a.wanted = false
		a.step(consent.EvStop)
	case "allow":
		if a.sess.asked() && !a.sess.Picture {
			a.accept()
		} else {
			a.step(consent.EvAllow)
			a.step(consent.EvExtend)
			a.step(consent.EvRecordAllow)
		}
	case "deny":
		a.wanted = false
		if a.sess.asked() && !a.sess.Picture {
			a.decline()
		} else {
			a.step(consent.EvDeny)
			a.step(consent.EvRecordDeny)
		}
	case "norecord":
		a.step(consent.EvRecordStop)
	case "hangup":
		a.wanted = false
		if a.sess != nil {
			a.endSession("stopped")
		}
	case "direct":
		problem = a.direct(text)
	case "quit":
		a.quit = errDone
	default:
		problem = "There is no command /" + word + ". There are /share /stop /allow /deny /norecord /direct TEXT /hangup /quit; start a text that begins with a slash with two."
	}
	if problem != "" {
		a.out.say(Output{Event: "error", Text: problem}, problem)
	}
}

// share is the customer's own wish to be seen: now, as the yes to an open question, or as soon as an agent is there.
func (a *app) share() (problem string) {
	switch a.consent.State {
	case consent.Asked:
		a.step(consent.EvClick)
		return ""
	case consent.Picking, consent.On:
		return "The picture is shared already. /stop ends it."
	}
	a.wanted = true
	a.shareIfWanted()
	if a.wanted {
		return "An agent joins first; then the picture is shared."
	}
	return ""
}

func (a *app) direct(text string) (problem string) {
	text = strings.TrimSpace(text)
	if err := protocol.CheckText(text); err != nil {
		return "The message is empty or too long."
	}
	if a.sess == nil || a.sess.Peer == nil {
		return "There is no direct connection to the agent."
	}
	id := newID()
	if err := a.sess.Peer.SendDirect(protocol.DirectMessage{ID: id, Text: text, At: time.Now().UTC()}); err != nil {
		return "The direct message was not sent: " + strings.TrimPrefix(err.Error(), "peer: ") + "."
	}
	a.out.say(Output{Event: "direct_sent", Session: string(a.sess.ID), ID: string(id), Text: text}, "")
	return ""
}
