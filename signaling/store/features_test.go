package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func addNote(t testing.TB, s *Store, n Note) (Note, error) {
	t.Helper()
	return do(t, func(d func(Note, error)) error { return s.AddNote(n, d) })
}

func TestNotes(t *testing.T) {
	s, clock := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	_, c := newConversation(t, s, "k")
	n, err := addNote(t, s, Note{Conversation: c.ID, AgentID: ana.ID, AgentName: "Ana", Text: "is angry"})
	if err != nil || n.ID == "" || n.At != s.now() {
		t.Fatalf("%+v %v", n, err)
	}
	clock.add(1e9)
	again, err := addNote(t, s, n)
	if err != nil || again != n {
		t.Errorf("the same again: %+v %v", again, err)
	}
	other := n
	other.Text = "is calm"
	_, err = addNote(t, s, other)
	wantErr(t, err, ErrIDReused)
	for _, bad := range []string{"", "\xff", strings.Repeat("語", MaxNote+1), strings.Repeat("x", 10*MaxNote)} {
		_, err = addNote(t, s, Note{Conversation: c.ID, AgentID: ana.ID, Text: bad})
		wantErr(t, err, ErrInvalid)
	}
	_, err = addNote(t, s, Note{Conversation: c.ID, Text: "nobody's"})
	wantErr(t, err, ErrInvalid)
	_, err = addNote(t, s, Note{Conversation: "none", AgentID: ana.ID, Text: "x"})
	wantErr(t, err, ErrNotFound)
	closeIt(t, s, c.ID)
	if _, err := addNote(t, s, Note{Conversation: c.ID, AgentID: ana.ID, Text: strings.Repeat("語", MaxNote)}); err != nil {
		t.Errorf("the longest, on a closed conversation: %v", err)
	}
	list, err := s.Notes(t.Context(), c.ID)
	if err != nil || len(list) != 2 || list[0] != n {
		t.Errorf("%v %v", list, err)
	}
	if text := fmt.Sprint(n.LogValue()); strings.Contains(text, "angry") || strings.Contains(text, "Ana") {
		t.Errorf("the log gets %s", text)
	}
	for i := 2; i < MaxNotes; i++ {
		if _, err := addNote(t, s, Note{Conversation: c.ID, AgentID: ana.ID, Text: "x"}); err != nil {
			t.Fatal(i, err)
		}
	}
	_, err = addNote(t, s, Note{Conversation: c.ID, AgentID: ana.ID, Text: "x"})
	wantErr(t, err, ErrConflict)
	must(t, func(d func(struct{}, error)) error { return s.DeleteNote(n.ID, d) })
	_, err = do(t, func(d func(struct{}, error)) error { return s.DeleteNote(n.ID, d) })
	wantErr(t, err, ErrNotFound)
}

func TestTags(t *testing.T) {
	s, _ := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	_, c := newConversation(t, s, "k")
	_, c2 := newConversation(t, s, "k2")
	tag := func(conv, tag string) (string, error) {
		return do(t, func(d func(string, error)) error { return s.Tag(conv, tag, ana.ID, d) })
	}
	for _, in := range []string{"Refund", " refund ", "REFUND"} {
		if got, err := tag(c.ID, in); got != "refund" || err != nil {
			t.Errorf("%q is %q, %v", in, got, err)
		}
	}
	if got, err := tag(c2.ID, "退款_x-1"); got != "退款_x-1" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "  ", "two words", "a,b", "\xff", "x\x00", strings.Repeat("x", MaxTag+1), strings.Repeat("x", 10*MaxTag)} {
		_, err := tag(c.ID, bad)
		wantErr(t, err, ErrInvalid)
	}
	_, err := tag("none", "x")
	wantErr(t, err, ErrNotFound)
	for i := 1; i < MaxTags; i++ {
		if _, err := tag(c.ID, fmt.Sprint("t", i)); err != nil {
			t.Fatal(err)
		}
	}
	_, err = tag(c.ID, "more")
	wantErr(t, err, ErrConflict)
	if _, err := tag(c.ID, "refund"); err != nil {
		t.Errorf("one that is there, at the limit: %v", err)
	}
	found, err := s.Tagged(t.Context(), "Refund", 10)
	if err != nil || len(found) != 1 || found[0].ID != c.ID {
		t.Errorf("%v %v", found, err)
	}
	untag := func(name string) error {
		_, err := do(t, func(d func(struct{}, error)) error { return s.Untag(c.ID, name, d) })
		return err
	}
	if err := untag("Refund"); err != nil {
		t.Error(err)
	}
	wantErr(t, untag("refund"), ErrNotFound)
	tags, err := s.Tags(t.Context(), c2.ID)
	if err != nil || !slices.Equal(tags, []string{"退款_x-1"}) {
		t.Errorf("%q %v", tags, err)
	}
}

func TestCannedReplies(t *testing.T) {
	s, _ := fresh(t)
	set := func(short, text string) (Canned, error) {
		return do(t, func(d func(Canned, error)) error { return s.SetCanned(Canned{Short: short, Text: text, By: "ana"}, d) })
	}
	if c, err := set(";Hello", "Good morning!"); err != nil || c.Short != "hello" || c.At.IsZero() {
		t.Fatalf("%+v %v", c, err)
	}
	if _, err := set("hello", "Good evening!\nHow can I help?"); err != nil {
		t.Fatal(err)
	}
	if _, err := set("退款", "请稍等"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", ";", "a b", "a;b", "a\tb", "\x1b", strings.Repeat("x", MaxShort+1), strings.Repeat("x", 10*MaxShort)} {
		_, err := set(bad, "x")
		wantErr(t, err, ErrInvalid)
	}
	for _, bad := range []string{"", strings.Repeat("x", MaxCanned+1), strings.Repeat("x", 10*MaxCanned)} {
		_, err := set("x", bad)
		wantErr(t, err, ErrInvalid)
	}
	all, err := s.CannedReplies(t.Context())
	if err != nil || len(all) != 2 || all[0].Short != "hello" || !strings.HasPrefix(all[0].Text, "Good evening") {
		t.Errorf("%v %v", all, err)
	}
	for i := 2; i < MaxReplies; i++ {
		if _, err := set(fmt.Sprint("r", i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	_, err = set("more", "x")
	wantErr(t, err, ErrConflict)
	if _, err := set("hello", "still"); err != nil {
		t.Errorf("one that is there, at the limit: %v", err)
	}
	must(t, func(d func(struct{}, error)) error { return s.DeleteCanned(";hello", d) })
	_, err = do(t, func(d func(struct{}, error)) error { return s.DeleteCanned("hello", d) })
	wantErr(t, err, ErrNotFound)
}
