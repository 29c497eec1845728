// Claims: one winner, leases that lapse, the queue's order, silence.

package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestClaimRace(t *testing.T) {
	s, _ := fresh(t)
	const rounds, racers = 50, 50
	agents := make([]Agent, racers)
	for i := range agents {
		agents[i] = newAgent(t, s, fmt.Sprint("agent ", i), RoleAgent).Agent
	}
	for round := range rounds {
		_, c := newConversation(t, s, fmt.Sprint("k", round))
		var mu sync.Mutex
		var winners []string
		losers := map[string]int{}
		var wg sync.WaitGroup
		for _, a := range agents {
			wg.Go(func() {
				id := c.ID
				if round%2 == 1 {
					id = "" // the oldest, which is the only one
				}
				got, err := claim(t, s, id, a.ID, nil)
				mu.Lock()
				defer mu.Unlock()
				taken, ok := errors.AsType[*TakenError](err)
				switch {
				case err == nil:
					winners = append(winners, got.ClaimedBy)
				case ok && errors.Is(err, ErrTaken):
					losers[taken.AgentID+taken.AgentName]++
				case id == "" && errors.Is(err, ErrNoneWaiting):
				default:
					t.Errorf("unexpected: %v", err)
				}
			})
		}
		wg.Wait()
		if len(winners) != 1 {
			t.Fatalf("round %d: %d winners", round, len(winners))
		}
		if round%2 == 0 {
			w, err := s.Agent(t.Context(), winners[0])
			if err != nil || losers[w.ID+w.Name] != racers-1 {
				t.Fatalf("losers were told %v, winner is %+v, %v", losers, w, err)
			}
		}
	}
}

func TestClaim(t *testing.T) {
	s, clk := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	bo := newAgent(t, s, "Bo", RoleAgent).Agent
	_, err := claim(t, s, "", ana.ID, nil)
	wantErr(t, err, ErrNoneWaiting)
	_, err = claim(t, s, "none", ana.ID, nil)
	wantErr(t, err, ErrNotFound)

	_, c := newConversation(t, s, "k")
	must(t, func(d func(struct{}, error)) error { return s.SetMissed(c.ID, true, d) })
	_, err = claim(t, s, c.ID, "nobody", nil)
	wantErr(t, err, ErrNotFound)
	clk.add(time.Second)
	soon, later := clk.Now().Add(time.Minute), clk.Now().Add(time.Hour)
	got, err := claim(t, s, c.ID, ana.ID, &soon)
	if err != nil || got.State != Claimed || got.Missed || got.ClaimedBy != ana.ID ||
		!got.ClaimedAt.Equal(clk.Now()) || !got.LapsesAt.Equal(soon) {
		t.Fatalf("got %+v, %v", got, err)
	}
	_, err = claim(t, s, c.ID, bo.ID, nil)
	wantErr(t, err, ErrTaken)
	// One's own again: the later lapse wins, an open connection is the latest.
	for _, step := range []struct{ in, want *time.Time }{{&later, &later}, {&soon, &later}, {nil, nil}, {&later, nil}} {
		again, err := claim(t, s, c.ID, ana.ID, step.in)
		if err != nil || !again.ClaimedAt.Equal(got.ClaimedAt) || (again.LapsesAt == nil) != (step.want == nil) ||
			step.want != nil && !again.LapsesAt.Equal(*step.want) {
			t.Fatalf("claim again until %v: got %+v, %v", step.in, again, err)
		}
	}
	setLapse := func(agent string, at *time.Time) error {
		_, err := do(t, func(d func(Conversation, error)) error { return s.SetLapse(c.ID, agent, at, d) })
		return err
	}
	wantErr(t, setLapse(bo.ID, &soon), ErrNotOwner)
	if err := setLapse(ana.ID, &soon); err != nil {
		t.Fatal(err)
	}
	release := func(agent string) error {
		_, err := do(t, func(d func(Conversation, error)) error { return s.Release(c.ID, agent, d) })
		return err
	}
	wantErr(t, release(bo.ID), ErrNotOwner)
	if err := release(ana.ID); err != nil {
		t.Fatal(err)
	}
	wantErr(t, release(ana.ID), ErrNotOwner)
	now, err := s.Conversation(t.Context(), c.ID)
	if err != nil || now.State != Waiting || now.ClaimedBy != "" || !now.WaitingSince.Equal(c.WaitingSince) {
		t.Fatalf("got %+v, %v", now, err)
	}

	closing := func(by Actor) error {
		_, err := do(t, func(d func(Conversation, error)) error { return s.CloseConversation(c.ID, by, d) })
		return err
	}
	if _, err := claim(t, s, c.ID, ana.ID, nil); err != nil {
		t.Fatal(err)
	}
	wantErr(t, closing(Actor{KindAgent, bo.ID}), ErrNotOwner)
	wantErr(t, closing(Actor{KindCustomer, "other"}), ErrNotOwner)
	if err := closing(Actor{KindAgent, ana.ID}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, closing(Actor{KindSystem, ""}), ErrClosed)
	_, err = claim(t, s, c.ID, ana.ID, nil)
	wantErr(t, err, ErrClosed)
	wantErr(t, release(ana.ID), ErrClosed)
	wantErr(t, setLapse(ana.ID, nil), ErrClosed)
}

