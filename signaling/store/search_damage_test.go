// A search over damaged messages, and over what another tokeniser has indexed.

package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
)

// damageMessages makes pages of messages unreadable, in a store that is closed: of
// its leaves those that which chooses, of n. It returns how many.
func damageMessages(t *testing.T, path string, which func(i, n int) bool) (damaged int) {
	t.Helper()
	owners := pageOwners(t, path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := int(binary.BigEndian.Uint16(data[16:]))
	var leaves []int
	for page := range len(data) / size {
		if owners[int64(page+1)] == "messages" && data[page*size] == 13 {
			leaves = append(leaves, page)
		}
	}
	for i, page := range leaves {
		if which(i, len(leaves)) {
			damaged++
			clear(data[page*size : page*size+8])
		}
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return damaged
}

// TestSearchPassesOverDamage: a damaged page and a wrong checksum, before or after
// the messages were indexed, cost their own messages alone.
func TestSearchPassesOverDamage(t *testing.T) {
	const messages = 3 * indexChunk
	for _, indexed := range []bool{false, true} {
		t.Run(fmt.Sprint("indexed ", indexed), func(t *testing.T) {
			dir := private(t)
			s, stop := run(t, Options{Dir: dir})
			_, c := newConversation(t, s, "k")
			for i := range messages {
				sayText(t, s, c, fmt.Sprint(i), fmt.Sprintf("common word%d %s", i, strings.Repeat("x", 200)))
			}
			if indexed {
				wantHits(t, s, "word7", "8:word7")
			}
			if _, err := patiently(t.Context(), s, func(t *tx) (int64, error) {
				return t.exec("UPDATE messages SET text = 'common forged' WHERE seq = 3")
			}); err != nil {
				t.Fatal(err)
			}
			stop()
			pages := damageMessages(t, s.path, func(i, n int) bool { return i == n/2 })
			s, _ = run(t, Options{Dir: dir})
			var got int
			for before := int64(0); ; {
				found, err := s.Search(t.Context(), "common", SearchOptions{Before: before, Limit: 50})
				if err != nil || found.Behind {
					t.Fatalf("%v, behind %v", err, found.Behind)
				}
				if len(found.Hits) == 0 {
					break
				}
				for _, h := range found.Hits {
					if got++; strings.Contains(h.Snippet, "forged") {
						t.Error("a damaged message is shown")
					}
					before = h.ID
				}
			}
			if lost := messages - got; pages != 1 || lost < 2 || lost > 20 {
				t.Errorf("%d damaged pages and one message cost %d hits", pages, lost)
			}
			wantErr(t, s.Health().Damage, ErrDamaged)
			sayText(t, s, c, "later", "fresh")
			wantHits(t, s, "fresh", fmt.Sprint(messages+1, ":fresh"))
		})
	}
}

// TestSearchIsBehindDamageAtTheEnd: while it can't be told where the messages end, the
// search answers from those before, and says that it is behind.
func TestSearchIsBehindDamageAtTheEnd(t *testing.T) {
	dir := private(t)
	s, stop := run(t, Options{Dir: dir})
	_, c := newConversation(t, s, "k")
	for i := range 2 * indexChunk {
		sayText(t, s, c, fmt.Sprint(i), fmt.Sprintf("common word%d %s", i, strings.Repeat("x", 200)))
	}
	stop()
	damageMessages(t, s.path, func(i, n int) bool { return i == n-1 })
	s, _ = run(t, Options{Dir: dir})
	found, err := s.Search(t.Context(), "word7", SearchOptions{})
	if err != nil || !found.Behind || len(found.Hits) != 1 {
		t.Errorf("%d hits, behind %v, %v", len(found.Hits), found.Behind, err)
	}
}

// TestRedo: an index that another tokeniser made is made anew, a slice at a time,
// and is no damage meanwhile.
func TestRedo(t *testing.T) {
	dir := private(t)
	s, _ := run(t, Options{Dir: dir})
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	_, c := newConversation(t, s, "k")
	note := func(text string) Note {
		t.Helper()
		n, err := addNote(t, s, Note{Conversation: c.ID, AgentID: ana.ID, AgentName: "Ana", Text: text})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	note("first of all й")
	const messages, notes = 2*indexChunk + 7, indexChunk/2 + 3
	for i := range messages {
		sayText(t, s, c, fmt.Sprint(i), fmt.Sprintf("word%d й", i))
	}
	for range notes {
		note("behind й")
	}
	gone := note("gone й")
	if err := s.indexIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, stmt := range []string{"UPDATE search SET tokens = replace(tokens, 'й', 'и')", "UPDATE search_state SET tokenizer = 1"} { // as version 1 left it
		if _, err := patiently(t.Context(), s, func(t *tx) (int64, error) { return t.exec(stmt) }); err != nil {
			t.Fatal(err)
		}
	}
	whole := func(when string) {
		t.Helper()
		if r, err := CheckFolder(t.Context(), dir); err != nil || r.Err() != nil {
			t.Errorf("%s: %v %v", when, err, r.Damage)
		}
	}
	whole("before")
	slices := 1
	for ; ; slices++ {
		more, err := s.indexSome(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
		whole(fmt.Sprint("after slice ", slices))
		if slices == 1 {
			must(t, func(d func(struct{}, error)) error { return s.DeleteNote(gone.ID, d) })
			sayText(t, s, c, "new", "word й")
		}
	}
	if slices < 5 {
		t.Errorf("made anew in %d slices", slices)
	}
	whole("in the end")
	n, err := first(s.reader(t.Context()), scanOne[int64], "n", "SELECT count(*) FROM search WHERE search MATCH 'й'")
	if err != nil || n != messages+1+notes+1 {
		t.Errorf("%d of %d texts are found, %v", n, messages+1+notes+1, err)
	}
	wantHits(t, s, "gone")
}

// TestRedoKeepsADeletedNoteOut: a note that is deleted between the reading and the
// writing of a slice stays out of the index.
func TestRedoKeepsADeletedNoteOut(t *testing.T) {
	s, _ := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	_, c := newConversation(t, s, "k")
	n, err := addNote(t, s, Note{Conversation: c.ID, AgentID: ana.ID, AgentName: "Ana", Text: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.indexIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	entry, err := first(s.reader(t.Context()), scanOne[int64], "entry", "SELECT entry FROM notes")
	if err != nil {
		t.Fatal(err)
	}
	must(t, func(d func(struct{}, error)) error { return s.DeleteNote(n.ID, d) })
	at, err := first(s.reader(t.Context()), scanIndexState, "state", "SELECT indexed, erasures, tokenizer, redone FROM search_state")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := patiently(t.Context(), s, func(t *tx) (struct{}, error) {
		return struct{}{}, t.redo(at, at, []pending{{entry: entry, note: n.ID, text: "secret"}})
	}); err != nil {
		t.Fatal(err)
	}
	left, err := first(s.reader(t.Context()), scanOne[int64], "n", "SELECT count(*) FROM search")
	if err != nil || left != 0 {
		t.Errorf("%d entries, %v", left, err)
	}
}

// TestSearchIgnoresForms: what is typed composed is found decomposed, and the reverse.
func TestSearchIgnoresForms(t *testing.T) {
	s, _ := fresh(t)
	_, c := newConversation(t, s, "k")
	for i, text := range []string{"Возвращённый", "мой", "мои\u0306", "환불", "\u1112\u116a\u11ab\u1107\u116e\u11af", "cafe\u0301", "कि\u095c", "కై"} {
		sayText(t, s, c, fmt.Sprint(i), text)
	}
	wantHits(t, s, "мой", "3:мои\u0306", "2:мой")
	wantHits(t, s, "мои\u0306", "3:мои\u0306", "2:мой")
	wantHits(t, s, "мои")
	wantHits(t, s, "환불", "5:\u1112\u116a\u11ab\u1107\u116e\u11af", "4:환불")
	wantHits(t, s, "\u1107\u116e\u11af", "5:\u1107\u116e\u11af", "4:불")
	wantHits(t, s, "Café", "6:cafe\u0301")
	wantHits(t, s, "कि\u0921\u093c", "7:कि\u095c")
}
