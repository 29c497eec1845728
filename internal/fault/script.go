// The language of scripts: when to break what, in lines that a person can write and read.

package fault

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Dir is a direction of a connection.
type Dir string

// The directions.
const (
	Both     Dir = ""
	ToServer Dir = "c->s"
	ToClient Dir = "s->c"
)

// Which says how many of the open connections are meant.
type Which string

// How many: all, about half, or one, chosen by the script's seed.
const (
	All  Which = ""
	Half Which = "half"
	One  Which = "one"
)

// Verb is what a step does.
type Verb string

// What can be done. In a script:
//
//	latency [c->s|s->c] DURATION [for DURATION]   each byte arrives later
//	rate    [c->s|s->c] BYTES [for DURATION]      bytes a second
//	trickle [c->s|s->c] [for DURATION]            every write is one byte
//	drop    [c->s|s->c] [half|one] [DURATION]     bytes vanish, nobody is told (half-open); at the end a reset
//	pause   [c->s|s->c] [DURATION]                bytes wait, as behind a network that is away, and arrive later
//	resume  [c->s|s->c]                           takes back all of the above
//	cut     [c->s|s->c] BYTES                     each connection ends after so many bytes more
//	reset     [half|one]                          RST to both ends
//	duplicate [half|one]                          RST to the client alone: the server keeps the old connection
//	kill|stop|cont|term|restart [server]          SIGKILL, SIGSTOP, SIGCONT, SIGTERM, start again
//	fill | free                                   the disk is full; it has room again
//	slow-sync DURATION | fail-sync                each sync takes longer; the next sync fails
//	clock [-]DURATION                             the server's wall clock jumps
const (
	Latency   Verb = "latency"
	Rate      Verb = "rate"
	Trickle   Verb = "trickle"
	Drop      Verb = "drop"
	Pause     Verb = "pause"
	Resume    Verb = "resume"
	Cut       Verb = "cut"
	Reset     Verb = "reset"
	Duplicate Verb = "duplicate"
	Kill      Verb = "kill"
	Stop      Verb = "stop"
	Cont      Verb = "cont"
	Term      Verb = "term"
	Restart   Verb = "restart"
	Fill      Verb = "fill"
	Free      Verb = "free"
	SlowSync  Verb = "slow-sync"
	FailSync  Verb = "fail-sync"
	ClockJump Verb = "clock"
)

// Step is one line: at a time since the start, do one thing.
type Step struct {
	At    time.Duration
	Verb  Verb
	Dir   Dir
	Which Which
	Wait  time.Duration // latency, slow-sync, clock
	Bytes int64         // rate, cut
	For   time.Duration // zero: until it is taken back
}

// Script is a list of steps by time, and what to check at the end.
type Script struct {
	Steps  []Step
	Checks []string
}

// Checks that a script may ask for.
const (
	CheckNoLoss = "no-loss"
	CheckOrder  = "order"
)

// MaxSpan is the longest time that a script may name. Enough for a lease of a week.
const MaxSpan = 30 * 24 * time.Hour

// shape says which words follow a verb.
type shape struct {
	dir, which, server   bool
	wait, signed, bytes  bool
	forWord, plainForOpt bool
}

var shapes = map[Verb]shape{
	Latency: {dir: true, wait: true, forWord: true}, Rate: {dir: true, bytes: true, forWord: true},
	Trickle: {dir: true, forWord: true}, Drop: {dir: true, which: true, plainForOpt: true}, Pause: {dir: true, plainForOpt: true},
	Resume: {dir: true}, Cut: {dir: true, bytes: true}, Reset: {which: true}, Duplicate: {which: true},
	Kill: {server: true}, Stop: {server: true}, Cont: {server: true}, Term: {server: true}, Restart: {server: true},
	Fill: {}, Free: {}, SlowSync: {wait: true}, FailSync: {}, ClockJump: {wait: true, signed: true},
}

