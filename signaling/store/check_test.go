package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckOfWholeData(t *testing.T) {
	s, _ := fresh(t)
	victim, other := fillWithCanaries(t, s, MaxMessages+50) // more than a page
	bob := newAgent(t, s, "Bob", RoleAgent).Agent
	for i := range MaxNotes { // more than a page, with those that are there
		c := []Conversation{victim, other}[i%2]
		if _, err := addNote(t, s, Note{Conversation: c.ID, AgentID: bob.ID, Text: fmt.Sprint("note ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := CheckFolder(t.Context(), filepath.Dir(s.path))
	if err != nil || r.Err() != nil || r.Conversations != 2 || r.Messages != 2*(MaxMessages+50) {
		t.Fatalf("%+v %v", r, err)
	}
	var reported []error
	if err := s.checkAll(t.Context(), func(err error) { reported = append(reported, err) }); err != nil || len(reported) != 1 || reported[0] != nil {
		t.Errorf("in the background: %v %v", reported, err)
	}
	if err := CheckPlace(t.Context(), filepath.Dir(s.path)); err != nil {
		t.Errorf("the place: %v", err)
	}
	_, err = CheckFolder(t.Context(), t.TempDir())
	wantErr(t, err, ErrFolder)
}

// TestCheckNamesWhatIsWrong changes rows behind the store's back.
func TestCheckNamesWhatIsWrong(t *testing.T) {
	for what, c := range map[string]struct{ change, want string }{
		"a text":              {"UPDATE messages SET text = 'forged' WHERE seq = 7", "message 7 is damaged"},
		"a sender":            {"UPDATE messages SET sender_id = 'x' WHERE seq = 7", "message 7 is damaged"},
		"a time":              {"UPDATE messages SET at = at + 1 WHERE seq = 7", "message 7 is damaged"},
		"a hole":              {"DELETE FROM messages WHERE seq BETWEEN 7 AND 9", "messages 7 to 9 are missing"},
		"the end":             {"DELETE FROM messages WHERE seq > 28", "messages 29 to 30 are missing"},
		"all":                 {"DELETE FROM messages", "messages 1 to 30 are missing"},
		"a wrong last number": {"UPDATE conversations SET last_seq = 31", "messages 31 to 31 are missing"},
		"a mark":              {"UPDATE marks SET received = 31", "a mark is past"},
		"a lost customer":     {"PRAGMA foreign_keys = OFF; DELETE FROM customers", "has no row in customers"},
		"the search":          {"UPDATE search SET tokens = 'other' WHERE rowid = 7 * 256", "is not in the search as it is"},
		"a lost entry":        {"DELETE FROM search WHERE rowid = 7 * 256", "is not in the search as it is"},
		"a stray entry":       {"INSERT INTO search (rowid, tokens) VALUES (1000 * 256, 'stray')", "entry 256000 of the search is of no text"},
		"a stray note":        {"INSERT INTO search (rowid, tokens) VALUES (60 * 256 + 9, 'stray')", "entry 15369 of the search is of no text"},
		"a note's entry":      {"UPDATE search SET tokens = 'stray' WHERE rowid = (SELECT min(entry) FROM notes)", "a note is not in the search as it is"},
		"a note's lost entry": {"DELETE FROM search WHERE rowid = (SELECT min(entry) FROM notes)", "a note is not in the search as it is"},
		"the search's copy":   {"UPDATE search_content SET c0 = 'other' WHERE id = 7 * 256", "search"},
	} {
		t.Run(what, func(t *testing.T) {
			s, stop := run(t, Options{Dir: private(t)})
			fillWithCanaries(t, s, 30)
			stop()
			db, err := sql.Open("sqlite", "file:"+s.path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(c.change); err != nil {
				t.Fatal(err)
			}
			db.Close()
			r, err := CheckFolder(t.Context(), filepath.Dir(s.path))
			if err != nil {
				t.Fatal(err)
			}
			wantErr(t, r.Err(), ErrDamaged)
			if !strings.Contains(fmt.Sprint(r.Damage), c.want) {
				t.Errorf("found %v, want %q", r.Damage, c.want)
			}
			for _, secret := range append(canaries, "forged", "common") {
				if strings.Contains(fmt.Sprint(r.Damage, r.Err()), secret) {
					t.Errorf("the report holds a text: %v", r.Damage)
				}
			}
		})
	}
}

// contents is all that a reader is given of the messages, as one text.
func contents(ctx context.Context, s *Store, ids []string) (string, bool, error) {
	var b strings.Builder
	damaged := false
	for _, id := range ids {
		for after := int64(0); ; {
			page, err := s.Messages(ctx, id, Range{After: after})
			if err != nil {
				return "", true, err
			}
			if len(page) == 0 {
				break
			}
			for _, m := range page {
				if m.Damaged {
					damaged = true
					if m.Text != "" || m.SenderName != "" {
						return "", false, errors.New("a damaged message is given with its text")
					}
				}
				fmt.Fprintln(&b, m)
				fmt.Fprintln(&b, m.Seq, m.ID, m.SenderID, m.SenderName, m.Text, m.At.UnixMilli())
				if after = m.Seq; after <= 0 {
					return "", damaged, nil
				}
			}
		}
	}
	return b.String(), damaged, nil
}

// kinds of pages, by their first byte.
var pageKinds = map[byte]string{2: "inner page of an index", 5: "inner page of a table", 10: "leaf of an index", 13: "leaf of a table", 0: "overflow or free"}

// TestCheckFindsFlippedBits: one bit is flipped in a copy, in every page and at
// three places of it. A message is never given as good that isn't what was
// stored; and where a bit changes what is stored of messages, the check finds it.
func TestCheckFindsFlippedBits(t *testing.T) {
	dir := private(t)
	s, stop := run(t, Options{Dir: dir})
	victim, other := fillWithCanaries(t, s, 100)
	sayText(t, s, other, "long", strings.Repeat("overflow 退款 ", 300)) // pages of their own
	if _, err := s.Search(t.Context(), "x", SearchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Erase(t.Context(), openFor(t, s, newCustomer(t, s, "gone").ID).ID, Actor{Kind: KindSystem}); err != nil {
		t.Fatal(err)
	}
	ids := []string{victim.ID, other.ID}
	good, _, err := contents(t.Context(), s, ids)
	if err != nil {
		t.Fatal(err)
	}
	roots := map[string]bool{} // what the check answers for: a page's table
	stop()
	data, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	tables := pageOwners(t, s.path)
	size := int(binary.BigEndian.Uint16(data[16:]))
	flips, found, silent := 0, map[string]int{}, map[string]int{}
	for page := range len(data) / size {
		start := page * size
		low, high := gap(int64(page+1), data[start:start+size])
		for _, at := range []int{page % 12, size - 1 - 11*(page%7), size - 120 - 97*(page%9)} {
			if at >= low && at < high {
				continue // the gap: nothing is there
			}
			bad := append([]byte(nil), data...)
			bad[start+at] ^= 1 << (page % 8)
			name := tables[int64(page+1)]
			kind := pageKinds[data[start]]
			copied := filepath.Join(dir, "flipped.db")
			if err := os.WriteFile(copied, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			flips++
			report, err := checkFile(t.Context(), copied)
			detected := err != nil || report.Err() != nil
			if detected {
				found[kind]++
				roots[name] = true
			}
			now, damaged, err := readFlipped(t, copied, ids)
			if err != nil && !isDamage(err) {
				t.Fatalf("%s, %s, byte %d: reading gives %v", name, kind, at, err)
			}
			if err == nil && !damaged && now != good && !detected {
				t.Errorf("%s, %s, byte %d of page %d: other messages are given as good, and the check is silent", name, kind, at, page+1)
			}
			if !detected {
				silent[name+", "+kind]++
			}
		}
	}
	for b, kind := range pageKinds {
		if found[kind] == 0 {
			t.Errorf("no flip was found in any %s (%d)", kind, b)
		}
	}
	for _, table := range []string{"messages", "sqlite_autoindex_messages_1", "sqlite_autoindex_messages_2", "search_data", "search_content", "conversations"} {
		if !roots[table] {
			t.Errorf("no flip was found in %s", table)
		}
	}
	for where, n := range silent {
		if strings.HasPrefix(where, "messages") { // in an index it may have hit a freed place
			t.Errorf("%d flips in %s were not found", n, where)
		}
	}
	t.Logf("%d flips in %d pages; found by kind %v; not found, and no message changed: %v", flips, len(data)/size, found, silent)
}

// pageOwners names the table or index of each page.
func pageOwners(t *testing.T, path string) map[int64]string {
	t.Helper()
	db, err := openCopy(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	out := map[int64]string{}
	err = eachRow(t.Context(), db, func(rows *sql.Rows) error {
		var name string
		var page int64
		err := rows.Scan(&name, &page)
		out[page] = name
		return err
	}, "SELECT name, pageno FROM dbstat")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// readFlipped reads all messages of a copy, as a server would.
func readFlipped(t *testing.T, path string, ids []string) (string, bool, error) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, url.Values{"mode": {"ro"}, "immutable": {"1"}}))
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(filepath.Dir(path), Options{})
	s.readDB = db
	defer s.release()
	return contents(t.Context(), s, ids)
}

func isDamage(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, ErrStorage)
}

// TestCheckOfMarksThatMove: a message and its mark come between any two statements of
// a check beside the server; that is no damage.
func TestCheckOfMarksThatMove(t *testing.T) {
	s, _ := fresh(t)
	_, c := newConversation(t, s, "k")
	n := int64(0)
	moving := func(each func(*sql.Rows) error, text string, args ...any) error {
		n = sayText(t, s, c, newID(), "more").Seq
		must(t, func(d func(Mark, error)) error { return s.Mark(c.ID, KindAgent, Mark{n, n}, d) })
		return s.reader(t.Context())(each, text, args...)
	}
	var r Report
	for at, more := (place{}), true; more; {
		var err error
		if at, more, err = checkPage(moving, &r, at); err != nil {
			t.Fatal(err)
		}
	}
	if n < 4 || r.Err() != nil {
		t.Errorf("after %d messages: %v", n, r.Damage)
	}
}
