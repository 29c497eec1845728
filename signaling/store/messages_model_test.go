// Messages against a model: whatever is lost, doubled or reordered on the way, and
// however often the server starts anew, each id has one place for ever.

package store

import (
	"context"
	"errors"
	flags "flag"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestResendModel(t *testing.T) {
	if f := flags.Lookup("rapid.checks"); f.Value.String() == f.DefValue { // each opens files many times
		if err := f.Value.Set("25"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Value.Set(f.DefValue) }() // it took the other value too
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir := private(t)
		s, stop := run(t, Options{Dir: dir})
		defer func() { stop() }()
		_, c := newConversation(t, s, "k")
		var ids []string               // in the order in which they were first sent
		sent := map[string]bool{}      // the store has seen it; the client may not know
		known := map[string]Appended{} // acknowledged, and the client knows
		last := int64(0)               // of all that the store has seen

		// deliver hands messages over in this order, in one go, and reports some of the acknowledgements.
		deliver := func(batch []string) {
			type answer struct {
				id   string
				got  Appended
				err  error
				lost bool
			}
			answers := make(chan answer, len(batch))
			for _, id := range batch {
				lost := rapid.Bool().Draw(rt, "the acknowledgement of "+id+" is lost")
				if err := s.Append(fromCustomer(c, id), func(got Appended, err error) { answers <- answer{id, got, err, lost} }); err != nil {
					rt.Fatal(err)
				}
			}
			for _, id := range batch {
				a := <-answers
				if a.err != nil || a.id != id {
					rt.Fatalf("%s was answered by %+v", id, a)
				}
				if a.got.Duplicate != sent[id] {
					rt.Fatalf("%s: duplicate %v, sent before %v", id, a.got.Duplicate, sent[id])
				}
				if !sent[id] {
					if last++; a.got.Seq != last {
						rt.Fatalf("%s got %d, want %d", id, a.got.Seq, last)
					}
				}
				sent[id] = true
				if before, ok := known[id]; ok && (before.Seq != a.got.Seq || !before.At.Equal(a.got.At)) {
					rt.Fatalf("%s was acknowledged as %+v and now as %+v", id, before, a.got)
				}
				if !a.lost {
					known[id] = a.got
				}
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"send": func(rt *rapid.T) {
				var batch []string
				for range rapid.IntRange(1, 5).Draw(rt, "new") {
					ids = append(ids, fmt.Sprint("m", len(ids)))
					batch = append(batch, ids[len(ids)-1])
				}
				for range rapid.IntRange(0, 5).Draw(rt, "again") { // some of them twice, some old ones
					batch = append(batch, rapid.SampledFrom(ids).Draw(rt, "which"))
				}
				deliver(rapid.Permutation(batch).Draw(rt, "order"))
			},
			"send again what is not acknowledged": func(*rapid.T) {
				var batch []string
				for _, id := range ids {
					if _, ok := known[id]; !ok {
						batch = append(batch, id)
					}
				}
				deliver(batch)
			},
			"other text": func(rt *rapid.T) {
				if len(sent) == 0 {
					return
				}
				m := fromCustomer(c, rapid.SampledFrom(ids).Draw(rt, "which"))
				m.Text += "!"
				if _, err := say(t, s, m); !errors.Is(err, ErrIDReused) {
					rt.Fatalf("got %v", err)
				}
			},
			"start anew": func(*rapid.T) {
				stop()
				s, stop = run(t, Options{Dir: dir})
			},
			"another process writes": func(*rapid.T) { // beside the running server: nothing that it remembers may be wrong
				id := fmt.Sprint("m", len(ids))
				ids = append(ids, id)
				err := Use(t.Context(), Options{Dir: dir}, func(ctx context.Context, other *Store) error {
					got, err := Sync(ctx, func(d func(Appended, error)) error { return other.Append(fromCustomer(c, id), d) })
					if last++; err != nil || got.Seq != last {
						return fmt.Errorf("got %+v, want %d: %w", got, last, err)
					}
					sent[id], known[id] = true, got
					return nil
				})
				if err != nil {
					rt.Fatal(err)
				}
			},
			"close": func(*rapid.T) { // a new message reopens it, one that is sent again doesn't
				_, err := do(t, func(d func(Conversation, error)) error {
					return s.CloseConversation(c.ID, Actor{Kind: KindSystem}, d)
				})
				if err != nil && !errors.Is(err, ErrClosed) {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				stored := idsOf(t, s, c.ID)
				if int64(len(stored)) != last {
					rt.Fatalf("%d stored, want %d", len(stored), last)
				}
				for id, ack := range known {
					if stored[ack.Seq] != id {
						rt.Fatalf("%s was acknowledged as %d, there is %q", id, ack.Seq, stored[ack.Seq])
					}
				}
			},
		})
	})
}
