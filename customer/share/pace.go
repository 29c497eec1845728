// The sender's pace: when the next picture is taken and how large it may be, by what the agent acknowledges.

package share

import (
	"slices"
	"time"
)

const (
	pictureTime  = 100 * time.Millisecond // of the path, for one picture: what is larger is encoded smaller
	unknownBytes = 64 << 10               // of a picture for a path of which nothing is known yet
	forgetting   = 0.75                   // of what is known about the path, with each acknowledgement
	shortest     = time.Millisecond       // that a picture takes: clocks are no finer
	retry        = 5 * time.Millisecond   // until a picture that was held back is tried again, at least
)

// pace knows the path by its acknowledgements. Times are handed in; the zero value knows nothing. Owned by the loop.
type pace struct {
	sent    []sentFrame   // not acknowledged, the oldest first
	last    time.Time     // when the last acknowledgement came
	rtt     time.Duration // of the path alone
	lead    time.Duration // that a picture takes until it is encoded
	bytes   float64       // acknowledged lately,
	seconds float64       // and how long the path was busy with them
}

type sentFrame struct {
	number uint32
	bytes  int
	at     time.Time
}

// add notes a frame that was sent.
func (p *pace) add(number uint32, bytes int, now time.Time) {
	p.sent = append(p.sent, sentFrame{number, bytes, now})
}

// ack notes that a frame, and every one before it, has arrived. The path was busy with it since it was sent or, when
// others were before it, since the last of those had gone.
func (p *pace) ack(frame uint32, now time.Time) {
	n := slices.IndexFunc(p.sent, func(f sentFrame) bool { return int32(f.number-frame) > 0 })
	if n < 0 {
		n = len(p.sent)
	}
	if n == 0 {
		return
	}
	since, bytes := p.sent[0].at, 0
	for _, f := range p.sent[:n] {
		bytes += f.bytes
	}
	p.sent = slices.Delete(p.sent, 0, n)
	if gone := p.last.Add(-p.rtt); gone.After(since) {
		since = gone
	}
	p.last = now
	p.bytes = forgetting*p.bytes + float64(bytes)
	p.seconds = forgetting*p.seconds + max(shortest, now.Sub(since)-p.rtt).Seconds()
}

// forget drops what was waited for: the path was away, or a viewer starts anew.
func (p *pace) forget() { p.sent = nil }

// rate is what the path takes, in bytes a second; 0 while nothing is known.
func (p *pace) rate() float64 {
	if p.seconds == 0 {
		return 0
	}
	return p.bytes / p.seconds
}

// wait is how long the next picture is held back while so many bytes wait to be sent or to be acknowledged by the
// transport; 0: it is due. It is taken when the last one has just gone by the time that it is encoded.
func (p *pace) wait(buffered uint64, interval time.Duration) time.Duration {
	if len(p.sent) == 0 && buffered == 0 {
		return 0
	}
	rate := p.rate()
	unacked := 1 + int((p.rtt+interval*12/10+interval-1)/interval)
	if rate == 0 || len(p.sent) >= unacked {
		return retry
	}
	onWay := rate * (p.rtt + p.lead).Seconds()
	if float64(buffered) <= onWay {
		return 0
	}
	return min(interval, max(retry, time.Duration((float64(buffered)-onWay)/rate*float64(time.Second))))
}

// budget is how large a picture may be, in bytes.
func (p *pace) budget() int {
	if rate := p.rate(); rate > 0 {
		return int(rate * pictureTime.Seconds())
	}
	return unknownBytes
}
