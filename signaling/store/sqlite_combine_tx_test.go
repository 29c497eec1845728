// The combined log under transactions: what each way out of the buffer is for.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/internal/fault/disk"
)

// pair is a writer with a small page cache, so that pages go to the log in
// mid-transaction and come back from it, and a reader; and what they must hold.
type pair struct {
	t         *testing.T
	r         *rand.Rand
	writer    *sql.Conn
	reader    *sql.DB
	committed map[int]string
	working   map[int]string
	points    []map[int]string // savepoints
	tried     []map[int]string // commits that failed since the last one that worked
	began     bool
	goesOn    bool // a statement failed and left its transaction as it was
	next      int
}

func newPair(t *testing.T, path string, seed uint64) *pair {
	t.Helper()
	db, err := openWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p := &pair{t: t, r: rand.New(rand.NewPCG(seed, 1)), committed: map[int]string{}}
	if p.writer, err = db.Conn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.reader, err = openReaders(path, 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.reader.Close() })
	for _, text := range []string{"CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT NOT NULL)", "PRAGMA cache_size = 6"} {
		if err := p.exec(text); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *pair) exec(text string, args ...any) error {
	_, err := p.writer.ExecContext(context.Background(), text, args...)
	return translate(err)
}

type queries interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}

func allRows(q queries) (map[int]string, error) {
	got := map[int]string{}
	rows, err := q.QueryContext(context.Background(), "SELECT n, text FROM t")
	err = scan(rows, err, func(rows *sql.Rows) error {
		var n int
		var text string
		err := rows.Scan(&n, &text)
		got[n] = text
		return err
	})
	return got, err
}

func (p *pair) holds(who string, q queries, want map[int]string) error {
	p.t.Helper()
	got, err := allRows(q)
	if err == nil && !maps.Equal(got, want) {
		p.t.Fatalf("the %s finds %d rows which are not the %d that were written", who, len(got), len(want))
	}
	return err
}

// step does one thing at random and returns its error. The model follows what worked.
func (p *pair) step() error {
	if !p.began {
		if err := p.exec("BEGIN IMMEDIATE"); err != nil {
			return err
		}
		p.began, p.working, p.points = true, maps.Clone(p.committed), nil
	}
	switch k := p.r.IntN(40); {
	case k < 20 || len(p.working) == 0:
		p.next++
		text := strings.Repeat(fmt.Sprint(p.next, "."), p.r.IntN(3000))
		if err := p.exec("INSERT INTO t VALUES (?, ?)", p.next, text); err != nil {
			return err
		}
		p.working[p.next] = text
	case k < 23: // a statement that SQLite can undo alone
		if err := p.exec("UPDATE t SET text = text || 'w' WHERE n % 2 = 0"); err != nil {
			p.goesOn = p.exec("BEGIN IMMEDIATE") != nil // it can't begin within a transaction
			return err
		}
		for n := range p.working {
			if n%2 == 0 {
				p.working[n] += "w"
			}
		}
	case k < 28:
		n := slices.Collect(maps.Keys(p.working))[p.r.IntN(len(p.working))]
		text := strings.Repeat(fmt.Sprint(n, "!"), p.r.IntN(2000))
		if err := p.exec("UPDATE t SET text = ? WHERE n = ?", text, n); err != nil {
			return err
		}
		p.working[n] = text
	case k < 32:
		from := p.next - p.r.IntN(30)
		if err := p.exec("DELETE FROM t WHERE n < ?", from-20); err != nil {
			return err
		}
		maps.DeleteFunc(p.working, func(n int, _ string) bool { return n < from-20 })
	case k < 34:
		if err := p.exec(fmt.Sprint("SAVEPOINT p", len(p.points))); err != nil {
			return err
		}
		p.points = append(p.points, maps.Clone(p.working))
	case k < 36 && len(p.points) > 0:
		i := p.r.IntN(len(p.points))
		if err := p.exec(fmt.Sprint("ROLLBACK TO p", i)); err != nil {
			return err
		}
		p.working, p.points = maps.Clone(p.points[i]), p.points[:i+1]
	case k < 37:
		return p.holds("writer", p.writer, p.working)
	case k < 38:
		p.began = false
		return p.exec("ROLLBACK")
	case k < 40:
		p.tried = append(p.tried, p.working)
		if err := p.exec("COMMIT"); err != nil {
			return err
		}
		p.began, p.committed, p.tried = false, p.working, nil
	}
	return nil
}

// TestCombinedTransactions: pages that go to the log before their commit, are read
// back, written again and rolled back leave others with what was committed, always.
func TestCombinedTransactions(t *testing.T) {
	p := newPair(t, filepath.Join(private(t), "x.db"), 1)
	for range 2000 {
		if err := p.step(); err != nil {
			t.Fatal(err)
		}
		if err := p.holds("reader", p.reader, p.committed); err != nil {
			t.Fatal(err)
		}
	}
	wantWhole(t, p.reader)
}

// wantWhole: SQLite finds no damage.
func wantWhole(t *testing.T, db *sql.DB) {
	t.Helper()
	if found, err := structure(t.Context(), db, 3); err != nil || len(found) > 0 {
		t.Fatal(found, err)
	}
}

