package store

import (
	"fmt"
	"reflect"
	"testing"
)

// TestOverviewsSayWhatOneByOneWouldSay compares the three statements of a start with reading each conversation alone.
func TestOverviewsSayWhatOneByOneWouldSay(t *testing.T) {
	s, _ := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	want := map[string]Overview{}
	for i := range 12 {
		_, c := newConversation(t, s, fmt.Sprint("key ", i))
		for j := range i % 4 {
			if _, err := say(t, s, fromCustomer(c, fmt.Sprint("m", j))); err != nil {
				t.Fatal(err)
			}
		}
		if i%3 == 1 {
			must(t, func(d func(Mark, error)) error { return s.Mark(c.ID, KindCustomer, Mark{1, 1}, d) })
			must(t, func(d func(Mark, error)) error { return s.Mark(c.ID, KindAgent, Mark{1, 0}, d) })
		}
		switch i % 5 {
		case 1:
			if _, err := claim(t, s, c.ID, ana.ID, nil); err != nil {
				t.Fatal(err)
			}
		case 2:
			closeIt(t, s, c.ID)
			continue
		}
		var o Overview
		var err error
		if o.Conversation, err = s.Conversation(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
		if o.Marks, err = s.Marks(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
		last, err := s.Messages(t.Context(), c.ID, Range{Before: Newest, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(last) > 0 {
			o.Last = last[0]
		}
		want[c.ID] = o
	}
	got, err := s.Overviews(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%d overviews, want %d", len(got), len(want))
	}
	for _, o := range got {
		if !reflect.DeepEqual(o, want[o.ID]) {
			t.Errorf("got %+v, want %+v", o, want[o.ID])
		}
	}
}
