package share

import (
	"testing"
	"time"
)

// line is a path that carries so many bytes a second, each after half a round trip; it tells the pace what a real one does.
type line struct {
	pace
	now     time.Time
	rate    float64
	free    time.Time     // when it has sent what waits
	arrives []sentFrame   // with the time of their acknowledgement
	worst   time.Duration // from sending to arriving
}

func newLine(rate float64, rtt time.Duration) *line {
	now := time.Unix(1, 0)
	return &line{pace: pace{rtt: rtt}, now: now, free: now, rate: rate}
}

func (l *line) step(d time.Duration) {
	l.now = l.now.Add(d)
	for len(l.arrives) > 0 && !l.arrives[0].at.After(l.now) {
		l.ack(l.arrives[0].number, l.arrives[0].at)
		l.arrives = l.arrives[1:]
	}
}

// buffered is what has not been acknowledged by the transport, which acknowledges each packet.
func (l *line) buffered() uint64 {
	return uint64(max(0, l.free.Add(l.rtt).Sub(l.now)).Seconds() * l.rate)
}

// send sends picture n of that size as soon as the pace lets it, and returns how long it was held back.
func (l *line) send(n uint32, bytes int, interval time.Duration) (held time.Duration) {
	for {
		wait := l.wait(l.buffered(), interval)
		if wait == 0 {
			break
		}
		held += wait
		l.step(wait)
	}
	if l.free.Before(l.now) {
		l.free = l.now
	}
	l.free = l.free.Add(time.Duration(float64(bytes) / l.rate * float64(time.Second)))
	l.add(n, bytes, l.now)
	l.arrives = append(l.arrives, sentFrame{number: n, at: l.free.Add(l.rtt)})
	l.worst = max(l.worst, l.free.Add(l.rtt/2).Sub(l.now))
	return held
}

// TestPaceKeepsOnePictureOnItsWay: on a slow path a picture is as old as its own transfer, not as several; on a fast one
// nothing is held back.
func TestPaceKeepsOnePictureOnItsWay(t *testing.T) {
	const interval = time.Second / 15
	for _, c := range []struct {
		name  string
		rate  float64 // bytes a second
		rtt   time.Duration
		bytes int
	}{
		{"2 Mbit/s", 250_000, 50 * time.Millisecond, 80_000},
		{"0.5 Mbit/s", 62_500, 50 * time.Millisecond, 80_000},
		{"5 Mbit/s, far", 625_000, 200 * time.Millisecond, 80_000},
	} {
		l := newLine(c.rate, c.rtt)
		l.lead = 40 * time.Millisecond
		for n := range uint32(30) {
			l.send(n, c.bytes, interval)
			l.step(interval)
		}
		transfer := time.Duration(float64(c.bytes) / c.rate * float64(time.Second))
		if limit := transfer + c.rtt/2 + l.lead + retry; l.worst > limit {
			t.Errorf("%s: a picture arrived after %v, want at most %v", c.name, l.worst, limit)
		}
		if rate := l.pace.rate(); rate < 0.9*c.rate || rate > 1.1*c.rate {
			t.Errorf("%s: the rate is taken for %.0f bytes a second", c.name, rate)
		}
	}
	fast := newLine(12_500_000, 50*time.Millisecond)
	fast.lead = 40 * time.Millisecond
	var held time.Duration
	for n := range uint32(30) {
		h := fast.send(n, 80_000, interval)
		if n > 2 { // nothing was known before the first acknowledgement
			held += h
		}
		fast.step(interval)
	}
	if held > 0 {
		t.Errorf("a path of 100 Mbit/s was held back for %v", held)
	}
}

// TestPaceMeetsASlowerPath: what waits for a path that has become slower is what it had on its way, and no more follows.
func TestPaceMeetsASlowerPath(t *testing.T) {
	const interval = time.Second / 15
	l := newLine(2_500_000, 50*time.Millisecond)
	for n := range uint32(60) {
		if n == 20 {
			l.rate = 250_000
		}
		if n == 30 {
			l.worst = 0
		}
		l.send(n, 50_000, interval)
		l.step(interval)
	}
	if limit := 200*time.Millisecond + l.rtt/2 + retry; l.worst > limit {
		t.Errorf("a picture arrived after %v, want at most %v", l.worst, limit)
	}
}

func TestPaceWithoutAcknowledgements(t *testing.T) {
	var p pace
	now := time.Unix(1, 0)
	if p.budget() != unknownBytes || p.rate() != 0 {
		t.Errorf("a new path has rate %.0f and budget %d", p.rate(), p.budget())
	}
	if wait := p.wait(0, time.Second/15); wait != 0 {
		t.Errorf("the first picture waits for %v", wait)
	}
	p.add(7, 1000, now)
	if wait := p.wait(0, time.Second/15); wait == 0 {
		t.Error("a second picture went into a path of which nothing is known")
	}
	p.ack(6, now) // of the share before
	if p.rate() != 0 || len(p.sent) != 1 {
		t.Errorf("an old acknowledgement gave a rate of %.0f", p.rate())
	}
	// Known, and silent since: one picture more than the round trip takes.
	p.ack(7, now.Add(10*time.Millisecond))
	n := uint32(8)
	for ; p.wait(0, time.Second/15) == 0 && n < 100; n++ {
		p.add(n, 1000, now)
	}
	if n != 8+3 {
		t.Errorf("%d pictures went out without an acknowledgement, want 3", n-8)
	}
	p.ack(n-1, now.Add(time.Second))
	if len(p.sent) != 0 {
		t.Errorf("%d are waited for after the last was acknowledged", len(p.sent))
	}
	p.ack(n-1, now.Add(2*time.Second)) // painted, too
	if p.rate() <= 0 {
		t.Error("an acknowledgement that came twice took the rate away")
	}
}
