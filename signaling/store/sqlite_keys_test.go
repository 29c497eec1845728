package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestEraseLeavesNoKey: after an erasure every page of the search index is found by
// the beginning of a word that is left, and the search is whole.
func TestEraseLeavesNoKey(t *testing.T) {
	s, _ := fresh(t)
	_, victim := newConversation(t, s, "victim")
	_, other := newConversation(t, s, "other")
	var kept []string
	n := 0
	text := func(keep bool) string {
		var b strings.Builder
		for range 20 {
			n++
			word := fmt.Sprintf("7300%06d", n*7919%1_000_000)
			if keep {
				kept = append(kept, word)
			}
			b.WriteString(word + " ")
		}
		return b.String()
	}
	const messages = 200
	for i := range messages {
		sayText(t, s, victim, fmt.Sprint(i), text(false))
		sayText(t, s, other, fmt.Sprint(i), text(true)+"退款")
	}
	if err := s.indexIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	stale := func() (bad, all int) {
		keys, err := list(s.reader(t.Context()), scanOne[[]byte], "SELECT term FROM search_idx")
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(kept)
		for _, key := range keys {
			if len(key) < 2 { // the first byte tells words from prefixes
				continue
			}
			all++
			beginning := string(key[1:])
			if i, _ := slices.BinarySearch(kept, beginning); i == len(kept) || !strings.HasPrefix(kept[i], beginning) {
				bad++
			}
		}
		return bad, all
	}
	if _, err := s.eraseRows(t.Context(), victim.ID, Actor{Kind: KindSystem}, true, 0); err != nil {
		t.Fatal(err)
	}
	if bad, all := stale(); bad == 0 {
		t.Fatalf("none of %d keys is stale: the test proves nothing", all)
	}
	if err := s.completeErasures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if bad, all := stale(); bad > 0 || all == 0 {
		t.Errorf("%d of %d keys are of erased words", bad, all)
	}
	wantErased(t, s, victim, other, messages)
	for i := 0; i < len(kept); i += 97 {
		if got := search(t, s, kept[i], SearchOptions{}); len(got) != 1 {
			t.Errorf("%s: %q", kept[i], got)
		}
	}
}