// TestCombinedFailures: a write or a sync fails at any place, or the disk is full
// for a while. What is committed is whole, what is not is gone, and a loss of power
// finds what was committed, or a later commit that failed at its end.
func TestCombinedFailures(t *testing.T) {
	dir := private(t)
	d := disk.New(disk.Options{Dir: dir, Model: true})
	defer d.Close()
	p := newPair(t, filepath.Join(dir, "x.db"), 2)
	failed, wentOn, full := map[error]int{}, 0, false
	for i := range 2000 {
		switch p.r.IntN(20) {
		case 0:
			d.Fail(disk.Write, 1+p.r.IntN(3), disk.IOWrite)
		case 1:
			d.Fail(disk.Sync, 1, disk.IOSync)
		case 2, 3:
			full = !full
			d.Fill(full)
		}
		if err := p.step(); err != nil {
			switch {
			case errors.Is(err, ErrFull):
				failed[ErrFull]++
			case errors.Is(err, ErrStorage):
				failed[ErrStorage]++
			default:
				t.Fatal(err)
			}
			full = false
			d.Fill(false)
			if p.goesOn {
				wentOn, p.goesOn = wentOn+1, false
				continue
			}
			_ = p.exec("ROLLBACK") // SQLite may have done it already
			p.began = false
		}
		if err := p.holds("reader", p.reader, p.committed); err != nil {
			t.Fatal(err)
		}
		if i%40 == 0 {
			p.cut(d, append(p.tried, p.committed))
		}
	}
	if failed[ErrFull] < 50 || failed[ErrStorage] < 50 || wentOn < 10 {
		t.Error("failures:", failed, wentOn)
	}
}

// cut takes the power away and looks for one of the states.
func (p *pair) cut(d *disk.Disk, states []map[int]string) {
	p.t.Helper()
	dir := filepath.Join(private(p.t), "cut")
	if err := d.Cut(dir, p.r); err != nil {
		p.t.Fatal(err)
	}
	db, err := openWriter(filepath.Join(dir, "x.db"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer db.Close()
	wantWhole(p.t, db)
	got, err := allRows(db)
	if err != nil {
		p.t.Fatal(err)
	}
	if !slices.ContainsFunc(states, func(m map[int]string) bool { return maps.Equal(got, m) }) {
		p.t.Fatalf("after a loss of power %d rows are there, which nobody committed", len(got))
	}
}

// TestRolledBackPagesAreDropped: what a rolled-back transaction left in the buffer
// is not written over the commit of another connection at the same place.
func TestRolledBackPagesAreDropped(t *testing.T) {
	path := filepath.Join(private(t), "x.db")
	p := newPair(t, path, 3)
	other, err := sql.Open("sqlite", dsn(path, url.Values{"_pragma": {"synchronous(FULL)", "wal_autocheckpoint(0)"}}))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for i := range 20 {
		// Written back, so that the rollback reads no page from the log, which would empty the buffer.
		if _, err := other.Exec(checkpoint); err != nil {
			t.Fatal(err)
		}
		if err := p.exec("BEGIN IMMEDIATE"); err != nil {
			t.Fatal(err)
		}
		for n := range 10 + i { // more than the cache
			if err := p.exec("INSERT INTO t VALUES (?, ?)", 1000+n, strings.Repeat("x", 4000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.exec("ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		for n := range 5 {
			p.committed[10*i+n] = strings.Repeat("y", 4000)
			if _, err := other.Exec("INSERT INTO t VALUES (?, ?)", 10*i+n, p.committed[10*i+n]); err != nil {
				t.Fatal(err)
			}
		}
		p.committed[500+i] = "z"
		if err := p.exec("INSERT INTO t VALUES (?, 'z')", 500+i); err != nil {
			t.Fatal(err)
		}
		fresh, err := openReaders(path, 1) // with an empty cache
		if err != nil {
			t.Fatal(err)
		}
		if err := p.holds("reader", fresh, p.committed); err != nil {
			t.Fatal(err)
		}
		wantWhole(t, fresh)
		_ = fresh.Close()
	}
}

// TestCombinedPieces: a commit of many pages reaches the disk in few writes.
func TestCombinedPieces(t *testing.T) {
	dir := private(t)
	d := disk.New(disk.Options{Dir: dir, Record: true})
	defer d.Close()
	p := newPair(t, filepath.Join(dir, "x.db"), 4)
	if err := p.exec("PRAGMA cache_size = 1000"); err != nil {
		t.Fatal(err)
	}
	before := len(d.Events())
	if err := p.exec("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 310) INSERT INTO t SELECT n, hex(zeroblob(1900)) FROM c"); err != nil {
		t.Fatal(err)
	}
	writes, size := 0, 0
	for _, e := range d.Events()[before:] {
		if e.Kind == disk.WAL && e.Op == disk.Write {
			writes, size = writes+1, size+len(e.Data)
		}
	}
	if least := size / combineMax; size < 310*4096 || writes > least+2 {
		t.Errorf("%d bytes in %d writes", size, writes)
	}
}

// TestWriterSyncs: combined writes rest on it.
func TestWriterSyncs(t *testing.T) {
	p := newPair(t, filepath.Join(private(t), "x.db"), 5)
	var level int
	if err := p.writer.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&level); err != nil || level < 2 {
		t.Fatalf("synchronous is %d, %v; 2 is FULL", level, err)
	}
}
