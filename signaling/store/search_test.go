package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func sayText(t testing.TB, s *Store, c Conversation, id, text string) Appended {
	t.Helper()
	m := fromCustomer(c, id)
	m.Text = text
	a, err := say(t, s, m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// search returns hits as "seq:match", a note as "note:match", the newest first.
func search(t testing.TB, s *Store, query string, o SearchOptions) (out []string) {
	t.Helper()
	found, err := s.Search(t.Context(), query, o)
	if err != nil || found.Behind {
		t.Fatalf("%q: behind %v, %v", query, found.Behind, err)
	}
	for _, h := range found.Hits {
		what := fmt.Sprint(h.Seq)
		if h.Note != "" {
			what = "note"
		}
		out = append(out, what+":"+h.Snippet[h.Start:h.End])
	}
	return out
}

func wantHits(t testing.TB, s *Store, query string, want ...string) {
	t.Helper()
	if got := search(t, s, query, SearchOptions{}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q finds %q, want %q", query, got, want)
	}
}

func TestSearch(t *testing.T) {
	s, clock := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	_, c := newConversation(t, s, "k")
	for i, text := range []string{
		"Where is my Refund?", "我要退款。", "款项还没到", "Crème brûlée für zwei", "iPhone退款 bitte", "nothing", "refunded already",
	} {
		sayText(t, s, c, fmt.Sprint("m", i), text) // all in one millisecond: the clock stands
	}
	clock.add(time.Second)
	if _, err := addNote(t, s, Note{Conversation: c.ID, AgentID: ana.ID, AgentName: "Ana", Text: "promised a refund"}); err != nil {
		t.Fatal(err)
	}
	wantHits(t, s, "refund", "note:refund", "1:Refund")
	wantHits(t, s, "Refund*", "note:refund", "7:refunded", "1:Refund")
	wantHits(t, s, "退款", "5:退款", "2:退款")
	wantHits(t, s, "款", "5:款", "3:款", "2:款")
	wantHits(t, s, "要退款", "2:要退款")
	wantHits(t, s, "退款 iphone", "5:iPhone")
	wantHits(t, s, "creme BRULEE", "4:Crème")
	wantHits(t, s, "退 款项")
	wantHits(t, s, "ＩＰＨＯＮＥ", "5:iPhone")
	wantHits(t, s, `"my" refund?`, "1:my")
	wantHits(t, s, "refund NOT where")
	wantHits(t, s, "absent")

	// Pages: the newest first, without a gap or a repeat.
	var got []string
	for before := int64(0); ; {
		found, err := s.Search(t.Context(), "款", SearchOptions{Limit: 1, Before: before})
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Hits) == 0 {
			break
		}
		before = found.Hits[0].ID
		got = append(got, fmt.Sprint(found.Hits[0].Seq))
	}
	if strings.Join(got, " ") != "5 3 2" {
		t.Errorf("pages: %s", got)
	}

	// Only one's own conversations.
	if got := search(t, s, "退款", SearchOptions{Agent: ana.ID}); len(got) != 0 {
		t.Errorf("not held: %q", got)
	}
	if _, err := claim(t, s, c.ID, ana.ID, nil); err != nil {
		t.Fatal(err)
	}
	if got := search(t, s, "退款", SearchOptions{Agent: ana.ID}); len(got) != 2 {
		t.Errorf("held: %q", got)
	}

	// A deleted note is not found any more.
	notes, err := s.Notes(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	must(t, func(d func(struct{}, error)) error { return s.DeleteNote(notes[0].ID, d) })
	wantHits(t, s, "promised")
}

func TestSearchOfLongTexts(t *testing.T) {
	s, _ := fresh(t)
	_, c := newConversation(t, s, "k")
	sayText(t, s, c, "1", strings.Repeat("语", 1000)+" needle "+strings.Repeat("é", 1000))
	sayText(t, s, c, "2", strings.Repeat("x", 16000))
	sayText(t, s, c, "3", "👍!")
	found, err := s.Search(t.Context(), "needle", SearchOptions{})
	if err != nil || len(found.Hits) != 1 {
		t.Fatal(found, err)
	}
	h := found.Hits[0]
	if n := len([]rune(h.Snippet)); n != snippetLen || h.Snippet[h.Start:h.End] != "needle" || h.At.IsZero() || h.Conversation != c.ID {
		t.Errorf("%d characters, %+v", n, h)
	}
	if text := fmt.Sprint(h.LogValue()); strings.Contains(text, "needle") {
		t.Errorf("the log gets %s", text)
	}
	wantHits(t, s, strings.Repeat("x", 100), "2:"+strings.Repeat("x", 16000))
}

// TestIndexFollows: many conversations, more messages than one search catches up
// with; nothing is lost or found twice, whoever indexes.
func TestIndexFollows(t *testing.T) {
	s, clock := fresh(t)
	const conversations, each = 20, catchUp/20 + 30
	for i := range conversations {
		_, c := newConversation(t, s, fmt.Sprint("k", i))
		for j := range each {
			if i%2 == 0 {
				clock.add(time.Millisecond)
			}
			if err := s.Append(Append{c.ID, fmt.Sprint(j), KindCustomer, c.CustomerID, "V", fmt.Sprintf("common word%d", j)}, func(Appended, error) {}); err != nil {
				must(t, func(d func(struct{}, error)) error { return s.SetSetting("wait", "", d) })
			}
		}
	}
	must(t, func(d func(struct{}, error)) error { return s.SetSetting("all before are stored", "", d) })
	found, err := s.Search(t.Context(), "common", SearchOptions{})
	if err != nil || !found.Behind || len(found.Hits) == 0 {
		t.Fatalf("%d hits, behind %v, %v", len(found.Hits), found.Behind, err)
	}
	if err := s.indexIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	total, err := first(s.reader(t.Context()), scanOne[int64], "count", "SELECT count(*) FROM messages")
	if err != nil {
		t.Fatal(err)
	}
	var n, last int64
	for before := int64(0); ; {
		found, err := s.Search(t.Context(), "common", SearchOptions{Before: before})
		if err != nil || found.Behind {
			t.Fatal(found.Behind, err)
		}
		if len(found.Hits) == 0 {
			break
		}
		for _, h := range found.Hits {
			if last != 0 && h.At.UnixMilli() > last {
				t.Fatal("not the newest first")
			}
			last, before = h.At.UnixMilli(), h.ID
			n++
		}
	}
	if n != total {
		t.Fatalf("%d hits of %d messages", n, total)
	}
	// The newest messages are erased: their places are used again, and found again.
	all, err := s.Recent(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Erase(t.Context(), all[0].ID, Actor{Kind: KindSystem}); err != nil {
		t.Fatal(err)
	}
	_, c := newConversation(t, s, "later")
	sayText(t, s, c, "1", "a fresh word")
	wantHits(t, s, "fresh", "1:fresh")
}

// FuzzSearch: no query is an error of SQL.
func FuzzSearch(f *testing.F) {
	s, _ := fresh(f)
	_, c := newConversation(f, s, "k")
	sayText(f, s, c, "1", "我要退款 refund")
	for _, q := range []string{`"`, `""`, "refund", "退款", "a* b*", "NEAR(a b)", "tokens:x", "a AND", "^x", "-x", "(", "x OR", "'; DROP TABLE search", "\x00", "a\u0301", "\u0345", "\U0001e900", "a\u20dd", strings.Repeat("x", 10_000), "{a b}:c", "𠀀"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		found, err := s.Search(t.Context(), query, SearchOptions{})
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatalf("%q: %v", query, err)
		}
		for _, h := range found.Hits {
			if h.Start >= h.End || h.End > len(h.Snippet) {
				t.Fatalf("%q: hit at %d to %d of %q", query, h.Start, h.End, h.Snippet)
			}
		}
	})
}
