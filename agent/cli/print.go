package cli

// Shapes of output: tables for people, JSON for programs, times in words. Foreign text passes term here.

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
)

// jsonFlag adds --json to a command.
func jsonFlag(cmd *cobra.Command, to *bool, what string) {
	cmd.Flags().BoolVar(to, "json", false, what)
}

// printJSON writes one JSON value on one line. Text is whole in it; what a terminal could obey is escaped (JSON alone
// leaves C1 controls and bidi controls raw).
func printJSON(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range string(data) {
		switch {
		case r == ' ' || unicode.IsPrint(r): //guard:T29
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	_, err = fmt.Fprintln(w, b.String())
	return err
}

// jsonItem is a conversation in JSON output. Fields are never renamed within version 1.
type jsonItem struct {
	Conversation protocol.ConversationID `json:"conversation"`
	State        string                  `json:"state"` // waiting, claimed, closed
	Missed       bool                    `json:"missed"`
	Since        time.Time               `json:"since"`    // waiting since, or of the last message
	Presence     string                  `json:"presence"` // of the customer: online, idle, offline
	Page         *protocol.Page          `json:"page"`     // null while not known
	LastSeq      int64                   `json:"lastSeq"`
	LastText     string                  `json:"lastText"` // at most 100 characters
	Unread       int64                   `json:"unread"`
	Agent        string                  `json:"agent"`    // name of who has the claim, "" for nobody
	LapsesAt     *time.Time              `json:"lapsesAt"` // when the claim ends by itself; null: not
}

func toJSON(items []protocol.QueueItem) []jsonItem {
	out := make([]jsonItem, 0, len(items))
	for _, i := range items {
		j := jsonItem{i.Conversation, i.State, i.Missed, i.Since, i.Presence, i.Page, i.LastSeq, i.LastText, i.Unread, "", i.LapsesAt}
		if i.Agent != nil {
			j.Agent = i.Agent.Name
		}
		out = append(out, j)
	}
	return out
}

// jsonMessage is a chat message in JSON output.
type jsonMessage struct {
	Version      int                     `json:"version"`
	Conversation protocol.ConversationID `json:"conversation"`
	Seq          int64                   `json:"seq"`
	From         string                  `json:"from"` // customer, agent, system
	Name         string                  `json:"name"`
	Text         string                  `json:"text"`
	At           time.Time               `json:"at"`
}

func messageJSON(m protocol.ChatMessage) jsonMessage {
	return jsonMessage{1, m.Conversation, m.Seq, m.From, m.Name, m.Text, m.At}
}

// printItems writes a table; headers appear on a terminal only.
func (a *app) printItems(items []protocol.QueueItem, now time.Time) {
	if a.io.OutTTY {
		fmt.Fprintln(a.io.Out, a.dim(row("ID", "STATE", "FOR", "CUSTOMER", "UNREAD", "LAST", a.io.Width)))
	}
	for _, i := range items {
		state := i.State
		switch {
		case i.Missed && i.State == "waiting":
			state = "missed"
		case i.Agent != nil:
			state = i.Agent.Name
		}
		unread := ""
		if i.Unread > 0 {
			unread = fmt.Sprint(i.Unread)
		}
		last := i.LastText
		if i.Page != nil && i.State == "waiting" {
			last = pageOf(i.Page) + " · " + last
		}
		fmt.Fprintln(a.io.Out, row(short(i.Conversation), state, age(now.Sub(i.Since)), i.Presence, unread, last, a.io.Width))
	}
}

// row is one line of the table; the last column takes what is left. Foreign text is cut and cleaned by Pad.
func row(id, state, since, presence, unread, last string, width int) string {
	left := term.Pad(id, 7) + term.Pad(state, 12) + " " + term.Pad(since, 8) + term.Pad(presence, 9) + term.Pad(unread, 7)
	return strings.TrimRight(left+term.Cut(last, max(20, width-term.Columns(left))), " ")
}

// pageOf names the page that a customer has open.
func pageOf(p *protocol.Page) string {
	switch {
	case p == nil:
		return ""
	case p.Title != "":
		return p.Title
	}
	return p.URL
}

// age says a duration as people do: 12s, 4m, 2h 5m, 3d.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// clock is the time of a message: the hour today, the date before.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// messageLine is one message for people: time, who, text; further lines are indented below the text.
func (a *app) messageLine(m protocol.ChatMessage, now time.Time) string {
	who, colour := "Customer", cyan
	switch m.From {
	case "agent":
		who, colour = m.Name, green
		if who == "" {
			who = "Agent"
		}
	case "system":
		who, colour = "*", plain
	}
	return a.said(m.At, now, who, colour, m.Text)
}

// said formats one utterance; who and text may be foreign.
func (a *app) said(at, now time.Time, who, colour, text string) string {
	head := clock(at, now) + " "
	who = term.Cut(who, 24) + ": "
	indent := min(term.Columns(head)+term.Columns(who), 12)
	return a.dim(head) + a.paint(colour, who) + term.Indent(text, indent)
}

// The colours that are used; colour never carries a meaning alone.
const (
	plain = ""
	bold  = "1"
	faint = "2"
	green = "32"
	amber = "33"
	cyan  = "36"
	pink  = "35"
)

// paint wraps a clean text in a colour, where there are colours.
func (a *app) paint(code, s string) string {
	if !a.io.Colour || code == "" || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (a *app) dim(s string) string { return a.paint(faint, s) }

// note writes one line to stderr; whatever is foreign in it is made safe.
func (a *app) note(format string, args ...any) {
	fmt.Fprintln(a.io.Err, term.Line(fmt.Sprintf(format, args...)))
}
