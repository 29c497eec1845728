package disk

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// open opens a database as the store does, with one table.
func open(t testing.TB, dir, synchronous string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "x.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous("+synchronous+")")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, text TEXT)"); err != nil {
		t.Fatal(err)
	}
	return db
}

func insert(db *sql.DB, n int) error {
	_, err := db.Exec("INSERT INTO t VALUES (?, ?)", n, fmt.Sprint("text ", n, strings.Repeat(".", n%3000)))
	return err
}

// rows are the numbers in a folder's database; it must be whole.
func rows(t testing.TB, dir string) map[int]bool {
	t.Helper()
	db := open(t, dir, "FULL")
	defer db.Close()
	var ok string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&ok); err != nil || ok != "ok" {
		t.Fatalf("integrity check: %s, %v", ok, err)
	}
	out := map[int]bool{}
	list, err := db.Query("SELECT n FROM t")
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	for list.Next() {
		var n int
		if err := list.Scan(&n); err != nil {
			t.Fatal(err)
		}
		out[n] = true
	}
	return out
}

// lostAfterCuts inserts rows, cuts the power after some of them, and counts the committed rows that are gone.
func lostAfterCuts(t *testing.T, synchronous string, lie bool, seed uint64) (lost int) {
	t.Helper()
	dir := t.TempDir()
	d := New(Options{Dir: dir, Model: true})
	defer d.Close()
	db := open(t, dir, synchronous)
	d.Lie(lie)
	r := rand.New(rand.NewPCG(seed, 1))
	for n := 1; n <= 400; n++ {
		if err := insert(db, n); err != nil {
			t.Fatal(err)
		}
		if n%40 != 0 {
			continue
		}
		random := r
		if n%80 == 0 {
			random = nil // the other extreme: nothing unsynced survives
		}
		cut := filepath.Join(t.TempDir(), "cut")
		if err := d.Cut(cut, random); err != nil {
			t.Fatal(err)
		}
		there := rows(t, cut)
		for i := 1; i <= n; i++ {
			if !there[i] {
				lost++
			}
		}
		if len(there) > n {
			t.Fatalf("%d rows after %d inserts", len(there), n)
		}
	}
	return lost
}

// TestCut: with synchronous=FULL no committed row is ever lost. The same model catches OFF, NORMAL and a disk that
// lies, so a run without losses says something.
func TestCut(t *testing.T) {
	const seed = 1
	if lost := lostAfterCuts(t, "FULL", false, seed); lost != 0 {
		t.Errorf("seed %d: FULL lost %d rows", seed, lost)
	}
	for _, mutant := range []struct {
		synchronous string
		lie         bool
	}{{"OFF", false}, {"NORMAL", false}, {"FULL", true}} {
		if lost := lostAfterCuts(t, mutant.synchronous, mutant.lie, seed); lost == 0 {
			t.Errorf("seed %d: %+v lost nothing: the model is blind", seed, mutant)
		}
	}
}

// TestCutDuringRollbackJournal: the journal's deletion is the commit there, and it may be undone or not.
func TestCutDuringRollbackJournal(t *testing.T) {
	dir := t.TempDir()
	d := New(Options{Dir: dir, Model: true})
	defer d.Close()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "x.db")+"?_pragma=journal_mode(DELETE)&_pragma=synchronous(EXTRA)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)"); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 7))
	for n := 1; n <= 60; n++ {
		if err := insert(db, n); err != nil {
			t.Fatal(err)
		}
		cut := filepath.Join(t.TempDir(), "cut")
		if err := d.Cut(cut, r); err != nil {
			t.Fatal(err)
		}
		if there := rows(t, cut); len(there) != n {
			t.Fatalf("%d rows after %d commits", len(there), n)
		}
	}
}

func TestFailures(t *testing.T) {
	dir := t.TempDir()
	d := New(Options{Dir: dir, Model: true})
	defer d.Close()
	db := open(t, dir, "FULL")
	check := func(n int, want string) {
		t.Helper()
		err := insert(db, n)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Fatalf("insert %d: %v, want %q", n, err, want)
		}
	}
	check(1, "")
	d.Fill(true)
	check(2, "full")
	check(2, "full")
	d.Fill(false)
	check(2, "")
	d.Fail(Sync, 1, IOSync)
	if !d.Failing() {
		t.Error("a failure is ordered, but not to come")
	}
	check(3, "I/O")
	if d.Failing() {
		t.Error("the failure was not used up")
	}
	check(4, "")
	d.Fail(Write, 2, IOWrite)
	check(5, "I/O")
	check(6, "")
	cut := filepath.Join(t.TempDir(), "cut")
	if err := d.Cut(cut, nil); err != nil {
		t.Fatal(err)
	}
	if there := rows(t, cut); len(there) != 4 || there[3] || there[5] {
		t.Errorf("after the cut: %v", there)
	}
}

