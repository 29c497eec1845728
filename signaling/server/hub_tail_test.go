package server

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

// page is what the store answers to a request for history: see store.Range.
func pageOf(all []store.Message, m protocol.ChatHistory) []store.Message {
	var out []store.Message
	for _, r := range all {
		if r.Seq > m.After && (m.Before <= 0 || r.Seq < m.Before) {
			out = append(out, r)
		}
	}
	if len(out) > m.Limit {
		if m.Before > 0 {
			return out[len(out)-m.Limit:]
		}
		return out[:m.Limit]
	}
	return out
}

// TestTailAnswersAsTheStoreWould: whatever was loaded, added late or twice, the tail gives exactly the store's page or
// says that it can't, and can for the last messages once they came through it.
func TestTailAnswersAsTheStoreWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 3*tailLen).Draw(t, "messages before")
		all := make([]store.Message, 0, n)
		for i := range n {
			all = append(all, store.Message{Seq: int64(i + 1)})
		}
		var tl tail
		read := rapid.IntRange(0, 2*tailLen).Draw(t, "read")
		stale := rapid.IntRange(0, min(3, n)).Draw(t, "stored since the read")
		tl.load(all[max(0, n-stale-read):n-stale], int64(n))
		added := rapid.IntRange(0, 3*tailLen).Draw(t, "added")
		for range added {
			all = append(all, store.Message{Seq: int64(len(all) + 1), Text: "short"})
			tl.add(all[len(all)-1])
			if rapid.IntRange(0, 9).Draw(t, "again") == 0 {
				tl.add(all[len(all)-1])
			}
		}
		last := int64(len(all))
		for range 20 {
			m := protocol.ChatHistory{
				After: rapid.Int64Range(0, last+3).Draw(t, "after"), Before: rapid.Int64Range(0, last+3).Draw(t, "before"), Limit: rapid.IntRange(1, 100).Draw(t, "limit"),
			}
			rows, ok := tl.page(m, last)
			if want := pageOf(all, m); ok && !slices.Equal(rows, want) {
				t.Fatalf("page(%+v) of %d gives %v, want %v", m, last, rows, want)
			}
		}
		if k := min(added, tailLen); k > 0 {
			if rows, ok := tl.page(protocol.ChatHistory{After: last - int64(k), Limit: tailLen}, last); !ok || len(rows) != k {
				t.Fatalf("the last %d of %d messages, which came through it, are not in the tail: %v, %d", k, last, ok, len(rows))
			}
		}
		if len(tl.rows) > tailLen {
			t.Fatalf("the tail holds %d messages", len(tl.rows))
		}
	})
}
