package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

// TestTailIsBoundedByBytes: however the messages came into it, it holds little text, and what it answers from that is
// the store's page.
func TestTailIsBoundedByBytes(t *testing.T) {
	all := make([]store.Message, 2*tailLen)
	for i := range all {
		all[i] = store.Message{Seq: int64(i + 1), Text: strings.Repeat("x", 16_000)}
	}
	last := int64(len(all))
	for name, fill := range map[string]func(*tail){
		"read": func(tl *tail) { tl.load(all[tailLen:], last) },
		"added": func(tl *tail) {
			for _, m := range all {
				tl.add(m)
			}
		},
		"read, then added": func(tl *tail) {
			tl.load(all[:tailLen], tailLen)
			for _, m := range all[tailLen:] {
				tl.add(m)
			}
		},
	} {
		var tl tail
		fill(&tl)
		bytes := 0
		for _, m := range tl.rows {
			bytes += len(m.Text)
		}
		if bytes > 64<<10 || bytes != tl.bytes {
			t.Errorf("%s: %d bytes of text, counted as %d", name, bytes, tl.bytes)
		}
		for k := range int64(6) {
			m := protocol.ChatHistory{After: last - k, Limit: 10}
			rows, ok := tl.page(m, last)
			if in := k <= int64(len(tl.rows)); ok != in || ok && !slices.Equal(rows, pageOf(all, m)) {
				t.Errorf("%s: the last %d: %d messages, %v", name, k, len(rows), ok)
			}
		}
		if len(tl.rows) < 4 {
			t.Errorf("%s: only %d messages are kept", name, len(tl.rows))
		}
	}
}