func TestQueueOrder(t *testing.T) {
	s, clk := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	var ids []string
	for i := range 5 {
		_, c := newConversation(t, s, fmt.Sprint("k", i))
		ids = append(ids, c.ID)
		clk.add(time.Second)
	}
	check := func(what string, list []Conversation, err error, want ...string) {
		t.Helper()
		var got []string
		for _, c := range list {
			got = append(got, c.ID)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s: got %v, %v; want %v", what, got, err, want)
		}
	}
	open := func(is State) (list []Conversation, err error) {
		all, err := s.Overviews(t.Context())
		for _, o := range all {
			if o.State == is {
				list = append(list, o.Conversation)
			}
		}
		slices.SortFunc(list, func(a, b Conversation) int {
			return cmp.Or(a.ClaimedAt.Compare(b.ClaimedAt), a.WaitingSince.Compare(b.WaitingSince))
		})
		return list, err
	}
	list, err := open(Waiting)
	check("waiting", list, err, ids...)
	for _, want := range ids[:2] {
		if got, err := claim(t, s, "", ana.ID, nil); err != nil || got.ID != want {
			t.Fatalf("next is %+v, %v; want %s", got, err, want)
		}
		clk.add(time.Second)
	}
	list, err = open(Claimed)
	check("claimed", list, err, ids[:2]...)
	for _, c := range list {
		if c.ClaimedBy != ana.ID {
			t.Errorf("%s is held by %q", c.ID, c.ClaimedBy)
		}
	}
	must(t, func(d func(Conversation, error)) error { return s.Release(ids[1], ana.ID, d) })
	list, err = open(Waiting)
	check("released has its place again", list, err, ids[1:]...)
	if _, err := say(t, s, fromCustomer(list[2], "m")); err != nil {
		t.Fatal(err)
	}
	until(t, "the row counts the message", func() bool {
		list, err = s.Recent(t.Context(), 3)
		return err != nil || list[0].ID == ids[3]
	})
	check("recent", list, err, ids[3], ids[4], ids[2])
}

func TestLapses(t *testing.T) {
	s, clk := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	_, held := newConversation(t, s, "held")
	_, leased := newConversation(t, s, "leased")
	at := clk.Now().Add(15 * time.Minute)
	if _, err := claim(t, s, held.ID, ana.ID, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := claim(t, s, leased.ID, ana.ID, &at); err != nil {
		t.Fatal(err)
	}
	if n := must(t, func(d func(int64, error)) error { return s.ServerStarted(at, d) }); n != 1 {
		t.Fatalf("%d claims got a lapse", n)
	}
	for id, want := range map[string]time.Time{held.ID: at.Add(RestartLapse), leased.ID: at} {
		c, err := s.Conversation(t.Context(), id)
		if err != nil || c.LapsesAt == nil || !c.LapsesAt.Equal(want) {
			t.Fatalf("got %+v, %v; want a lapse at %v", c, err, want)
		}
	}
	must(t, func(d func(Conversation, error)) error { return s.Release(leased.ID, ana.ID, d) })
	_, err := say(t, s, fromAgent(leased, ana, "1"))
	wantErr(t, err, ErrNotOwner)
}

func TestCloseSilent(t *testing.T) {
	s, clk := fresh(t)
	ana := newAgent(t, s, "Ana", RoleAgent).Agent
	_, quiet := newConversation(t, s, "quiet")
	_, talks := newConversation(t, s, "talks")
	_, waits := newConversation(t, s, "waits")
	_, late := newConversation(t, s, "late")
	for _, c := range []Conversation{quiet, talks} {
		if _, err := claim(t, s, c.ID, ana.ID, nil); err != nil {
			t.Fatal(err)
		}
	}
	clk.add(time.Hour)
	if _, err := say(t, s, fromAgent(talks, ana, "1")); err != nil {
		t.Fatal(err)
	}
	clk.add(SilentFor - time.Hour)
	if _, err := claim(t, s, late.ID, ana.ID, nil); err != nil { // waited for a day, just claimed
		t.Fatal(err)
	}
	got := must(t, func(d func([]Conversation, error)) error { return s.CloseSilent(clk.Now(), d) })
	if len(got) != 1 || got[0].ID != quiet.ID || got[0].State != Closed {
		t.Fatalf("got %v, want %s", got, quiet.ID)
	}
	for id, want := range map[string]State{quiet.ID: Closed, talks.ID: Claimed, waits.ID: Waiting, late.ID: Claimed} {
		if c, err := s.Conversation(t.Context(), id); err != nil || c.State != want {
			t.Fatalf("got %+v, %v; want %s", c, err, want)
		}
	}
}
