// What the program says: for people, other people's lines on stdout and states on stderr; for scripts, JSON Lines.

package share

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/lookalong/lookalong/internal/term"
)

// Output is one line of --json. Texts are raw there, as JSON escapes them; fields that do not apply are left out.
type Output struct {
	Version      int       `json:"version"` // 1
	Event        string    `json:"event"`   // see the help of chat
	At           time.Time `json:"at"`
	Conversation string    `json:"conversation,omitempty"`
	Session      string    `json:"session,omitempty"`
	State        string    `json:"state,omitempty"`
	Reason       string    `json:"reason,omitempty"`
	Path         string    `json:"path,omitempty"`
	Position     int       `json:"position,omitempty"`
	Seq          int64     `json:"seq,omitempty"`
	ID           string    `json:"id,omitempty"`
	From         string    `json:"from,omitempty"`
	Name         string    `json:"name,omitempty"`
	Text         string    `json:"text,omitempty"`
	Frames       int64     `json:"frames,omitempty"`
	Skipped      int64     `json:"skipped,omitempty"`
}

// printer is owned by the loop.
type printer struct {
	s    term.Streams
	json bool
	now  func() time.Time
	err  error // of the first write to stdout that failed
}

// say tells one event; sentence is for people, "" says nothing to them.
func (p *printer) say(o Output, sentence string) {
	if !p.json {
		if sentence != "" {
			fmt.Fprintln(p.s.Err, term.Line(sentence))
		}
		return
	}
	o.Version = 1
	if o.At.IsZero() {
		o.At = p.now().UTC()
	}
	line, err := json.Marshal(o)
	if err != nil {
		panic("share: an output that is not JSON: " + err.Error()) // plain fields only
	}
	p.write(string(line))
}

// line tells what somebody else wrote: the answer of this program, so it goes to stdout.
func (p *printer) line(o Output, who string) {
	if p.json {
		p.say(o, "")
		return
	}
	p.write(term.Line(who) + ": " + term.Line(o.Text))
}

func (p *printer) write(line string) {
	if _, err := fmt.Fprintln(p.s.Out, line); err != nil && p.err == nil {
		p.err = err
	}
}
