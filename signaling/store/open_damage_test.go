// Files that are not what was written: refused with a sentence or told, never
// served as good, and never changed.

package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hashes are the contents of all files in a folder but the lock and the index of the WAL.
func hashes(t testing.TB, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range files {
		if f.Name() == lockName || strings.HasSuffix(f.Name(), "-shm") { // neither holds data
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if len(data) == 0 { // an empty WAL, which a connection that only reads makes
			continue
		}
		fmt.Fprintf(&out, "%s %d %x\n", f.Name(), len(data), sha256.Sum256(data))
	}
	return out.String()
}

// TestRefusedUnchanged opens files that must not be opened, as a server and as a
// command: each says why in one sentence, and no byte changes.
func TestRefusedUnchanged(t *testing.T) {
	file := func(change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, dbName)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name   string
		change func(*testing.T, string)
		want   error
		says   string
	}{
		{"not a database", file(func([]byte) []byte { return []byte(strings.Repeat("something else ", 1000)) }), ErrDamaged, "restore a backup"},
		{"the magic is wrong", file(func(d []byte) []byte { d[3] ^= 4; return d }), ErrDamaged, "restore a backup"},
		{"the page size is wrong", file(func(d []byte) []byte { d[16] ^= 0x20; return d }), ErrDamaged, "restore a backup"},
		{"the schema's page is zeroed", file(func(d []byte) []byte { clear(d[100:4096]); return d }), ErrDamaged, "restore a backup"},
		{"cut at half", file(func(d []byte) []byte { return d[:len(d)/2] }), ErrDamaged, "restore a backup"},
		{"cut in the first page", file(func(d []byte) []byte { return d[:1000] }), ErrDamaged, "restore a backup"},
		{"newer", func(t *testing.T, dir string) { setVersion(t, dir, 999) }, ErrNewer, "newer program"},
		{"newer, and its server was killed", func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, "wal"), filepath.Join(dir, dbName+"-wal")); err != nil {
				t.Fatal(err)
			}
		}, ErrNewer, "newer program"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := private(t)
			s, stop := run(t, Options{Dir: dir})
			for i := range 20 {
				_, c := newConversation(t, s, fmt.Sprint("k", i))
				if _, err := say(t, s, fromCustomer(c, "m")); err != nil {
					t.Fatal(err)
				}
			}
			stop()
			if strings.Contains(test.name, "killed") { // a WAL that holds the newer version
				db, err := openWriter(filepath.Join(dir, dbName))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := db.Exec("INSERT INTO migrations (number, name, applied_at) VALUES (999, 'future', 0)"); err != nil {
					t.Fatal(err)
				}
				data, err := os.ReadFile(filepath.Join(dir, dbName+"-wal"))
				if err != nil {
					t.Fatal(err)
				}
				before, err := os.ReadFile(filepath.Join(dir, dbName))
				if err != nil {
					t.Fatal(err)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(os.WriteFile(filepath.Join(dir, "wal"), data, 0o600),
					os.WriteFile(filepath.Join(dir, dbName), before, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			test.change(t, dir)
			before := hashes(t, dir)
			for name, open := range map[string]func(context.Context, Options) (*Store, error){"server": Open, "command": OpenShared} {
				s, err := open(t.Context(), Options{Dir: dir})
				if err == nil {
					s.Close()
				}
				wantErr(t, err, test.want)
				if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s says: %s", name, err)
				}
				if after := hashes(t, dir); after != before {
					t.Errorf("%s changed\n%sinto\n%s", name, before, after)
				}
			}
		})
	}
}

func setVersion(t *testing.T, dir string, n int) {
	t.Helper()
	db, err := openWriter(filepath.Join(dir, dbName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO migrations (number, name, applied_at) VALUES (?, 'future', 0)", n); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBitFlips changes one bit of a closed store at many places: what is read
// afterwards is what was written, or marked as damaged, or an error; never
// something else. Other conversations stay as good as they were.
func TestBitFlips(t *testing.T) {
	dir := private(t)
	s, stop := run(t, Options{Dir: dir})
	var convs []Conversation
	for i := range 8 {
		_, c := newConversation(t, s, fmt.Sprint("k", i))
		convs = append(convs, c)
	}
	const each = 12
	for n := range each {
		for _, c := range convs {
			m := fromCustomer(c, fmt.Sprint("m", n))
			m.Text = strings.Repeat(m.ID+" ", 40)
			if _, err := say(t, s, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := map[string][]Message{}
	for _, c := range convs {
		list, err := s.Messages(t.Context(), c.ID, Range{})
		if err != nil || len(list) != each {
			t.Fatalf("%d messages, %v", len(list), err)
		}
		want[c.ID] = list
	}
	stop()
	path := filepath.Join(dir, dbName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const seed = 5
	r := rand.New(rand.NewPCG(seed, 0))
	const flips = 300
	marked, failed, harmless := 0, 0, 0
	for flip := range flips {
		at, bit := r.IntN(len(good)), r.IntN(8)
		data := append([]byte(nil), good...)
		data[at] ^= 1 << bit
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), Options{Dir: dir})
		if err != nil {
			failed++
			continue
		}
		damaged, broken := 0, 0
		for _, c := range convs {
			list, err := s.Messages(t.Context(), c.ID, Range{})
			if err != nil {
				broken++
				continue
			}
			for i, m := range list {
				switch {
				case m.Damaged && m.Text == "" && m.SenderName == "":
					damaged++
				case m.Seq < 1 || m.Seq > each || m != want[c.ID][m.Seq-1]:
					t.Fatalf("seed %d, flip %d (byte %d, bit %d): message %d is served as %+v", seed, flip, at, bit, i, m)
				}
			}
		}
		if h := s.Health(); h.Err != nil || damaged > 0 && !errors.Is(h.Damage, ErrDamaged) {
			t.Fatalf("health %+v after %d damaged messages", s.Health(), damaged)
		}
		switch {
		case damaged > 0:
			marked++
		case broken > 0:
			failed++
		default:
			harmless++ // in an index, another table, or free space
		}
		s.Close()
	}
	if marked == 0 || failed == 0 {
		t.Fatalf("%d marked, %d failed, %d harmless", marked, failed, harmless)
	}
	t.Logf("of %d flips %d marked messages, %d failed to read, %d did neither", flips, marked, failed, harmless)
}

// TestDamageStopsOnlyItself: a batch in which one op meets a damaged page stores the others.
func TestDamageStopsOnlyItself(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: private(t)})
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 4) // one for each
	refused := errors.New("refused by a rule")
	done := func(_ struct{}, err error) { results <- err }
	_ = setting(s, "a", nil, done)
	_ = submit(s, func(t *tx) (struct{}, error) {
		return struct{}{}, &dbError{kind: ErrDamaged, text: "malformed", spoils: true}
	}, done)
	_ = setting(s, "b", nil, done)
	_ = setting(s, "c", refused, done)
	start(t, s)
	for _, want := range []error{nil, ErrDamaged, nil, refused} {
		if err := <-results; !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	for _, key := range []string{"a", "b"} {
		if _, err := s.Setting(t.Context(), key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	_, err = s.Setting(t.Context(), "c")
	wantErr(t, err, ErrNotFound)
	if h := s.Health(); h.Err != nil || !errors.Is(h.Damage, ErrDamaged) {
		t.Errorf("health %+v", h)
	}
}
