package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

// Reader is what the check needs of an open store.
type Reader interface {
	Conversation(ctx context.Context, id string) (store.Conversation, error)
	Messages(ctx context.Context, conversation string, r store.Range) ([]store.Message, error)
}

// Report is what a check found.
type Report struct {
	Conversations, Stored         int
	Sent, Acked, Refused, Pending int
	Shown                         int      // over all players
	Wrong                         []string // empty: every promise was kept
}

// String is one line, and one for each breach.
func (r Report) String() string {
	s := fmt.Sprintf("%d conversations, %d stored; %d sent: %d acknowledged, %d refused, %d pending; %d shown; %d breaches",
		r.Conversations, r.Stored, r.Sent, r.Acked, r.Refused, r.Pending, r.Shown, len(r.Wrong))
	for i, w := range r.Wrong {
		if i == 20 {
			return s + "\n  …"
		}
		s += "\n  " + w
	}
	return s
}

func (r *Report) breach(format string, args ...any) {
	r.Wrong = append(r.Wrong, fmt.Sprintf(format, args...))
}

// Record is what everybody has sent and seen up to a moment.
type Record struct {
	players []played
	// Final says that the play was settled and is over: nothing may be pending, everybody has seen everything, and
	// nothing else was written.
	Final bool
}

type played struct {
	name  string
	sent  []Sent
	logs  map[protocol.ConversationID][]Shown
	wrong []string
}

// Record takes what is known at this moment, while the play goes on. What it holds as acknowledged or shown must be in
// every later state of the store.
func (w *Workload) Record() Record {
	var r Record
	for _, p := range w.players {
		p.mu.Lock()
		one := played{name: p.name, logs: map[protocol.ConversationID][]Shown{}, wrong: slices.Clone(p.wrong)}
		for _, s := range p.sent {
			one.sent = append(one.sent, *s)
		}
		for conv, f := range p.logs {
			one.logs[conv] = slices.Clone(f.shown)
		}
		p.mu.Unlock()
		r.players = append(r.players, one)
	}
	return r
}

// Acks are the acknowledged messages of a record.
func (r Record) Acks() (out []Sent) {
	for _, p := range r.players {
		for _, s := range p.sent {
			if s.Seq != 0 {
				out = append(out, s)
			}
		}
	}
	return out
}

// Saw is how often anybody was shown this text.
func (r Record) Saw(text string) (n int) {
	for _, p := range r.players {
		for _, shown := range p.logs {
			for _, m := range shown {
				if m.Text == text {
					n++
				}
			}
		}
	}
	return n
}

// Check compares a play that was settled and ended with the store.
func (w *Workload) Check(ctx context.Context, s Reader) (Report, error) {
	r := w.Record()
	r.Final = true
	return r.Check(ctx, s)
}

// stored is one row as found.
type stored struct {
	conv protocol.ConversationID
	seq  int64
	text string
}

// Check compares every player's outbox and log with the store.
func (r Record) Check(ctx context.Context, s Reader) (Report, error) {
	var out Report
	rows := map[protocol.ConversationID][]store.Message{}
	byID := map[protocol.RequestID][]stored{}
	for _, p := range r.players {
		for conv := range p.logs {
			if _, read := rows[conv]; read {
				continue
			}
			list, err := out.read(ctx, s, conv)
			if err != nil {
				return out, err
			}
			rows[conv] = list
			for _, m := range list {
				if m.SenderKind != store.KindSystem {
					id := protocol.RequestID(m.ID)
					byID[id] = append(byID[id], stored{conv, m.Seq, m.Text})
				}
			}
		}
	}
	out.Conversations = len(rows)
	posted := map[protocol.RequestID]bool{}
	for _, p := range r.players {
		for _, m := range p.sent {
			posted[m.ID] = true
			out.outbox(p.name, m, byID[m.ID], r.Final)
		}
		for conv, shown := range p.logs {
			out.log(p.name, shown, rows[conv], r.Final)
		}
		out.Wrong = append(out.Wrong, p.wrong...)
	}
	for id, found := range byID {
		if !posted[id] && r.Final {
			out.breach("message %d of %s was written by nobody", found[0].seq, found[0].conv)
		}
	}
	return out, nil
}

// read takes a conversation from the store and checks that its numbers are dense.
func (r *Report) read(ctx context.Context, s Reader, conv protocol.ConversationID) ([]store.Message, error) {
	c, err := s.Conversation(ctx, string(conv))
	if errors.Is(err, store.ErrNotFound) {
		r.breach("conversation %s is lost", conv)
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var all []store.Message
	for {
		list, err := s.Messages(ctx, string(conv), store.Range{After: int64(len(all))})
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			break
		}
		for _, m := range list {
			all = append(all, m)
			if m.Seq != int64(len(all)) {
				r.breach("%s: message %d is where %d belongs", conv, m.Seq, len(all))
				return all, nil
			}
		}
	}
	if c.LastSeq != int64(len(all)) {
		r.breach("%s has %d messages and says that the last is %d", conv, len(all), c.LastSeq)
	}
	r.Stored += len(all)
	return all, nil
}

// outbox checks what became of one message.
func (r *Report) outbox(who string, m Sent, found []stored, complete bool) {
	r.Sent++
	if len(found) > 1 {
		r.breach("%s: %q is stored %d times", who, m.Text, len(found))
	}
	if len(found) > 0 && (found[0].text != m.Text || found[0].conv != m.Conversation) {
		r.breach("%s: %q is stored as %q in %s", who, m.Text, found[0].text, found[0].conv)
	}
	switch {
	case m.Seq != 0:
		r.Acked++
		if len(found) == 0 {
			r.breach("%s: %q was acknowledged as %d and is lost", who, m.Text, m.Seq)
		} else if found[0].seq != m.Seq {
			r.breach("%s: %q was acknowledged as %d and is stored as %d", who, m.Text, m.Seq, found[0].seq)
		}
	case m.Refused != nil:
		r.Refused++
		if len(found) > 0 {
			r.breach("%s: %q was refused (%v) and is stored as %d", who, m.Text, m.Refused, found[0].seq)
		}
	default:
		r.Pending++
		if complete {
			r.breach("%s: %q is still pending", who, m.Text)
		}
	}
}

// log checks what one player's user has seen of one conversation.
func (r *Report) log(who string, shown []Shown, rows []store.Message, complete bool) {
	r.Shown += len(shown)
	ids := map[protocol.RequestID]bool{}
	for i, m := range shown {
		switch {
		case ids[m.ID]:
			r.breach("%s was shown %q twice", who, m.Text)
		case m.Seq != int64(i+1):
			r.breach("%s was shown message %d after %d", who, m.Seq, i)
		case i >= len(rows):
			r.breach("%s was shown message %d, which is lost", who, m.Seq)
		case rows[i].ID != string(m.ID) || rows[i].Text != m.Text:
			r.breach("%s was shown %q as message %d, stored is %q", who, m.Text, m.Seq, strings.TrimSpace(rows[i].Text))
		}
		ids[m.ID] = true
	}
	if complete && len(shown) < len(rows) {
		r.breach("%s was shown %d of %d messages", who, len(shown), len(rows))
	}
}
