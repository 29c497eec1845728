package fault

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// Rand is the random source of a seed.
func Rand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x6c6f6f6b616c6f6e)) }

// NetworkVerbs are those that need a Proxy alone.
var NetworkVerbs = []Verb{Latency, Rate, Trickle, Drop, Pause, Cut, Reset, Duplicate}

// Random makes a script of n steps within length from a seed; the same seed, always the same script. A disturbance
// lasts at most a quarter of length, a stopped or killed server a tenth, and at the end all is taken back, so that what
// follows can be checked. verbs are those to choose from; Cont, Restart, Free and Resume come by themselves.
func Random(seed uint64, length time.Duration, n int, verbs ...Verb) Script {
	r := Rand(seed)
	var s Script
	within := func(d time.Duration) time.Duration { // whole milliseconds, from 1
		return time.Duration(1+r.Int64N(max(1, d.Milliseconds()))) * time.Millisecond
	}
	for range n {
		step := Step{At: within(length * 9 / 10), Verb: verbs[r.IntN(len(verbs))]}
		sh := shapes[step.Verb]
		if sh.dir {
			step.Dir = []Dir{Both, ToServer, ToClient}[r.IntN(3)]
		}
		if sh.which {
			step.Which = []Which{All, Half, One}[r.IntN(3)]
		}
		if sh.bytes {
			step.Bytes = 1 + r.Int64N(8000)
			if step.Verb == Rate {
				step.Bytes += 2000 // slower than that is a pause
			}
		}
		if sh.wait {
			step.Wait = within(200 * time.Millisecond)
			if step.Verb == ClockJump {
				step.Wait = time.Duration(r.Int64N(int64(2*time.Hour))-int64(time.Hour)) / time.Second * time.Second
			}
		}
		if sh.forWord || sh.plainForOpt {
			step.For = within(length / 4)
		}
		s.Steps = append(s.Steps, step)
		back := map[Verb]Verb{Kill: Restart, Term: Restart, Stop: Cont, Fill: Free}[step.Verb]
		if back != "" {
			s.Steps = append(s.Steps, Step{At: step.At + within(length/10), Verb: back})
		}
	}
	slices.SortStableFunc(s.Steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	s.Steps = append(s.Steps, Step{At: max(length, s.Steps[len(s.Steps)-1].At), Verb: Resume})
	s.Checks = []string{CheckNoLoss, CheckOrder}
	return s
}
