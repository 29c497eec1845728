// How much one transaction of an erasure does.

package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkEraseSlice gives how long one transaction of an erasure holds the writer,
// at worst and in the middle, beside an index of 20,000 messages, commit not included.
func BenchmarkEraseSlice(b *testing.B) {
	for _, c := range []struct {
		name  string
		words int // of a message, some 8 bytes each
	}{{"short texts", 25}, {"longest texts", 1500}} {
		b.Run(c.name, func(b *testing.B) {
			s, _ := run(b, Options{Dir: private(b)})
			r := rand.New(rand.NewPCG(1, 2))
			text := func(n int) string {
				var t strings.Builder
				for range n {
					fmt.Fprintf(&t, "%x ", r.Uint32N(1<<26))
				}
				return t.String()
			}
			_, other := newConversation(b, s, "other")
			_, victim := newConversation(b, s, "victim")
			for i := range 20_000 {
				conv, n := other, 25
				if i%20 == 0 {
					conv, n = victim, c.words
				}
				if err := s.Append(Append{conv.ID, fmt.Sprint(i), KindSystem, "", "", text(n)}, func(Appended, error) {}); err != nil {
					b.Fatal(err)
				}
				if i%(QueueLen/2) == 0 {
					must(b, func(d func(struct{}, error)) error { return s.SetSetting("wait", "", d) })
				}
			}
			must(b, func(d func(struct{}, error)) error { return s.SetSetting("wait", "", d) })
			if behind, err := s.indexUpTo(b.Context(), 30_000); err != nil || behind {
				b.Fatal(behind, err)
			}
			var took []time.Duration
			var messages []int64
			for b.Loop() {
				step, err := patiently(b.Context(), s, func(t *tx) (erasedSlice, error) { return t.eraseSlice(victim.ID, Actor{Kind: KindSystem}, s.now()) })
				if err != nil {
					b.Fatal(err)
				}
				if step.messages > 0 {
					took, messages = append(took, step.took), append(messages, step.messages)
				}
			}
			worst := time.Duration(0)
			for _, t := range took {
				worst = max(worst, t)
			}
			b.ReportMetric(float64(worst.Microseconds())/1e3, "worst-ms")
			b.ReportMetric(float64(median(took).Microseconds())/1e3, "p50-ms")
			b.ReportMetric(float64(messages[0]), "messages")
		})
	}
}

// TestEraseSlices: a transaction deletes no more than it may, but always one text.
func TestEraseSlices(t *testing.T) {
	s, _ := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	words := func(n int) string { return strings.TrimSpace(strings.Repeat("word ", n)) }
	repeat := func(n, each int) (texts []int) {
		for range n {
			texts = append(texts, each)
		}
		return texts
	}
	for name, c := range map[string]struct {
		texts    []int // words of each
		notes    bool
		sessions int
		want     []int64 // texts that each transaction deletes
	}{
		"at the limit":        {texts: []int{sliceTokens - 1, 1, 1}, want: []int64{2, 1}},
		"one above":           {texts: []int{sliceTokens - 1, 2, 1}, want: []int64{1, 2}},
		"one text above":      {texts: []int{1, sliceTokens + 1, 1}, want: []int64{1, 1, 1}},
		"one text, ten times": {texts: []int{10 * sliceTokens, 1}, want: []int64{1, 1}},
		"rows at the limit":   {texts: repeat(sliceRows, 1), want: []int64{sliceRows, 0}},
		"rows, one above":     {texts: repeat(sliceRows+1, 1), want: []int64{sliceRows, 1}},
		"no words":            {texts: repeat(sliceRows+1, 0), want: []int64{sliceRows, 1}},
		"notes":               {texts: []int{sliceTokens, 1, sliceTokens}, notes: true, want: []int64{1, 1, 1, 0}},
		"sessions":            {sessions: 2*sliceRows + 1, want: []int64{0, 0, 0}},
	} {
		_, v := newConversation(t, s, name)
		if _, err := claim(t, s, v.ID, ana.ID, nil); err != nil {
			t.Fatal(err)
		}
		for i, n := range c.texts {
			if !c.notes {
				sayText(t, s, v, fmt.Sprint(i), "!"+words(n))
			} else if _, err := addNote(t, s, Note{Conversation: v.ID, AgentID: ana.ID, Text: words(n)}); err != nil {
				t.Fatal(err)
			}
		}
		for range c.sessions {
			x := must(t, func(d func(Session, error)) error {
				return s.CreateSession(Session{Conversation: v.ID, AgentID: ana.ID, RequestedBy: KindAgent}, d)
			})
			must(t, func(d func(Session, error)) error {
				return s.UpdateSession(x.ID, SessionUpdate{From: []SessionState{Requested}, To: Ended}, d)
			})
		}
		if _, err := s.indexUpTo(t.Context(), catchUp); err != nil {
			t.Fatal(err)
		}
		texts := func() int64 {
			t.Helper()
			n, err := first(s.reader(t.Context()), scanOne[int64], "n", `SELECT (SELECT count(*) FROM messages
				WHERE conversation_num = (SELECT num FROM conversations WHERE id = ?)) + (SELECT count(*) FROM notes WHERE conversation = ?)`, v.ID, v.ID)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if _, err := patiently(t.Context(), s, func(t *tx) (struct{}, error) { return struct{}{}, t.beginErasure(v.ID, true, s.now()) }); err != nil {
			t.Fatal(err)
		}
		var got []int64
		for before, last := texts(), false; !last; {
			step, err := patiently(t.Context(), s, func(t *tx) (erasedSlice, error) { return t.eraseSlice(v.ID, Actor{Kind: KindSystem}, s.now()) })
			if err != nil {
				t.Fatal(err)
			}
			now := texts()
			got, before, last = append(got, before-now), now, step.last
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
