package simulate

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

// Report is what a run found. It is the JSON of --json; fields are never renamed within version 1.
type Report struct {
	Version   int     `json:"version"` // 1
	Mode      string  `json:"mode"`    // rehearsal, load
	Server    string  `json:"server"`
	Customers int     `json:"customers"`
	Seconds   float64 `json:"seconds"` // from the first connect to the last goodbye

	Counts  Counts           `json:"counts"`
	Timings Timings          `json:"timings"`
	Errors  map[string]int64 `json:"errors"` // refusals and lost connections by code
}

// Counts are what happened, and what must not happen.
type Counts struct {
	Connected     int64 `json:"connected"`     // customers that were online at least once
	Conversations int64 `json:"conversations"` // opened
	Claimed       int64 `json:"claimed"`       // by an agent
	Answered      int64 `json:"answered"`      // customers that an agent wrote to
	Finished      int64 `json:"finished"`      // stories that were told to the end
	Sent          int64 `json:"sent"`          // messages of customers
	HeldBack      int64 `json:"heldBack"`      // not written, because too many were on their way already
	Acked         int64 `json:"acked"`         // of those sent, stored as the server said
	Delivered     int64 `json:"delivered"`     // to the answering agent
	Replies       int64 `json:"replies"`       // messages of agents that customers got
	Cuts          int64 `json:"cuts"`          // connections that customers cut themselves
	Reconnects    int64 `json:"reconnects"`

	Lost        int64 `json:"lost"`        // acknowledged and not stored, or stored and never shown to the other side
	Doubled     int64 `json:"doubled"`     // stored twice, or pushed twice over one connection
	OutOfOrder  int64 `json:"outOfOrder"`  // stored or pushed in another order than written
	Unconfirmed int64 `json:"unconfirmed"` // sent, and neither acknowledged nor refused at the end
	Unchecked   int64 `json:"unchecked"`   // conversations that could not be compared with the store at the end

	Sessions        int64 `json:"sessions"` // peer sessions that connected
	DirectSent      int64 `json:"directSent"`
	DirectConfirmed int64 `json:"directConfirmed"`
	DirectReceived  int64 `json:"directReceived"` // by customers
	Shares          int64 `json:"shares"`         // pictures that customers said yes to
	PicturesSent    int64 `json:"picturesSent"`
	PicturesSkipped int64 `json:"picturesSkipped"` // before the encoder, as the path or the viewer was slow
	PicturesShown   int64 `json:"picturesShown"`   // painted by a viewer, or read back by the answering agent
	PicturesBad     int64 `json:"picturesBad"`     // whose number the answering agent could not read, or that came out of order
}

// Faulty reports whether a promise of the chat was broken.
func (c Counts) Faulty() bool { return c.Lost+c.Doubled+c.OutOfOrder+c.PicturesBad > 0 }

// Timings are percentiles in milliseconds.
type Timings struct {
	Connect      Percentiles `json:"connect"`      // from the dial to the end of the hello
	Ack          Percentiles `json:"ack"`          // from writing a message to its acknowledgement
	Delivery     Percentiles `json:"delivery"`     // from writing a message to the answering agent
	Reconnect    Percentiles `json:"reconnect"`    // from a cut to being online again, the client's waiting included
	CatchUp      Percentiles `json:"catchUp"`      // from being online again to having all that was missed
	Waited       Percentiles `json:"waited"`       // from opening a conversation to its claim
	Answered     Percentiles `json:"answered"`     // from a customer's message to the next one of an agent
	Direct       Percentiles `json:"direct"`       // from a direct message to its receipt
	FirstPicture Percentiles `json:"firstPicture"` // from the yes to the first picture that was painted
	PictureAge   Percentiles `json:"pictureAge"`   // from drawing a picture to its painting; whole milliseconds
}

// Percentiles are nearest-rank ones of Count samples, in milliseconds; all 0 without samples.
type Percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// timing names a series.
type timing int

const (
	tConnect timing = iota
	tAck
	tDelivery
	tReconnect
	tCatchUp
	tWaited
	tAnswered
	tDirect
	tFirstPicture
	tPictureAge
	timings
)

// keptSamples of a series are exact; of more, a uniform choice of as many is kept (Vitter's algorithm R).
const keptSamples = 1_000_000

// series holds the samples of one timing. Not safe for concurrent use.
type series struct {
	kept  []time.Duration
	count int64
	max   time.Duration
	limit int
}

func (s *series) add(d time.Duration) {
	s.count++
	s.max = max(s.max, d)
	if len(s.kept) < s.limit {
		s.kept = append(s.kept, d)
	} else if i := rand.Int64N(s.count); i < int64(s.limit) {
		s.kept[i] = d
	}
}

func (s *series) percentiles() Percentiles {
	if s.count == 0 {
		return Percentiles{}
	}
	sorted := slices.Clone(s.kept)
	slices.Sort(sorted)
	at := func(percent int) float64 {
		rank := (percent*len(sorted) + 99) / 100
		return ms(sorted[max(rank, 1)-1])
	}
	return Percentiles{Count: s.count, P50: at(50), P90: at(90), P99: at(99), Max: ms(s.max)}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// tally collects a report. Safe for concurrent use.
type tally struct {
	online atomic.Int64 // customers that are connected now

	mu     sync.Mutex
	counts Counts
	series [timings]series
	errors map[string]int64
}

func newTally() *tally {
	t := &tally{errors: map[string]int64{}}
	for i := range t.series {
		t.series[i].limit = keptSamples
	}
	return t
}

func (t *tally) count(f func(*Counts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.counts)
}

func (t *tally) took(which timing, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.series[which].add(max(d, 0))
}

func (t *tally) failed(code string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errors[code]++
}

func (t *tally) refused(code protocol.Code) { t.failed(string(code)) }

// Progress is a glance at a run that goes on.
type Progress struct {
	Elapsed time.Duration
	Online  int64
	Counts  Counts
}

func (t *tally) progress(elapsed time.Duration) Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Progress{Elapsed: elapsed, Online: t.online.Load(), Counts: t.counts}
}

func (t *tally) report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := func(which timing) Percentiles { return t.series[which].percentiles() }
	r := Report{Version: 1, Counts: t.counts, Errors: map[string]int64{}, Timings: Timings{
		Connect: p(tConnect), Ack: p(tAck), Delivery: p(tDelivery), Reconnect: p(tReconnect), CatchUp: p(tCatchUp),
		Waited: p(tWaited), Answered: p(tAnswered), Direct: p(tDirect), FirstPicture: p(tFirstPicture), PictureAge: p(tPictureAge),
	}}
	for code, n := range t.errors {
		r.Errors[code] = n
	}
	return r
}
