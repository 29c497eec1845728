package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func backup(t testing.TB, s *Store) (file string, c Copied) {
	t.Helper()
	file = filepath.Join(private(t), "backup.db")
	c, err := s.Backup(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return file, c
}

// TestBackupWhileOthersWrite: the copy is one moment of what was acknowledged, and
// a restored one goes on.
func TestBackupWhileOthersWrite(t *testing.T) {
	s, _ := run(t, Options{Dir: private(t)})
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var convs []Conversation
	for i := range 4 {
		_, c := newConversation(t, s, fmt.Sprint("k", i))
		convs = append(convs, c)
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				m := fromCustomer(c, fmt.Sprint(n))
				if _, err := Sync(context.Background(), func(d func(Appended, error)) error { return s.Append(m, d) }); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var acked []int64
	for _, c := range convs {
		acked = append(acked, must(t, func(d func(Appended, error)) error {
			return s.Append(Append{c.ID, "before the backup", KindSystem, "", "", "x"}, d)
		}).Seq)
	}
	shared, err := OpenShared(t.Context(), Options{Dir: filepath.Dir(s.path)}) // as the command does
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	file, c := backup(t, shared)
	cancel()
	writers.Wait()
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != c.Bytes || c.Conversations != 4 {
		t.Fatalf("%v %v %+v", info, err, c)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("beside it: %q %v", left, err)
	}
	dir := private(t)
	r, err := Restore(t.Context(), dir, file, RestoreOptions{})
	if err != nil || r.Messages != c.Messages || r.Erased != 0 || r.Aside != "" {
		t.Fatalf("%+v %v", r, err)
	}
	back, _ := run(t, Options{Dir: dir})
	for i, c := range convs {
		is, err := back.Conversation(t.Context(), c.ID)
		if err != nil || is.LastSeq < acked[i] {
			t.Fatalf("conversation %d: %+v %v, acknowledged before %d", i, is, err, acked[i])
		}
		wantDense(t, back, c.ID, int(is.LastSeq))
		if a, err := say(t, back, fromCustomer(c, "0")); err != nil || !a.Duplicate {
			t.Errorf("a resend: %+v %v", a, err)
		}
		if a, err := say(t, back, fromCustomer(c, "new")); err != nil || a.Seq != is.LastSeq+1 {
			t.Errorf("a new one: %+v %v", a, err)
		}
	}
}

func TestBackupRefuses(t *testing.T) {
	s, _ := fresh(t)
	file, _ := backup(t, s)
	_, err := s.Backup(t.Context(), file)
	wantErr(t, err, ErrExists)
	_, err = s.Backup(t.Context(), filepath.Join(t.TempDir(), "no", "such", "folder"))
	wantErr(t, err, ErrFolder)
	// What a backup that was killed left is in nobody's way.
	other := filepath.Join(t.TempDir(), "b.db")
	if err := os.WriteFile(other+partSuffix, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), other); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	third := filepath.Join(t.TempDir(), "c.db")
	if _, err := s.Backup(ctx, third); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := os.Stat(third + partSuffix); err == nil {
		t.Error("an interrupted backup leaves its part")
	}
}

func TestRestore(t *testing.T) {
	dir := private(t)
	s, stop := run(t, Options{Dir: dir})
	victim, other := fillWithCanaries(t, s, 30)
	file, _ := backup(t, s)
	_, err := Restore(t.Context(), dir, file, RestoreOptions{Force: true})
	wantErr(t, err, ErrLocked)
	if _, err := s.Erase(t.Context(), victim.ID, Actor{Kind: KindSystem}); err != nil {
		t.Fatal(err)
	}
	sayText(t, s, other, "later", "written after the backup")
	stop()

	before, err := os.ReadFile(filepath.Join(dir, dbName))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Restore(t.Context(), dir, file, RestoreOptions{})
	wantErr(t, err, ErrExists)
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"cut off", data[:len(data)/2], ErrDamaged},
		{"other bytes", bytes.Replace(data, []byte("我的密码"), []byte("他的密码"), 1), ErrDamaged},
		{"not a database", []byte(strings.Repeat("hello ", 2000)), ErrDamaged},
		{"empty", nil, ErrFolder},
	} {
		if err := os.WriteFile(damaged, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = Restore(t.Context(), dir, damaged, RestoreOptions{Force: true})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	_, err = Restore(t.Context(), dir, filepath.Join(dir, "none"), RestoreOptions{Force: true})
	wantErr(t, err, ErrFolder)
	if after, err := os.ReadFile(filepath.Join(dir, dbName)); err != nil || !bytes.Equal(before, after) {
		t.Fatalf("a refused restore changed the data: %v", err)
	}

	r, err := Restore(t.Context(), dir, file, RestoreOptions{Force: true})
	if err != nil || r.Erased != 1 || r.Conversations != 1 || !strings.Contains(r.Aside, "replaced-") {
		t.Fatalf("%+v %v", r, err)
	}
	if found := traces(t, dir); len(found) > 0 {
		t.Errorf("what was erased came back: %q", found)
	}
	left := filepath.Join(dir, restoreDir) // by a restore that was killed
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	s, stop = run(t, Options{Dir: dir})
	if err := s.FinishErasures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("the server keeps what a killed restore left")
	}
	wantErased(t, s, victim, other, 30) // and not what was written after the backup
	stop()
	old, err := CheckFolder(t.Context(), r.Aside)
	if err != nil || old.Err() != nil || old.Messages != 31 {
		t.Errorf("the data from before: %+v %v", old, err)
	}

	// A new machine, with the list that was kept.
	list := filepath.Join(t.TempDir(), "kept.log")
	ids, err := os.ReadFile(filepath.Join(dir, eraseListName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, ids, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		next := private(t)
		if r, err = Restore(t.Context(), next, file, RestoreOptions{EraseList: list}); err != nil || r.Erased != 1 || r.Unlisted {
			t.Fatalf("%+v %v", r, err)
		}
		if found := traces(t, next); len(found) > 0 {
			t.Errorf("on a new machine: %q", found)
		}
		list = filepath.Join(next, eraseListName) // it has come along
	}
	if r, err := Restore(t.Context(), private(t), file, RestoreOptions{}); err != nil || !r.Unlisted {
		t.Errorf("without a list: %+v %v", r, err)
	}
	_, err = Restore(t.Context(), private(t), file, RestoreOptions{EraseList: "/nowhere/erasures.log"})
	wantErr(t, err, ErrFolder)
}

// TestBackupOfAnOlderVersion: the backup before an update is really of before, and
// the data are what they were.
func TestBackupOfAnOlderVersion(t *testing.T) {
	known, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	dir := private(t)
	db, err := openWriter(filepath.Join(dir, dbName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // it stands for the older server that runs
	if err := migrate(t.Context(), db, known[:1], time.UnixMilli(1)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(private(t), "before.db")
	if _, err := BackupFolder(t.Context(), dir, file); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, dbName), file} {
		r, err := openReaders(path, 1)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := schemaVersion(t.Context(), r); err != nil || v != 1 {
			t.Errorf("%s has version %d, %v", path, v, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	next := private(t)
	if _, err := Restore(t.Context(), next, file, RestoreOptions{}); err != nil {
		t.Error(err)
	}
	_, err = BackupFolder(t.Context(), private(t), file+"2")
	wantErr(t, err, ErrFolder)
}

// TestRestoreOfANewerBackup: it is refused, and nothing is left of the try.
func TestRestoreOfANewerBackup(t *testing.T) {
	s, _ := fresh(t)
	must(t, func(d func(struct{}, error)) error { return s.SetSetting("x", "y", d) })
	if _, err := patiently(t.Context(), s, func(t *tx) (int64, error) {
		return t.exec("INSERT INTO migrations (number, name, applied_at) VALUES (999, 'future', 0)")
	}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "newer.db")
	_, err := s.Backup(t.Context(), file)
	wantErr(t, err, ErrNewer)
	if err := createEmpty(file); err != nil {
		t.Fatal(err)
	}
	if err := copyInto(t.Context(), s.path, file); err != nil {
		t.Fatal(err)
	}
	dir := private(t)
	_, err = Restore(t.Context(), dir, file, RestoreOptions{})
	wantErr(t, err, ErrNewer)
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 { // the lock
		t.Errorf("left: %q %v", left, err)
	}
}

func TestRetain(t *testing.T) {
	dir, c := private(t), newClock()
	s, _ := run(t, Options{Dir: dir, Clock: c.Now})
	victim, other := fillWithCanaries(t, s, 60) // claimed, and waiting
	must(t, func(d func(Entry, error)) error {
		return s.Audit(Entry{Kind: "test.old", Actor: Actor{Kind: KindSystem}}, d)
	})
	closeIt(t, s, victim.ID)
	policy := RetentionPolicy{Chat: 90 * 24 * time.Hour, Audit: 400 * 24 * time.Hour}
	retain := func(p RetentionPolicy) Retained {
		t.Helper()
		r, err := s.Retain(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	c.add(90 * 24 * time.Hour)
	if r := retain(policy); r != (Retained{}) {
		t.Errorf("at the limit: %+v", r)
	}
	c.add(time.Millisecond)
	if r := retain(RetentionPolicy{}); r != (Retained{}) {
		t.Errorf("switched off: %+v", r)
	}
	if r := retain(policy); r != (Retained{Conversations: 1, Messages: 60}) {
		t.Errorf("past the limit: %+v", r)
	}
	if found := traces(t, dir); len(found) > 0 {
		t.Errorf("%q", found)
	}
	wantErased(t, s, victim, other, 60) // one that waits is kept
	if listed, err := s.listedErasures(); err != nil || len(listed) > 0 {
		t.Errorf("retention fills the erase list: %q %v", listed, err)
	}

	// The audit log: what is old goes, the newest entry stays.
	c.add(310*24*time.Hour + time.Millisecond) // 400 days and 2 ms after the first
	if r := retain(policy); r != (Retained{Audit: 1}) {
		t.Errorf("audit: %+v", r)
	}
	log, err := s.AuditLog(t.Context(), "", 0, 10)
	if err != nil || len(log) != 1 || log[0].Kind != "conversation.erase" {
		t.Fatalf("%+v %v", log, err)
	}
	c.add(1000 * 24 * time.Hour)
	if r := retain(policy); r != (Retained{}) {
		t.Errorf("the last entry: %+v", r)
	}
	if e := must(t, func(d func(Entry, error)) error {
		return s.Audit(Entry{Kind: "test.new", Actor: Actor{Kind: KindSystem}}, d)
	}); e.ID != log[0].ID+1 {
		t.Errorf("numbers begin anew: %d after %d", e.ID, log[0].ID)
	}
	if err := s.forgetErasures(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestRetainAuditOfAWrongClock: entries that were stamped in the future, more than one
// transaction deletes, don't keep those behind them.
func TestRetainAuditOfAWrongClock(t *testing.T) {
	s, clock := fresh(t)
	audit := func(n int) {
		t.Helper()
		for range n {
			must(t, func(d func(Entry, error)) error {
				return s.Audit(Entry{Kind: "e", Actor: Actor{Kind: KindSystem}}, d)
			})
		}
	}
	clock.add(10 * KeepAudit)
	audit(auditBatch + 1)
	clock.add(-10 * KeepAudit)
	audit(auditBatch + 5)
	clock.add(KeepAudit + time.Millisecond)
	audit(1)
	r, err := s.Retain(t.Context(), RetentionPolicy{Audit: KeepAudit})
	if err != nil || r.Audit != auditBatch+5 {
		t.Errorf("%+v %v", r, err)
	}
	if log, err := s.AuditLog(t.Context(), "", 0, 1000); err != nil || len(log) != auditBatch+2 {
		t.Errorf("%d entries are left, %v", len(log), err)
	}
}

// TestAuditGuard: nobody deletes from the audit log but retention, and it no more
// than it says.
func TestAuditGuard(t *testing.T) {
	s, clock := fresh(t)
	for i := range 2*auditBatch + 50 {
		clock.add(time.Hour)
		must(t, func(d func(Entry, error)) error {
			return s.Audit(Entry{Kind: fmt.Sprint("e", i), Actor: Actor{Kind: KindSystem}}, d)
		})
	}
	refused := func(text string, args ...any) {
		t.Helper()
		_, err := do(t, func(d func(int64, error)) error {
			return submit(s, func(t *tx) (int64, error) { return t.exec(text, args...) }, d)
		})
		wantErr(t, err, ErrConflict)
	}
	refused("DELETE FROM audit WHERE id = 1")
	refused("UPDATE audit SET body = '{}' WHERE id = 1")
	n, err := patiently(t.Context(), s, func(t *tx) (int64, error) { return t.deleteAudit(clock.Now().Add(-time.Hour), 10) })
	if err != nil || n != 10 {
		t.Fatal(n, err)
	}
	refused("DELETE FROM audit WHERE id = 11")
	// A horizon that is left open lets nothing newer go.
	_, err = do(t, func(d func(int64, error)) error {
		return submit(s, func(t *tx) (int64, error) {
			if _, err := t.exec("INSERT INTO audit_horizon (id, before) VALUES (1, ?)", clock.Now().UnixMilli()); err != nil {
				return 0, err
			}
			return t.exec("DELETE FROM audit")
		}, d)
	})
	wantErr(t, err, ErrConflict)
	r, err := s.Retain(t.Context(), RetentionPolicy{Audit: 30 * time.Hour})
	if err != nil || r.Audit != 2*auditBatch+50-10-31 {
		t.Errorf("%+v %v", r, err)
	}
}
