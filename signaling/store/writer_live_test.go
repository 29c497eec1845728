package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// rowSaid is what the conversation's own row counts.
func rowSaid(t *testing.T, s *Store, id string) int64 {
	t.Helper()
	n, err := first(s.reader(t.Context()), scanOne[int64], "row", "SELECT last_seq FROM conversations WHERE id = ?", id)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRowFollowsItsMessages: the row may be behind, what is read never is; after a crash the next start catches up,
// and numbers go on where they ended even when the messages are gone.
func TestRowFollowsItsMessages(t *testing.T) {
	const n = 7
	s, _ := run(t, Options{Dir: private(t)})
	_, open := newConversation(t, s, "open")
	_, closed := newConversation(t, s, "closed")
	for i := range n {
		for _, c := range []Conversation{open, closed} {
			if got, err := say(t, s, fromCustomer(c, fmt.Sprint(i))); err != nil || got.Seq != int64(i+1) {
				t.Fatalf("got %+v, %v", got, err)
			}
		}
		if c, err := s.Conversation(t.Context(), open.ID); err != nil || c.LastSeq != int64(i+1) {
			t.Fatalf("after message %d the conversation is %+v, %v", i+1, c, err)
		}
	}
	until(t, "the row counts every message without anybody's doing", func() bool { return rowSaid(t, s, open.ID) == n })
	for _, c := range []Conversation{open, closed} {
		if _, err := say(t, s, fromCustomer(c, "last")); err != nil {
			t.Fatal(err)
		}
	}
	if c := closeIt(t, s, closed.ID); c.LastSeq != n+1 || rowSaid(t, s, closed.ID) != n+1 {
		t.Fatalf("closed %+v, its row says %d", c, rowSaid(t, s, closed.ID))
	}
	must(t, func(d func(struct{}, error)) error { // as a kill at a bad moment leaves it
		return submit(s, func(t *tx) (struct{}, error) {
			_, err := t.exec("UPDATE conversations SET last_seq = 2, last_at = 1 WHERE id = ?", open.ID)
			return struct{}{}, err
		}, d)
	})

	crashed := private(t)
	files, err := filepath.Glob(s.path + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(crashed, filepath.Base(name)), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, _ = run(t, Options{Dir: crashed})
	before, err := s.Conversation(t.Context(), open.ID)
	if err != nil || before.LastSeq != n+1 || before.LastAt.UnixMilli() == 1 {
		t.Fatalf("after the crash: %+v, %v", before, err)
	}
	must(t, func(d func(int64, error)) error { return s.ServerStarted(s.now(), d) })
	if got := rowSaid(t, s, open.ID); got != n+1 {
		t.Fatalf("after the start the row says %d", got)
	}
	if after, err := s.Conversation(t.Context(), open.ID); err != nil || after.LastSeq != before.LastSeq || !after.LastAt.Equal(before.LastAt) {
		t.Fatalf("after the start: %+v, %v; before it %+v", after, err, before)
	}
	must(t, func(d func(struct{}, error)) error { // as retention does
		return submit(s, func(t *tx) (struct{}, error) {
			_, err := t.exec("DELETE FROM messages WHERE conversation_num = (SELECT num FROM conversations WHERE id = ?)", closed.ID)
			return struct{}{}, err
		}, d)
	})
	if got, err := say(t, s, fromCustomer(closed, "new")); err != nil || got.Seq != n+2 || !got.Reopened {
		t.Fatalf("reopened with %+v, %v", got, err)
	}
}

// TestAnotherProcessIsNoticed: what is remembered outlives the store's own commits and checkpoints, and nobody else's.
func TestAnotherProcessIsNoticed(t *testing.T) {
	s, _ := run(t, Options{Dir: private(t)})
	_, c := newConversation(t, s, "k")
	other, err := openWriter(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	remembered := func() State { // "": not remembered
		return must(t, func(d func(State, error)) error {
			return submit(s, func(t *tx) (State, error) {
				if l := t.w.live[c.ID]; l != nil {
					return l.State, nil
				}
				return "", nil
			}, d)
		})
	}
	for i := range 5 {
		for _, id := range []string{"a", "b"} {
			if got, err := say(t, s, fromCustomer(c, fmt.Sprint(i, id))); err != nil || got.Reopened != (i > 0 && id == "a") {
				t.Fatalf("round %d: got %+v, %v", i, got, err)
			}
		}
		if _, err := other.Exec(checkpoint); err != nil {
			t.Fatal(err)
		}
		if remembered() == "" {
			t.Fatalf("round %d: forgotten though nobody else wrote", i)
		}
		if _, err := other.Exec("UPDATE conversations SET state = 'closed', closed_at = ? WHERE id = ?", s.now().UnixMilli(), c.ID); err != nil {
			t.Fatal(err)
		}
	}
	// Not at all, or read again: once a second the row is caught up with its messages.
	if state := remembered(); state != "" && state != Closed {
		t.Fatalf("still remembered as %s after another's commit", state)
	}
}