// Parse reads a script. Lines end with a semicolon or a newline; what follows # is a remark. Times may come in any
// order. The error names the line and what was expected.
func Parse(text string) (Script, error) {
	var s Script
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		for part := range strings.SplitSeq(line, ";") {
			words := strings.Fields(part)
			if len(words) == 0 {
				continue
			}
			n++
			if err := s.add(words); err != nil {
				return Script{}, fmt.Errorf("fault: step %d, %q: %w", n, strings.Join(words, " "), err)
			}
		}
	}
	slices.SortStableFunc(s.Steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	return s, nil
}

func (s *Script) add(words []string) error {
	switch words[0] {
	case "check":
		if len(words) != 2 || words[1] != CheckNoLoss && words[1] != CheckOrder {
			return fmt.Errorf("after check comes %s or %s", CheckNoLoss, CheckOrder)
		}
		s.Checks = append(s.Checks, words[1])
		return nil
	case "at":
		if len(words) < 3 {
			return fmt.Errorf("after at come a time and what to do, such as: at 2s kill server")
		}
		at, err := span(words[1], false)
		if err != nil {
			return err
		}
		step, err := parseStep(Verb(words[2]), words[3:])
		step.At = at
		s.Steps = append(s.Steps, step)
		return err
	}
	return fmt.Errorf("a step begins with at or check")
}

func parseStep(verb Verb, words []string) (Step, error) {
	step := Step{Verb: verb}
	sh, known := shapes[verb]
	if !known {
		return step, fmt.Errorf("%q is nothing that can be done; known are %s", verb, verbs())
	}
	next := func() string {
		if len(words) == 0 {
			return ""
		}
		return words[0]
	}
	take := func() string { w := next(); words = words[min(1, len(words)):]; return w }
	if d := Dir(next()); sh.dir && (d == ToServer || d == ToClient) {
		step.Dir = Dir(take())
	}
	if w := Which(next()); sh.which && (w == Half || w == One) {
		step.Which = Which(take())
	}
	if sh.server && next() == "server" {
		take()
	}
	var err error
	if sh.wait {
		if step.Wait, err = span(take(), sh.signed); err != nil {
			return step, err
		}
	}
	if sh.bytes {
		if step.Bytes, err = strconv.ParseInt(take(), 10, 64); err != nil || step.Bytes < 1 || step.Bytes > 1<<40 {
			return step, fmt.Errorf("%s needs a number of bytes from 1 to %d", verb, int64(1<<40))
		}
	}
	if sh.plainForOpt && len(words) > 0 || sh.forWord && next() == "for" {
		if sh.forWord {
			take()
		}
		if step.For, err = span(take(), false); err != nil {
			return step, err
		}
		if step.For == 0 {
			return step, fmt.Errorf("%s for no time at all does nothing", verb)
		}
	}
	if len(words) > 0 {
		return step, fmt.Errorf("%q is not understood after %s", words[0], verb)
	}
	return step, nil
}

func span(word string, signed bool) (time.Duration, error) {
	d, err := time.ParseDuration(word)
	if err != nil || !signed && d < 0 || d > MaxSpan || d < -MaxSpan {
		return 0, fmt.Errorf("%q is no time such as 1.5s, 200ms or 2m (at most %s)", word, MaxSpan)
	}
	return d, nil
}

func verbs() string {
	var names []string
	for v := range shapes {
		names = append(names, string(v))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// String is the step as Parse reads it.
func (s Step) String() string {
	sh := shapes[s.Verb]
	words := []string{"at", s.At.String(), string(s.Verb)}
	if s.Dir != Both {
		words = append(words, string(s.Dir))
	}
	if s.Which != All {
		words = append(words, string(s.Which))
	}
	if sh.server {
		words = append(words, "server")
	}
	if sh.wait {
		words = append(words, s.Wait.String())
	}
	if sh.bytes {
		words = append(words, strconv.FormatInt(s.Bytes, 10))
	}
	if s.For > 0 {
		if sh.forWord {
			words = append(words, "for")
		}
		words = append(words, s.For.String())
	}
	return strings.Join(words, " ")
}

// String is the script as Parse reads it.
func (s Script) String() string {
	var lines []string
	for _, step := range s.Steps {
		lines = append(lines, step.String())
	}
	for _, c := range s.Checks {
		lines = append(lines, "check "+c)
	}
	return strings.Join(lines, "; ")
}
