package impair

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// arrival is what came off a line.
type arrival struct {
	n  int
	at time.Duration // since the line began
}

// onLine runs use with a line on a fake clock; it returns what arrived once nothing is on the way any more.
func onLine(t *testing.T, c Conditions, use func(l *link, send func(n, payload int))) (got []arrival, counts Counts) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		l := newLink(1, func(until time.Time) { time.Sleep(time.Until(until)) })
		l.set(c)
		done, ended := make(chan struct{}), make(chan struct{})
		go func() { l.run(done); close(ended) }()
		use(l, func(n, payload int) {
			l.send(payload, func() { got = append(got, arrival{n, time.Since(began)}) })
		})
		time.Sleep(time.Hour)
		counts = l.count()
		close(done)
		<-ended
	})
	return got, counts
}

func TestDelayAndOrder(t *testing.T) {
	got, _ := onLine(t, Conditions{Delay: 25 * time.Millisecond}, func(l *link, send func(n, payload int)) {
		for n := range 100 {
			send(n, 100)
			time.Sleep(time.Millisecond)
			if n == 50 {
				l.set(Conditions{Delay: time.Millisecond}) // shorter: those on the way are still before
			}
		}
	})
	if len(got) != 100 {
		t.Fatalf("%d of 100 arrived", len(got))
	}
	for n, a := range got {
		want := time.Duration(n)*time.Millisecond + 25*time.Millisecond
		if n > 50 {
			want = max(75*time.Millisecond, time.Duration(n)*time.Millisecond+time.Millisecond)
		}
		if a.n != n || a.at != want {
			t.Fatalf("arrival %d is packet %d after %v, want packet %d after %v", n, a.n, a.at, n, want)
		}
	}
}

func TestLossIsAShareAndRepeats(t *testing.T) {
	run := func() []int {
		got, counts := onLine(t, Conditions{Loss: 0.03}, func(_ *link, send func(n, payload int)) {
			for n := range 20_000 {
				send(n, 100)
			}
		})
		if counts.Packets != 20_000 || counts.Lost != uint64(20_000-len(got)) {
			t.Fatalf("counted %+v, %d arrived", counts, len(got))
		}
		var seen []int
		for _, a := range got {
			seen = append(seen, a.n)
		}
		return seen
	}
	first := run()
	if share := 1 - float64(len(first))/20_000; math.Abs(share-0.03) > 0.006 { // 5 standard deviations
		t.Errorf("%.4f were lost, want 0.03", share)
	}
	if !slices.Equal(first, run()) {
		t.Error("the same seed lost other packets")
	}
}

func TestRate(t *testing.T) {
	// 2 Mbit/s and 1,222 bytes of payload: 5 ms each.
	got, counts := onLine(t, Conditions{Rate: 2_000_000, Queue: time.Second, Delay: 10 * time.Millisecond}, func(_ *link, send func(n, payload int)) {
		for n := range 100 {
			send(n, 1222)
		}
	})
	if counts.Bytes != 125_000 || len(got) != 100 {
		t.Fatalf("counted %+v, %d arrived", counts, len(got))
	}
	for n, a := range got {
		if want := time.Duration(n+1)*5*time.Millisecond + 10*time.Millisecond; a.n != n || a.at != want {
			t.Fatalf("arrival %d is packet %d after %v, want after %v", n, a.n, a.at, want)
		}
	}
}

// TestQueue: a packet of 5 ms may wait 50 ms, so the line takes eleven at once, and drops the newest beyond.
func TestQueue(t *testing.T) {
	for _, sent := range []int{11, 12, 110} {
		got, counts := onLine(t, Conditions{Rate: 2_000_000, Queue: 50 * time.Millisecond}, func(_ *link, send func(n, payload int)) {
			for n := range sent {
				send(n, 1222)
			}
		})
		if len(got) != 11 || counts.Overflow != uint64(sent-11) || got[10].n != 10 || got[10].at != 55*time.Millisecond {
			t.Errorf("%d sent: %d arrived, counted %+v", sent, len(got), counts)
		}
	}
	_, counts := onLine(t, Conditions{Rate: 2_000_000}, func(_ *link, send func(n, payload int)) {
		for n := range 100 {
			send(n, 1222)
		}
	})
	if counts.Packets != 41 { // 200 ms and the one that is being sent
		t.Errorf("the default queue took %+v, want 41", counts)
	}
}

func TestCut(t *testing.T) {
	fast := Conditions{Delay: 50 * time.Millisecond}
	got, counts := onLine(t, fast, func(l *link, send func(n, payload int)) {
		send(0, 1)
		time.Sleep(60 * time.Millisecond)
		send(1, 1) // on the way when the line is cut
		time.Sleep(10 * time.Millisecond)
		l.set(Conditions{Delay: fast.Delay, Cut: true})
		send(2, 1)
		time.Sleep(30 * time.Second)
		l.set(fast)
		send(3, 1)
	})
	if len(got) != 2 || got[0].n != 0 || got[1].n != 3 || counts.Cut != 2 {
		t.Errorf("arrived: %v, counted %+v", got, counts)
	}
}

// TestNote: what is done after the packets before it is done even on a line that ends or has ended.
func TestNote(t *testing.T) {
	var order []int
	l := newLink(1, func(until time.Time) { time.Sleep(time.Until(until)) })
	l.send(1, func() { order = append(order, 0) })
	l.note(func() { order = append(order, 1) })
	done := make(chan struct{})
	close(done)
	l.run(done)
	l.note(func() { order = append(order, 2) })
	l.send(1, func() { order = append(order, 3) })
	if !slices.Equal(order, []int{0, 1, 2}) {
		t.Errorf("done: %v", order)
	}
}

func TestConditionsThatNoLineHas(t *testing.T) {
	n := New(1)
	defer n.Close()
	for _, c := range []Conditions{{Delay: -1}, {Queue: -1}, {Rate: -1}, {Loss: -0.1}, {Loss: 1.1}, {Loss: math.NaN()}} {
		if err := n.Set(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	for _, c := range []Conditions{{}, {Loss: 1}, {Delay: time.Second, Rate: 1, Queue: time.Millisecond, Cut: true}} {
		if err := n.Set(c); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
