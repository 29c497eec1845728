package fault

import (
	"flag"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets more tests run at once than there are cores: most of the time they wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func TestParse(t *testing.T) {
	s, err := Parse("at 20s kill server; at 12s drop c->s 60s # the customer's train\nat 25s restart; at 1s latency 20ms for 3s; at 0s reset half; at 2s clock -1h; check no-loss")
	if err != nil {
		t.Fatal(err)
	}
	want := "at 0s reset half; at 1s latency 20ms for 3s; at 2s clock -1h0m0s; at 12s drop c->s 1m0s; at 20s kill server; at 25s restart server; check no-loss"
	if s.String() != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if d := s.Steps[3]; d.At != 12*time.Second || d.Verb != Drop || d.Dir != ToServer || d.For != time.Minute {
		t.Errorf("drop: %+v", d)
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"kill server":               "a step begins with at or check",
		"at 3 kill":                 `"3" is no time such as 1.5s`,
		"at -3s kill":               `"-3s" is no time`,
		"at 3s":                     "after at come a time and what to do",
		"at 3s explode":             `"explode" is nothing that can be done; known are clock, cont, cut`,
		"at 1s reset; at 3s kill 9": `step 2, "at 3s kill 9": "9" is not understood after kill`,
		"at 3s rate 0":              "rate needs a number of bytes from 1",
		"at 3s cut c->s":            "cut needs a number of bytes",
		"at 3s drop 0s":             "drop for no time at all does nothing",
		"at 3s latency":             `"" is no time`,
		"at 3s reset some":          `"some" is not understood`,
		"at 800h kill":              "at most 720h",
		"check everything":          "after check comes no-loss or order",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"at 12s drop c->s 60s; at 20s kill server; at 25s restart; check no-loss",
		"at 1s latency s->c 5ms for 1s\nat 2s rate 1000; at 3s trickle for 1m # x",
		"at 1ns cut s->c 17; at 2s duplicate one; at 3s fill; at 4s free; at 5s slow-sync 3s; at 6s fail-sync; at 7s clock -1h",
		Random(3, time.Minute, 30, append(NetworkVerbs, Kill, Stop, Term, Fill, SlowSync, FailSync, ClockJump)...).String(),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q became %q and then %q, %v", text, s, again, err)
		}
		for i, step := range s.Steps {
			if step.At < 0 || step.At > MaxSpan || step.For < 0 || i > 0 && step.At < s.Steps[i-1].At {
				t.Fatalf("%q: %+v", text, step)
			}
		}
	})
}

// TestRandomRepeats: a seed is a script, and a script reads back as itself.
func TestRandomRepeats(t *testing.T) {
	all := append([]Verb{Kill, Stop, Term, Fill, SlowSync, FailSync, ClockJump}, NetworkVerbs...)
	seen := map[string]bool{}
	for seed := range uint64(200) {
		s := Random(seed, 10*time.Second, 12, all...)
		if again := Random(seed, 10*time.Second, 12, all...); again.String() != s.String() {
			t.Fatalf("seed %d gave %s\nand then %s", seed, s, again)
		}
		parsed, err := Parse(s.String())
		if err != nil || parsed.String() != s.String() {
			t.Fatalf("seed %d: %s\nreads back as %s, %v", seed, s, parsed, err)
		}
		if last := s.Steps[len(s.Steps)-1]; last.Verb != Resume {
			t.Fatalf("seed %d ends with %s", seed, last)
		}
		seen[s.String()] = true
	}
	if len(seen) != 200 {
		t.Errorf("%d different scripts of 200 seeds", len(seen))
	}
}

func TestSceneRefusesWhatItLacks(t *testing.T) {
	s := Scene{Log: t.Logf}
	for _, line := range []string{"at 0s kill", "at 0s fill", "at 0s drop", "at 0s clock 1h"} {
		script, err := Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context(), script); err == nil || !strings.Contains(err.Error(), "this scene has none") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestClock(t *testing.T) {
	var c Clock
	if d := time.Since(c.Now()); d < 0 || d > time.Minute {
		t.Errorf("an untouched clock is off by %s", d)
	}
	c.Jump(-time.Hour)
	before := c.Now()
	c.Jump(3 * time.Hour)
	if d := c.Now().Sub(before); d < 3*time.Hour || d > 3*time.Hour+time.Minute {
		t.Errorf("a jump of 3 h shows as %s", d)
	}
}
