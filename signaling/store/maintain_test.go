package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestMaintain: at its start it completes an erasure, applies retention, indexes
// and checks, and it ends when it is told to.
func TestMaintain(t *testing.T) {
	dir, c := private(t), newClock()
	s, _ := run(t, Options{Dir: dir, Clock: c.Now})
	victim, other := fillWithCanaries(t, s, 20)
	_, old := newConversation(t, s, "old")
	sayText(t, s, old, "1", "long ago")
	closeIt(t, s, old.ID)
	c.add(KeepChat + time.Hour)
	sayText(t, s, other, "new", "brandnew 退款")
	if err := s.listErasure(victim.ID); err != nil { // and no further: as if killed
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	reports, ended := make(chan error, 100), make(chan error, 1)
	go func() {
		ended <- s.Maintain(ctx, Maintenance{Retention: RetentionPolicy{Chat: KeepChat}, Report: func(err error) { reports <- err }})
	}()
	if err := <-reports; err != nil {
		t.Errorf("reported %v of whole data", err)
	}
	// What a reader can see shows that the chores are done.
	for done := false; !done; time.Sleep(time.Millisecond) {
		_, gone := s.Conversation(t.Context(), old.ID)
		at, err := first(s.reader(t.Context()), scanOne[int64], "n", `SELECT count(*) FROM erasures WHERE done_at IS NULL`)
		if err != nil {
			t.Fatal(err)
		}
		indexed, err := first(s.reader(t.Context()), scanOne[int64], "n",
			"SELECT count(*) FROM messages WHERE pos > (SELECT indexed FROM search_state)")
		if err != nil {
			t.Fatal(err)
		}
		done = errors.Is(gone, ErrNotFound) && at == 0 && indexed == 0
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if found := traces(t, dir); len(found) > 0 {
		t.Errorf("%q", found)
	}
	wantErased(t, s, victim, other, 21)
}

// TestMaintainReportsDamage: the check in the background tells, and so does Health.
func TestMaintainReportsDamage(t *testing.T) {
	s, _ := fresh(t)
	_, c := newConversation(t, s, "k")
	sayText(t, s, c, "1", "good")
	if _, err := patiently(t.Context(), s, func(t *tx) (int64, error) { return t.exec("UPDATE messages SET text = 'bad'") }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	reports, ended := make(chan error, 100), make(chan error, 1)
	go func() { ended <- s.Maintain(ctx, Maintenance{Report: func(err error) { reports <- err }}) }()
	wantErr(t, <-reports, ErrDamaged)
	wantErr(t, s.Health().Damage, ErrDamaged)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestRestoreOfAnOlderBackup: a file of the first version is brought up to date on
// the way, and what is on the erase list does not come back.
func TestRestoreOfAnOlderBackup(t *testing.T) {
	known, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(private(t), "old.db")
	db, err := openWriter(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), db, known[:1], time.UnixMilli(1)); err != nil {
		t.Fatal(err)
	}
	for _, stmt := range []string{
		"INSERT INTO customers (id, thumbprint, kind, pub, created_at) VALUES ('cu', 't', 'p256', x'00', 1), ('cv', 'u', 'p256', x'01', 1)",
		"INSERT INTO conversations (id, customer_id, state, created_at, waiting_since, last_at, last_seq) VALUES ('kept', 'cu', 'waiting', 1, 1, 1, 1), ('gone', 'cv', 'waiting', 1, 1, 1, 1)",
		"INSERT INTO messages (conversation, seq, id, sender_kind, sender_id, sender_name, text, at) VALUES ('kept', 1, 'm', 'customer', 'cu', 'V', 'old words', 1), ('gone', 1, 'm', 'customer', 'cv', 'V', 'x 7f3a91c4', 1)",
	} {
		if _, err := db.Exec(stmt); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	dir := private(t)
	if err := os.WriteFile(filepath.Join(dir, eraseListName), []byte("gone\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Restore(t.Context(), dir, file, RestoreOptions{})
	if err != nil || r.Erased != 1 || r.Messages != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	if found := traces(t, dir); len(found) > 0 {
		t.Errorf("%q", found)
	}
	s, _ := run(t, Options{Dir: dir})
	wantHits(t, s, "words", "1:words")
	if rep, err := CheckFolder(t.Context(), dir); err != nil || rep.Err() != nil {
		t.Errorf("%+v %v", rep, err)
	}
}

// TestRetentionWaitsAfterAJump: a clock that is set wrong must not erase everything.
func TestRetentionWaitsAfterAJump(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var p pace
	for i, c := range []struct {
		wall, mono time.Duration
		want       error
	}{
		{0, 0, nil},
		{time.Hour + time.Minute, time.Hour, nil}, // set right
		{1000 * 24 * time.Hour, 2 * time.Hour, ErrClock},
		{1000*24*time.Hour + time.Hour, 3 * time.Hour, nil}, // it was right
		{4 * time.Hour, 4 * time.Hour, ErrClock},            // it was wrong, and back
		{5 * time.Hour, 5 * time.Hour, nil},
	} {
		if err := p.check(start.Add(c.wall), c.mono); !errors.Is(err, c.want) {
			t.Errorf("pass %d: %v, want %v", i, err, c.want)
		}
	}
}

// TestRetainWaitsInMaintain: the pass after a jump reports and deletes nothing.
func TestRetainWaitsInMaintain(t *testing.T) {
	s, c := fresh(t)
	_, old := newConversation(t, s, "old")
	closeIt(t, s, old.ID)
	pass := s.retention(RetentionPolicy{Chat: KeepChat}, func() {})
	if err := pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.add(KeepChat + 24*time.Hour)
	wantErr(t, pass(t.Context()), ErrClock)
	if _, err := s.Conversation(t.Context(), old.ID); err != nil {
		t.Errorf("erased by a jump: %v", err)
	}
	if err := pass(t.Context()); err != nil { // the calendar is believed now
		t.Fatal(err)
	}
	_, err := s.Conversation(t.Context(), old.ID)
	wantErr(t, err, ErrNotFound)
}

// TestRetainCustomers: who never began a conversation goes when they weren't seen for
// as long as a chat is kept; whoever came back, or has one, stays.
func TestRetainCustomers(t *testing.T) {
	s, c := fresh(t)
	const many = 2*customerBatch + 1
	for i := range many {
		newCustomer(t, s, fmt.Sprint("gone", i))
	}
	back, again := newCustomer(t, s, "back"), newCustomer(t, s, "again")
	talks, _ := newConversation(t, s, "talks")
	policy := RetentionPolicy{Chat: KeepChat}
	forgot := 0
	pass := s.retention(policy, func() { forgot++ })
	look := func(thumbprint string) Customer {
		t.Helper()
		k, err := s.CustomerByThumbprint(t.Context(), thumbprint)
		if err != nil {
			t.Fatal(err)
		}
		must(t, func(d func(struct{}, error)) error { return s.SetSetting("all before are stored", "", d) })
		return k
	}
	c.add(seenEvery - time.Millisecond)
	if look("again"); !look("again").SeenAt.Equal(again.SeenAt) {
		t.Error("seen twice a day")
	}
	c.add(time.Millisecond)
	if look("back"); !look("back").SeenAt.Equal(c.Now()) {
		t.Error("a day later it is not noted")
	}
	c.add(KeepChat - seenEvery)
	if r, err := s.Retain(t.Context(), policy); err != nil || r != (Retained{}) {
		t.Errorf("at the limit: %+v %v", r, err)
	}
	c.add(time.Millisecond)
	if r, err := s.Retain(t.Context(), RetentionPolicy{}); err != nil || r != (Retained{}) {
		t.Errorf("switched off: %+v %v", r, err)
	}
	if err := pass(t.Context()); err != nil || forgot != 1 {
		t.Errorf("%v, told %d times", err, forgot)
	}
	for _, k := range []Customer{back, talks} {
		if _, err := s.Customer(t.Context(), k.ID); err != nil {
			t.Errorf("%s: %v", k.Thumbprint, err)
		}
	}
	left, err := first(s.reader(t.Context()), scanOne[int64], "n", "SELECT count(*) FROM customers")
	if err != nil || left != 2 {
		t.Errorf("%d customers are left, %v", left, err)
	}
	if err := pass(t.Context()); err != nil || forgot != 1 {
		t.Errorf("%v, told %d times", err, forgot)
	}
	if n := newCustomer(t, s, "again"); n.ID == again.ID {
		t.Error("a customer who was deleted is back")
	}
}
