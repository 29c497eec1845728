// Migrations with data: from the first release's schema, and cut off half-way.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// firstFile makes a database as migration 1 left it, with n conversations of 1…n
// messages each, and returns their ids.
func firstFile(t testing.TB, dir string, n int) []string {
	t.Helper()
	path := filepath.Join(dir, dbName)
	if err := prepareFile(path); err != nil {
		t.Fatal(err)
	}
	db, err := openWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), db, all[:1], time.UnixMilli(1)); err != nil {
		t.Fatal(err)
	}
	exec := func(text string, args ...any) {
		t.Helper()
		if _, err := db.Exec(text, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec("INSERT INTO agents (id, name, role, created_at) VALUES ('ana', 'Ana', 'agent', 1)")
	var ids []string
	for i := range n {
		id := fmt.Sprintf("conversation-%c", 'z'-i) // not in the order of their making
		ids = append(ids, id)
		exec("INSERT INTO customers (id, thumbprint, kind, pub, created_at) VALUES (?, ?, 'p256', ?, 1)", "c"+id, id, []byte("pub"))
		exec(`INSERT INTO conversations (id, customer_id, state, created_at, waiting_since, last_at, last_seq, claimed_by, claimed_at)
			VALUES (?, ?, 'claimed', ?, ?, ?, ?, 'ana', ?)`, id, "c"+id, 1000+i, 1000+i, 5000+i, i+1, 2000+i)
		exec("INSERT INTO marks (conversation, side, received, read) VALUES (?, 'agent', ?, 0)", id, i)
		for seq := range i + 1 {
			kind, sender := "customer", "c"+id
			if seq%2 == 1 {
				kind, sender = "agent", "ana"
			}
			exec(`INSERT INTO messages (conversation, seq, id, sender_kind, sender_id, sender_name, text, at)
				VALUES (?, ?, ?, ?, ?, 'Name', ?, ?)`, id, seq+1, fmt.Sprint("m", seq+1), kind, sender, fmt.Sprint("退款 ", seq+1), 3000+seq)
		}
	}
	return ids
}

// wantMoved checks that everything of firstFile is there, and works on.
func wantMoved(t *testing.T, dir string, ids []string) {
	t.Helper()
	s, stop := run(t, Options{Dir: dir})
	defer stop()
	for i, id := range ids {
		wantDense(t, s, id, i+1)
		list, err := s.Messages(t.Context(), id, Range{})
		if err != nil {
			t.Fatal(err)
		}
		for k, m := range list {
			want := Message{id, int64(k + 1), fmt.Sprint("m", k+1), KindCustomer, "c" + id, "Name", fmt.Sprint("退款 ", k+1), fromMs(int64(3000 + k)), false}
			if k%2 == 1 {
				want.SenderKind, want.SenderID = KindAgent, "ana"
			}
			if m != want {
				t.Fatalf("got %#v, want %#v", m, want)
			}
		}
		again := Append{id, "m1", KindCustomer, "c" + id, "Name", "退款 1"}
		if got, err := say(t, s, again); err != nil || !got.Duplicate || got.Seq != 1 || got.At != fromMs(3000) {
			t.Fatalf("a resend after the migration: %+v, %v", got, err)
		}
		again.Text = "other"
		_, err = say(t, s, again)
		wantErr(t, err, ErrIDReused)
		if got, err := say(t, s, Append{id, "new", KindAgent, "ana", "Ana", "hello"}); err != nil || got.Seq != int64(i+2) {
			t.Fatalf("the next message: %+v, %v", got, err)
		}
		if marks, err := s.Marks(t.Context(), id); err != nil || marks.Agent.Received != int64(i) {
			t.Fatalf("marks %+v, %v", marks, err)
		}
	}
	if ok, err := intact(s); err != nil || ok != "ok" {
		t.Fatalf("integrity check: %s, %v", ok, err)
	}
}

func TestMigrateFirstRelease(t *testing.T) {
	dir := private(t)
	wantMoved(t, dir, firstFile(t, dir, 20))
}

// TestMigrateEachRelease goes from every version to today's, with data that its
// program could have written.
func TestMigrateEachRelease(t *testing.T) {
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	for version := 1; version < len(all); version++ {
		dir := private(t)
		ids := firstFile(t, dir, 6)
		db, err := openWriter(filepath.Join(dir, dbName))
		if err != nil {
			t.Fatal(err)
		}
		if err := migrate(t.Context(), db, all[:version], time.UnixMilli(2)); err != nil {
			t.Fatal(err)
		}
		for i := range 40 { // of which one is live
			if _, err := db.Exec(`INSERT INTO sessions (id, conversation, customer_id, agent_id, requested_by, state, created_at, ended_at)
				VALUES (?, ?, ?, 'ana', 'agent', ?, 1, ?)`, fmt.Sprint("s", i), ids[i%3], "c"+ids[i%3],
				map[bool]string{true: "connected", false: "ended"}[i == 0], map[bool]any{true: nil, false: 1}[i == 0]); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.Exec("INSERT INTO audit (id, at, conversation, kind, actor_kind, actor_id, body) VALUES (1, 1, ?, 'k', 'system', '', '{}')", ids[0]); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		wantMoved(t, dir, ids)
		s, stop := run(t, Options{Dir: dir})
		if live, err := s.LiveSessions(t.Context()); err != nil || len(live) != 1 {
			t.Errorf("from version %d: %d live sessions, %v", version, len(live), err)
		}
		if e, err := s.Erase(t.Context(), ids[0], Actor{Kind: KindSystem}); err != nil || e.Messages != 2 {
			t.Errorf("from version %d: %+v %v", version, e, err)
		}
		if hits := search(t, s, "退款", SearchOptions{}); len(hits) != 2+3+4+5+6 {
			t.Errorf("from version %d: %d hits", version, len(hits))
		}
		if r, err := CheckFolder(t.Context(), dir); err != nil || r.Err() != nil {
			t.Errorf("from version %d: %v %v", version, err, r.Damage)
		}
		stop()
	}
}

// TestMigrateManyPages moves more messages than one page of the move.
func TestMigrateManyPages(t *testing.T) {
	dir := private(t)
	ids := firstFile(t, dir, 1)
	db, err := openWriter(filepath.Join(dir, dbName))
	if err != nil {
		t.Fatal(err)
	}
	const n = 2500
	if _, err := db.Exec(`INSERT INTO messages (conversation, seq, id, sender_kind, sender_id, sender_name, text, at)
		WITH RECURSIVE k (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM k WHERE i < ?)
		SELECT ?, i, 'm' || i, 'system', '', '', 'text', i FROM k`, n, ids[0]); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ := run(t, Options{Dir: dir})
	wantDense(t, s, ids[0], n)
}

// content is every row of every table of migration 1, as text.
func content(t testing.TB, dir string) string {
	t.Helper()
	db, err := openReaders(filepath.Join(dir, dbName), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var out strings.Builder
	q := func(each func(*sql.Rows) error, text string, args ...any) error {
		rows, err := db.Query(text, args...)
		return scan(rows, err, each)
	}
	tables, err := list(q, scanOne[string], "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	out.WriteString(strings.Join(tables, "\n"))
	for _, table := range []string{"conversations", "messages", "marks", "migrations"} {
		if err := q(func(rows *sql.Rows) error {
			names, err := rows.Columns()
			if err != nil {
				return err
			}
			cells := make([]any, len(names))
			for i := range cells {
				cells[i] = new(any)
			}
			if err := rows.Scan(cells...); err != nil {
				return err
			}
			for _, c := range cells {
				fmt.Fprint(&out, *c.(*any), "|")
			}
			out.WriteString("\n")
			return nil
		}, "SELECT * FROM "+table+" ORDER BY 1, 2"); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// TestMigrateFailsHalfway has each statement of each migration after the first
// fail in turn: the old state stays, and the next start succeeds.
func TestMigrateFailsHalfway(t *testing.T) {
	dir := private(t)
	ids := firstFile(t, dir, 6)
	before := content(t, dir)
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for number := 2; number <= len(all); number++ {
		m := all[number-1]
		parts := statements(m.sql)
		for cut := range parts {
			broken := append([]migration{}, all...)
			broken[number-1].sql = strings.Join(parts[:cut+1], ";") + "; SELECT no_such_function()"
			db, err := openWriter(filepath.Join(dir, dbName))
			if err != nil {
				t.Fatal(err)
			}
			err = migrate(t.Context(), db, broken, time.Now())
			if cerr := db.Close(); cerr != nil {
				t.Fatal(cerr)
			}
			if err == nil || !strings.Contains(err.Error(), m.name) {
				t.Fatalf("%s cut after %d statements: %v", m.name, cut+1, err)
			}
			if after := content(t, dir); after != before {
				t.Fatalf("%s cut after %d statements left\n%s\nwant\n%s", m.name, cut+1, after, before)
			}
			failed++
		}
	}
	if failed < 4 {
		t.Fatalf("%d cuts", failed)
	}
	wantMoved(t, dir, ids)
}

// statements splits a migration; none has a semicolon inside a text.
func statements(text string) []string {
	var kept []string
	for _, line := range strings.Split(text, "\n") {
		if code, _, _ := strings.Cut(line, "--"); strings.TrimSpace(code) != "" {
			kept = append(kept, code)
		}
	}
	var out []string
	for _, s := range strings.Split(strings.Join(kept, "\n"), ";") {
		if strings.TrimSpace(s) != "" {
			out = append(out, s)
		}
	}
	return out
}

// migrateChild runs in a process of its own: it applies the migrations, and ends
// like a killed process after the given number of moved messages, or before the commit.
func migrateChild(dir string, kill int) {
	all, err := migrations()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	db, err := openWriter(filepath.Join(dir, dbName))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	die := func(ctx context.Context, conn *sql.Conn) error {
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, "PRAGMA cache_spill = ON"); err != nil {
			return err
		}
		return errors.Join(self.Kill(), errors.New("still here"))
	}
	parts := statements(all[1].sql)
	if kill < len(parts) {
		all[1].sql = strings.Join(parts[:kill+1], ";")
		steps[2] = die
	} else {
		move := steps[2]
		steps[2] = func(ctx context.Context, conn *sql.Conn) error {
			return errors.Join(move(ctx, conn), die(ctx, conn))
		}
	}
	fmt.Println("survived", migrate(context.Background(), db, all, time.Now()))
	os.Exit(1)
}

// TestMigrateKilled kills the process after each statement: the old state stays,
// with the file as it was, and the next start succeeds.
func TestMigrateKilled(t *testing.T) {
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for kill := range len(statements(all[1].sql)) + 1 {
		dir := private(t)
		ids := firstFile(t, dir, 4)
		before := content(t, dir)
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "LOOKALONG_MIGRATE_CHILD="+dir, fmt.Sprint("LOOKALONG_MIGRATE_KILL=", kill))
		out, err := cmd.CombinedOutput()
		if err == nil || len(out) > 0 || cmd.ProcessState.Exited() {
			t.Fatalf("the child was not killed: %v, %s", err, out)
		}
		if after := content(t, dir); after != before {
			t.Fatalf("killed at %d it left\n%s", kill, after)
		}
		wantMoved(t, dir, ids)
	}
}
