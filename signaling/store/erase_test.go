package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What no file may hold after an erasure. Each stands at the end of a word, so
// that the index's prefix compression can't hide it, and the Chinese one is a pair.
var canaries = []string{"7f3a91c4", "龘靐", "e07b55d1", "c9d8a2f6"}

// pieces are what a full-text index can keep of a canary without the whole of it: five
// letters in a row, a pair of Chinese characters, one of them.
func pieces() (all []string) {
	for _, c := range canaries {
		if r := []rune(c); r[0] > 0x7f {
			all = append(all, "是"+string(r[0]), string(r[0]), string(r[1]))
			continue
		}
		for i := range len(c) - 4 {
			all = append(all, c[i:i+5])
		}
	}
	return append(all, canaries...)
}

// traces returns which canaries are in which file below a folder.
func traces(t testing.TB, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, c := range pieces() {
			if n := bytes.Count(data, []byte(c)); n > 0 {
				found = append(found, fmt.Sprintf("%d × %s in %s", n, c, filepath.Base(path)))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// fillWithCanaries makes conversations, one of which has a canary in each message,
// name and note, all indexed. It returns the canaries' and another.
func fillWithCanaries(t testing.TB, s *Store, messages int) (victim, other Conversation) {
	t.Helper()
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	_, other = newConversation(t, s, fmt.Sprint("other", newID()))
	_, victim = newConversation(t, s, fmt.Sprint("victim", newID()))
	r := rand.New(rand.NewPCG(1, 2))
	for i := range messages {
		m := fromCustomer(victim, fmt.Sprint("m", i))
		m.SenderName = "Visitor c9d8a2f6"
		m.Text = fmt.Sprintf("%x7f3a91c4 %x7f3a91c4 我的密码是龘靐 common", r.Uint64(), r.Uint64()%100)
		if _, err := say(t, s, m); err != nil {
			t.Fatal(err)
		}
		sayText(t, s, other, fmt.Sprint("m", i), fmt.Sprintf("%x %x common 退款", r.Uint64(), r.Uint64()))
		if i%40 == 0 { // the index gets many small segments, merged on the way
			if _, err := s.Search(t.Context(), "common", SearchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []Conversation{victim, other} {
		text := "promised"
		if c.ID == victim.ID {
			text = "likes e07b55d1 and 龘靐"
		}
		if _, err := addNote(t, s, Note{Conversation: c.ID, AgentID: ana.ID, AgentName: "Ana", Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	must(t, func(d func(string, error)) error { return s.Tag(victim.ID, "e07b55d1", ana.ID, d) })
	must(t, func(d func(Mark, error)) error { return s.Mark(victim.ID, KindAgent, Mark{1, 1}, d) })
	if _, err := claim(t, s, victim.ID, ana.ID, nil); err != nil {
		t.Fatal(err)
	}
	must(t, func(d func(Session, error)) error {
		return s.CreateSession(Session{Conversation: victim.ID, AgentID: ana.ID, RequestedBy: KindAgent, CustomerDevice: "c9d8a2f6"}, d)
	})
	if err := s.indexIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	return victim, other
}

// wantErased checks that nothing of the victim is left, and all of the other.
func wantErased(t testing.TB, s *Store, victim, other Conversation, messages int) {
	t.Helper()
	_, err := s.Conversation(t.Context(), victim.ID)
	wantErr(t, err, ErrNotFound)
	_, err = s.Customer(t.Context(), victim.CustomerID)
	wantErr(t, err, ErrNotFound)
	for _, table := range []string{"marks", "tags", "notes", "sessions"} {
		n, err := first(s.reader(t.Context()), scanOne[int64], table, "SELECT count(*) FROM "+table+" WHERE conversation = ?", victim.ID)
		if err != nil || n != 0 {
			t.Errorf("%d rows in %s, %v", n, table, err)
		}
	}
	wantDense(t, s, other.ID, messages)
	if got := search(t, s, "我的密码", SearchOptions{}); len(got) > 0 {
		t.Errorf("the search finds %q", got)
	}
	if got := search(t, s, "退款", SearchOptions{}); len(got) != min(messages, MaxHits) {
		t.Errorf("the search finds %d of %d others", len(got), messages)
	}
	if r, err := CheckFolder(t.Context(), filepath.Dir(s.path)); err != nil || r.Err() != nil {
		t.Errorf("check: %v %v", err, r.Damage)
	}
}

func TestEraseLeavesNoByte(t *testing.T) {
	dir, c := private(t), newClock()
	s, stop := run(t, Options{Dir: dir, Clock: c.Now})
	const messages = 250
	victim, other := fillWithCanaries(t, s, messages)
	if len(traces(t, dir)) < len(pieces()) {
		t.Fatalf("before, only %q are there", traces(t, dir))
	}
	var seen []string
	told := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	watching := make(chan error, 1)
	go func() {
		watching <- s.WatchErased(ctx, time.Millisecond, func(ids []string) { seen = ids; close(told) })
	}()
	e, err := s.Erase(t.Context(), victim.ID, Actor{KindAgent, "lead"})
	if err != nil || e.Messages != messages || e.Before {
		t.Fatalf("%+v %v", e, err)
	}
	if found := traces(t, dir); len(found) > 0 {
		t.Errorf("while it runs: %q", found)
	}
	<-told
	cancel()
	if err := <-watching; err != nil || !slices.Equal(seen, []string{victim.ID}) {
		t.Errorf("told of %q, %v", seen, err)
	}
	again, cancelAgain := context.WithCancel(t.Context())
	if err := s.WatchErased(again, time.Hour, func(ids []string) { seen = append(seen, ids...); cancelAgain() }); err != nil || len(seen) != 2 {
		t.Errorf("who begins to watch is told of %q, %v", seen, err)
	}
	wantErased(t, s, victim, other, messages)
	log, err := s.AuditLog(t.Context(), victim.ID, 0, 10)
	if err != nil || len(log) != 1 || log[0].Kind != "conversation.erase" || log[0].Actor != (Actor{KindAgent, "lead"}) {
		t.Errorf("audit: %+v %v", log, err)
	}
	if e, err = s.Erase(t.Context(), victim.ID, Actor{Kind: KindSystem}); err != nil || !e.Before || e.Messages != 0 {
		t.Errorf("again: %+v %v", e, err)
	}
	_, err = s.Erase(t.Context(), "unknown", Actor{Kind: KindSystem})
	wantErr(t, err, ErrNotFound)
	_, err = say(t, s, fromCustomer(victim, "later"))
	wantErr(t, err, ErrNotFound)
	stop()
	if found := traces(t, dir); len(found) > 0 {
		t.Errorf("after the stop: %q", found)
	}
	s, _ = run(t, Options{Dir: dir, Clock: c.Now})
	if err := s.completeErasures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := traces(t, dir); len(found) > 0 {
		t.Errorf("after a restart: %q", found)
	}
	wantErased(t, s, victim, other, messages)
}

// TestEraseKeepsACustomerWithMore: the customer goes with the last conversation.
func TestEraseKeepsACustomerWithMore(t *testing.T) {
	s, clock := fresh(t)
	cust, first := newConversation(t, s, "k")
	closeIt(t, s, first.ID)
	clock.add(ReopenFor + time.Hour)
	second := openFor(t, s, cust.ID).Conversation
	for i, id := range []string{first.ID, second.ID} {
		if _, err := s.Erase(t.Context(), id, Actor{Kind: KindSystem}); err != nil {
			t.Fatal(err)
		}
		_, err := s.Customer(t.Context(), cust.ID)
		if i == 0 && err != nil {
			t.Error("the customer is gone with one of two conversations")
		} else if i == 1 {
			wantErr(t, err, ErrNotFound)
		}
	}
}

// TestEraseBesideAReader: who reads old pages keeps them in the log. Erase says
// so, and completes it later.
func TestEraseBesideAReader(t *testing.T) {
	dir := private(t)
	s, _ := run(t, Options{Dir: dir})
	victim, _ := fillWithCanaries(t, s, 20)
	reader, err := openReaders(s.path, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, stmt := range []string{"BEGIN", "SELECT count(*) FROM messages"} {
		if _, err := reader.ExecContext(t.Context(), stmt); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.eraseRows(t.Context(), victim.ID, Actor{Kind: KindSystem}, true, 0); err != nil || n != 20 {
		t.Fatal(n, err)
	}
	wantErr(t, s.scrub(t.Context(), 0), ErrRemains)
	if len(traces(t, dir)) == 0 {
		t.Fatal("the reader holds nothing: the test proves nothing")
	}
	if _, err := reader.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if e, err := s.Erase(t.Context(), victim.ID, Actor{Kind: KindSystem}); err != nil || !e.Before {
		t.Fatalf("%+v %v", e, err)
	}
	if found := traces(t, dir); len(found) > 0 {
		t.Errorf("%q", found)
	}
}

const eraseChild = "LOOKALONG_STORE_ERASE"

// The process that TestEraseKilled kills: it goes some steps of an erasure, says
// so, and dies by its own hand; or it erases until it is killed.
func init() {
	dir, rest, ok := strings.Cut(os.Getenv(eraseChild), "|")
	if !ok {
		return
	}
	id, step, _ := strings.Cut(rest, "|")
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	go func() { fmt.Println("error", s.Run(ctx)) }()
	by := Actor{Kind: KindSystem}
	steps := []func() error{
		func() error { return s.listErasure(id) },
		func() error {
			_, err := patiently(ctx, s, func(t *tx) (struct{}, error) { return struct{}{}, t.beginErasure(id, true, s.now()) })
			return err
		},
		func() error {
			_, err := patiently(ctx, s, func(t *tx) (int64, error) { return t.eraseMessages(id, &allowance{sliceTokens, 10}) })
			return err
		},
		func() error { _, err := s.eraseRows(ctx, id, by, true, 0); return err },
		func() error { return s.wipeGaps(ctx) },
		func() error { return s.scrub(ctx, scrubFor) },
		func() error { return s.finished(ctx, id) },
	}
	if step == "all" {
		fmt.Println("go")
		_, err := s.Erase(ctx, id, by)
		fmt.Println("done", err)
		select {} // until it is killed
	}
	for i, do := range steps {
		if err := do(); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		if step == fmt.Sprint(i) {
			self, _ := os.FindProcess(os.Getpid())
			_ = self.Kill()
			select {}
		}
	}
}

// wantStartToLeaveCleaning checks that what a server does before it serves deletes
// the rows of what is listed, and only those.
func wantStartToLeaveCleaning(t *testing.T, s *Store, id string) {
	t.Helper()
	before, err := s.erasure(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := s.listedErasures()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.FinishErasures(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := s.erasure(t.Context(), id)
	if err != nil || after.gone != (len(listed) > 0) || after.done != before.done {
		t.Fatalf("a start made of %+v %+v, listed %q, %v", before, after, listed, err)
	}
}

func TestEraseKilled(t *testing.T) {
	const messages, steps, atRandom = 30, 7, 5
	r := rand.New(rand.NewPCG(3, 4))
	for i := range steps + atRandom {
		step := fmt.Sprint(i)
		if i >= steps {
			step = "all"
		}
		dir := private(t)
		s, stop := run(t, Options{Dir: dir})
		victim, other := fillWithCanaries(t, s, messages)
		stop()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), eraseChild+"="+dir+"|"+victim.ID+"|"+step)
		var out bytes.Buffer
		if step != "all" {
			cmd.Stdout = &out
			if err := cmd.Run(); err == nil || strings.Contains(out.String(), "error") {
				t.Fatalf("step %s: %v %s", step, err, out.String())
			}
		} else {
			pipe, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := pipe.Read(make([]byte, 2)); err != nil { // "go"
				t.Fatal(err)
			}
			time.Sleep(time.Duration(r.Int64N(int64(12 * time.Millisecond)))) // where it dies is chance
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // "signal: killed" is what we did
		}
		s, stop = run(t, Options{Dir: dir})
		wantStartToLeaveCleaning(t, s, victim.ID)
		if err := s.completeErasures(t.Context()); err != nil { // as Maintain does
			t.Fatal(err)
		}
		if step == "all" && len(traces(t, dir)) > 0 { // it died before the list was on the disk: nothing is begun
			listed, err := s.listedErasures()
			if err != nil || len(listed) > 0 {
				t.Fatalf("killed at random: %q are left, listed %q, %v", traces(t, dir), listed, err)
			}
			if _, err := s.Erase(t.Context(), victim.ID, Actor{Kind: KindSystem}); err != nil {
				t.Fatal(err)
			}
		}
		if found := traces(t, dir); len(found) > 0 {
			t.Fatalf("killed after step %s: %q are left", step, found)
		}
		wantErased(t, s, victim, other, messages)
		stop()
	}
}

func TestEraseListReadsWhatAHandLeft(t *testing.T) {
	s, _ := fresh(t)
	if err := os.WriteFile(s.eraseListPath(), []byte("aaa\n\n../../etc\nbb b\ntorn"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.listErasure("ccc"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.listedErasures()
	if err != nil || !slices.Equal(got, []string{"aaa", "torn", "ccc"}) {
		t.Errorf("%q %v", got, err)
	}
	if err := s.completeErasures(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestEraseUnderLoad: writers and readers that never rest, in this process and in
// another's place, keep no copy alive.
func TestEraseUnderLoad(t *testing.T) {
	dir := private(t)
	s, _ := run(t, Options{Dir: dir})
	victim, other := fillWithCanaries(t, s, 40)
	ctx, cancel := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	for i := range 4 {
		_, c := newConversation(t, s, fmt.Sprint("busy", i))
		busy.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				m := fromCustomer(c, fmt.Sprint(n))
				if _, err := Sync(context.Background(), func(d func(Appended, error)) error { return s.Append(m, d) }); err != nil {
					t.Error(err)
					return
				}
			}
		})
		busy.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.Messages(context.Background(), other.ID, Range{Before: Newest, Limit: 50}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	err := Use(t.Context(), Options{Dir: dir}, func(ctx context.Context, shared *Store) error { // as the command does
		_, err := shared.Erase(ctx, victim.ID, Actor{Kind: KindSystem})
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if found := traces(t, dir); len(found) > 0 {
		t.Errorf("under load: %q", found)
	}
	cancel()
	busy.Wait()
	wantErased(t, s, victim, other, 40)
}

// TestWipeUntilClean: a pass that found something is followed by another, and under
// load it comes to an end.
func TestWipeUntilClean(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		finds []int
		want  int
		err   error
	}{
		{[]int{0}, 1, nil}, {[]int{7, 0}, 2, nil}, {[]int{7, 1, 0}, 3, nil}, {[]int{7, 7, 7, 7}, wipePasses, nil}, {[]int{7, -1}, 2, broken},
	} {
		n := 0
		err := untilClean(wipePasses, func() (int, error) {
			if n++; c.finds[n-1] < 0 {
				return 0, broken
			}
			return c.finds[n-1], nil
		})
		if n != c.want || !errors.Is(err, c.err) {
			t.Errorf("%v: %d passes, %v", c.finds, n, err)
		}
	}
}
