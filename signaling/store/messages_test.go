// Messages: dense numbers, resends, who may write, reading, marks.

package store

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestDenseSequence(t *testing.T) {
	s, _ := fresh(t)
	_, c := newConversation(t, s, "k")
	const writers, each = 50, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := say(t, s, fromCustomer(c, fmt.Sprintf("%d-%d", w, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantDense(t, s, c.ID, writers*each)
	after, err := s.Conversation(t.Context(), c.ID)
	if err != nil || after.LastSeq != writers*each {
		t.Fatalf("last seq %d, err %v", after.LastSeq, err)
	}
}

func TestResend(t *testing.T) {
	c := newClock()
	dir := private(t)
	s, stop := run(t, Options{Dir: dir, Clock: c.Now})
	_, conv := newConversation(t, s, "k")
	first, err := say(t, s, fromCustomer(conv, "a"))
	if err != nil || first != (Appended{Seq: 1, At: c.Now()}) {
		t.Fatalf("got %+v, %v", first, err)
	}
	closeIt(t, s, conv.ID)
	want := Appended{Seq: 1, At: first.At, Duplicate: true}
	for _, step := range []struct {
		name string
		wait time.Duration
	}{{"at once", 0}, {"an hour later", time.Hour}, {"a year later, closed for good", 365 * 24 * time.Hour}} {
		c.add(step.wait)
		if step.wait > 0 { // and a restart
			stop()
			s, stop = run(t, Options{Dir: dir, Clock: c.Now})
		}
		got, err := say(t, s, fromCustomer(conv, "a"))
		if err != nil || got != want {
			t.Fatalf("%s: got %+v, %v; want %+v", step.name, got, err, want)
		}
	}
	m := fromCustomer(conv, "a")
	m.Text = "another"
	_, err = say(t, s, m)
	wantErr(t, err, ErrIDReused)
	wantDense(t, s, conv.ID, 1)

	now, err := s.Conversation(t.Context(), conv.ID)
	if err != nil || now.State != Closed {
		t.Fatalf("a resend reopened it: %+v, %v", now, err)
	}
}

func TestConcurrentResend(t *testing.T) {
	s, _ := fresh(t)
	_, c := newConversation(t, s, "k")
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if got, err := say(t, s, fromCustomer(c, "same")); err != nil || got.Seq != 1 {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
	wantDense(t, s, c.ID, 1)
}

func TestSameIDOfTwoSenders(t *testing.T) {
	s, _ := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	_, c := newConversation(t, s, "k")
	if _, err := claim(t, s, c.ID, ana.ID, nil); err != nil {
		t.Fatal(err)
	}
	for i, m := range []Append{fromCustomer(c, "x"), fromAgent(c, ana, "x")} {
		if got, err := say(t, s, m); err != nil || got.Seq != int64(i+1) {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	_, other := newConversation(t, s, "k2")
	if got, err := say(t, s, fromCustomer(other, "x")); err != nil || got.Seq != 1 {
		t.Fatalf("another conversation: got %+v, %v", got, err)
	}
}

func TestWhoMayWrite(t *testing.T) {
	s, clk := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	bo := newAgent(t, s, "Bo", RoleAgent).Agent
	_, c := newConversation(t, s, "k")
	foreign := fromCustomer(c, "f")
	foreign.SenderID = newCustomer(t, s, "k2").ID

	_, err := say(t, s, foreign)
	wantErr(t, err, ErrNotOwner)
	_, err = say(t, s, fromAgent(c, ana, "1"))
	wantErr(t, err, ErrNotOwner) // it waits
	if _, err := claim(t, s, c.ID, ana.ID, nil); err != nil {
		t.Fatal(err)
	}
	_, err = say(t, s, fromAgent(c, bo, "1"))
	wantErr(t, err, ErrNotOwner)
	if _, err := say(t, s, fromAgent(c, ana, "1")); err != nil {
		t.Fatal(err)
	}
	_, err = say(t, s, Append{c.ID, "1", Kind("robot"), "r", "", ""})
	wantErr(t, err, ErrInvalid)
	_, err = say(t, s, fromCustomer(c, ""))
	wantErr(t, err, ErrInvalid)
	_, err = say(t, s, fromCustomer(Conversation{ID: "none", CustomerID: c.CustomerID}, "1"))
	wantErr(t, err, ErrNotFound)

	closed := closeIt(t, s, c.ID)
	_, err = say(t, s, fromAgent(c, ana, "2"))
	wantErr(t, err, ErrClosed)
	if got, err := say(t, s, fromAgent(c, ana, "1")); err != nil || !got.Duplicate {
		t.Fatalf("resend after the end: %+v, %v", got, err)
	}
	clk.add(time.Minute)
	if _, err := say(t, s, Append{c.ID, "sys", KindSystem, "", "", "ended"}); err != nil {
		t.Fatal(err)
	}
	now, err := s.Conversation(t.Context(), c.ID)
	if err != nil || now.State != Closed || !now.LastAt.Equal(closed.LastAt) || now.LastSeq != 2 {
		t.Fatalf("the system's message changed more: %+v, %v", now, err)
	}
}

func TestReopen(t *testing.T) {
	s, clk := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	cust, c := newConversation(t, s, "k")
	if _, err := claim(t, s, c.ID, ana.ID, nil); err != nil {
		t.Fatal(err)
	}
	closeIt(t, s, c.ID)
	clk.add(ReopenFor)
	if o := openFor(t, s, cust.ID); o.Created || o.ID != c.ID || o.State != Closed {
		t.Fatalf("opening changed it: %+v", o)
	}
	got, err := say(t, s, fromCustomer(c, "1"))
	if err != nil || !got.Reopened || got.Seq != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	now, err := s.Conversation(t.Context(), c.ID)
	if err != nil || now.State != Waiting || now.ClaimedBy != "" || !now.ClosedAt.IsZero() || !now.WaitingSince.Equal(clk.Now()) {
		t.Fatalf("got %+v, %v", now, err)
	}

	closeIt(t, s, c.ID)
	clk.add(ReopenFor + time.Millisecond)
	_, err = say(t, s, fromCustomer(c, "2"))
	wantErr(t, err, ErrClosed)
	_, err = s.CurrentConversation(t.Context(), cust.ID)
	wantErr(t, err, ErrNotFound)
	next := openFor(t, s, cust.ID)
	if !next.Created || next.ID == c.ID || next.State != Waiting {
		t.Fatalf("got %+v", next)
	}
	if again := openFor(t, s, cust.ID); again.Created || again.ID != next.ID {
		t.Fatalf("got %+v", again)
	}

	// An old tab writes into a closed conversation while a newer one is open.
	closeIt(t, s, next.ID)
	clk.add(ReopenFor + time.Hour)
	newest := openFor(t, s, cust.ID)
	closeIt(t, s, newest.ID)
	clk.add(time.Hour)
	if _, err := say(t, s, fromCustomer(newest.Conversation, "3")); err != nil {
		t.Fatal(err)
	}
	_, err = say(t, s, fromCustomer(next.Conversation, "4"))
	wantErr(t, err, ErrClosed)
}

func TestMessagesRange(t *testing.T) {
	s, _ := fresh(t)
	_, c := newConversation(t, s, "k")
	for i := range 10 {
		if _, err := say(t, s, fromCustomer(c, fmt.Sprint(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name        string
		r           Range
		first, last int64 // 0, 0: none
	}{
		{"all", Range{}, 1, 10},
		{"after", Range{After: 4}, 5, 10},
		{"after with a limit", Range{After: 4, Limit: 3}, 5, 7},
		{"before gives the last ones", Range{Before: 8, Limit: 3}, 5, 7},
		{"newest", Range{Before: Newest, Limit: 4}, 7, 10},
		{"between", Range{After: 2, Before: 6}, 3, 5},
		{"past the end", Range{After: 10}, 0, 0},
		{"before the first", Range{Before: 1}, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := s.Messages(t.Context(), c.ID, test.r)
			if err != nil {
				t.Fatal(err)
			}
			if test.first == 0 {
				if len(got) != 0 {
					t.Fatalf("got %v, want none", got)
				}
				return
			}
			if len(got) != int(test.last-test.first+1) {
				t.Fatalf("got %d messages: %+v", len(got), got)
			}
			for i, m := range got {
				if want := test.first + int64(i); m.Seq != want || m.Text != fmt.Sprint("text ", want) {
					t.Fatalf("got %+v, want seq %d", m, want)
				}
			}
		})
	}
	got, err := s.Messages(t.Context(), c.ID, Range{Limit: 1})
	if err != nil || got[0].SenderKind != KindCustomer || got[0].SenderID != c.CustomerID ||
		got[0].SenderName != "Visitor" || got[0].ID != "1" || got[0].Conversation != c.ID {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestMarks(t *testing.T) {
	s, _ := fresh(t)
	_, c := newConversation(t, s, "k")
	for i := range 5 {
		if _, err := say(t, s, fromCustomer(c, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	mark := func(side Kind, m Mark) (Mark, error) {
		return do(t, func(d func(Mark, error)) error { return s.Mark(c.ID, side, m, d) })
	}
	for _, step := range []struct{ in, want Mark }{
		{Mark{2, 0}, Mark{2, 0}},
		{Mark{0, 3}, Mark{3, 3}}, // read means received
		{Mark{1, 1}, Mark{3, 3}}, // never back
		{Mark{99, 4}, Mark{5, 4}},
		{Mark{-5, -5}, Mark{5, 4}},
	} {
		if got, err := mark(KindAgent, step.in); err != nil || got != step.want {
			t.Fatalf("mark %+v: got %+v, %v; want %+v", step.in, got, err, step.want)
		}
	}
	_, err := mark(KindSystem, Mark{1, 1})
	wantErr(t, err, ErrInvalid)
	got, err := s.Marks(t.Context(), c.ID)
	if err != nil || got != (Marks{Agent: Mark{5, 4}}) {
		t.Fatalf("got %+v, %v", got, err)
	}
}