// TestFailedSyncIsLimbo: bytes of a failed sync are not made durable by the next sync, which covers others.
func TestFailedSyncIsLimbo(t *testing.T) {
	s := &state{named: true, image: []byte("aaaaaa")}
	s.changed(change{off: 0, data: []byte("bb")})
	s.lost(s.now())
	s.changed(change{off: 4, data: []byte("cc")})
	s.synced(s.now())
	if got, _ := s.after(nil); string(got) != "aaaacc" {
		t.Errorf("got %q", got)
	}
	s.changed(change{off: 0, data: []byte("ddd")})
	s.synced(s.now())
	if got, _ := s.after(nil); string(got) != "dddacc" || len(s.limbo) != 0 {
		t.Errorf("got %q, %d in limbo", got, len(s.limbo))
	}
}

// TestLimboEndsInPart: what is written over a part of a failed write, and synced, is on the disk; the rest stays open.
func TestLimboEndsInPart(t *testing.T) {
	for _, c := range []struct {
		by   change
		want []change
	}{
		{change{off: 10, data: make([]byte, 10)}, nil},
		{change{off: 5, data: make([]byte, 20)}, nil},
		{change{off: 10, data: make([]byte, 3)}, []change{{off: 13, data: []byte("3456789")}}},
		{change{off: 12, data: make([]byte, 3)}, []change{{off: 10, data: []byte("01")}, {off: 15, data: []byte("56789")}}},
		{change{off: 17, data: make([]byte, 9)}, []change{{off: 10, data: []byte("0123456")}}},
		{change{off: 20, data: make([]byte, 9)}, []change{{off: 10, data: []byte("0123456789")}}},
		{change{off: 0, data: make([]byte, 10)}, []change{{off: 10, data: []byte("0123456789")}}},
		{change{off: 10, truncate: true}, nil},
		{change{off: 13, truncate: true}, []change{{off: 10, data: []byte("012")}}},
		{change{off: 20, truncate: true}, []change{{off: 10, data: []byte("0123456789")}}},
	} {
		s := &state{named: true, limbo: []change{{off: 10, data: []byte("0123456789")}}}
		s.changed(c.by)
		s.synced(s.now())
		if !reflect.DeepEqual(s.limbo, c.want) {
			t.Errorf("after %+v in limbo: %+v, want %+v", c.by, s.limbo, c.want)
		}
	}
}

func TestEventsAndHold(t *testing.T) {
	dir := t.TempDir()
	d := New(Options{Dir: dir, Record: true, SyncDelay: time.Millisecond})
	defer d.Close()
	db := open(t, dir, "FULL")
	d.Hold()
	done := make(chan error, 1)
	go func() { done <- insert(db, 77) }()
	d.WaitHeld()
	select {
	case err := <-done:
		t.Fatalf("the insert ended with %v while its sync was held", err)
	default:
	}
	d.Release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	written, synced := -1, -1
	for i, e := range d.Events() {
		if e.Op == Write && e.Kind == WAL && bytes.Contains(e.Data, []byte("text 77")) {
			written = i
		}
		if e.Op == Sync && e.Kind == WAL && e.Real {
			synced = i
			if e.End.Sub(e.Begin) < time.Millisecond {
				t.Errorf("a sync took %s in spite of the delay", e.End.Sub(e.Begin))
			}
		}
	}
	if written < 0 || synced < written {
		t.Errorf("written at event %d, synced at %d", written, synced)
	}
	if _, err := os.Stat(filepath.Join(dir, "x.db-wal")); err != nil {
		t.Error(err)
	}
	if err := d.Cut(t.TempDir(), nil); err == nil {
		t.Error("Cut without a model says nothing")
	}
}

// TestSyncsOverlap: two connections sync the same file at once, as a checkpoint beside the writer does. The later one
// has nothing left to settle.
func TestSyncsOverlap(t *testing.T) {
	s := &state{named: true, image: []byte("aaaa")}
	s.changed(change{off: 0, data: []byte("b")})
	first := s.now()
	s.changed(change{off: 1, data: []byte("c")})
	second := s.now()
	s.changed(change{off: 2, data: []byte("d")})
	s.synced(second)
	s.synced(first)
	if got, _ := s.after(nil); string(got) != "bcaa" || len(s.pending) != 1 {
		t.Errorf("got %q, %d pending", got, len(s.pending))
	}
}
