package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/lookalong/lookalong/internal/fault"
)

// TestSoakFaultScripts: everything at once, by random scripts: the network, kills, freezes and restarts of a server whose
// disk is slow. Short in "make test", long in "make soak".
func TestSoakFaultScripts(t *testing.T) {
	t.Parallel()
	program, err := faultServer()
	if err != nil {
		t.Fatal(err)
	}
	length, steps := 8*time.Second, 8
	n := rounds(1, 30)
	if n > 1 {
		length, steps = 40*time.Second, 30
	}
	s := newStage(t, program, nil)
	if err := s.Term(soon(t)); err != nil {
		t.Fatal(err)
	}
	s.Env = append(s.Env, "FAULT_SYNC_DELAY=3ms")
	s.up()
	for round := range n {
		seed := firstSeed() + uint64(round)
		script := fault.Random(seed, length, steps, append([]fault.Verb{fault.Kill, fault.Stop, fault.Term}, fault.NetworkVerbs...)...)
		w := s.play(8, s.invites(3), seed)
		s.run(script, seed)
		if !s.Running() {
			s.up()
		}
		t.Log(s.done(w, fmt.Sprintf("LOOKALONG_SEED=%d, script %q", seed, script)))
		if t.Failed() {
			return
		}
	}
}
