// The consent machine against the cases that the page is tested with too, and against random histories.

package consent

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

func TestConsentCases(t *testing.T) {
	for _, grant := range []string{"view", "record"} {
		t.Run(grant, func(t *testing.T) { testCases(t, "../../protocol/testdata/consent/"+grant+".json") })
	}
}

func testCases(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name  string
		Steps []struct {
			Event   Event
			AtMs    int64
			State   State
			Record  State // empty: not looked at
			Effects []Effect
		}
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 20 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			v := View{State: Off, Record: Off}
			for i, s := range c.Steps {
				var effects []Effect
				v, effects = Step(v, s.Event, s.AtMs)
				if v.State != s.State || !slices.Equal(effects, s.Effects) || s.Record != "" && v.Record != s.Record {
					t.Fatalf("step %d, %s at %d ms: got %s, record %s %v, want %s, record %s %v", i, s.Event, s.AtMs, v.State, v.Record, effects, s.State, s.Record, s.Effects)
				}
			}
		})
	}
}

// Whatever happens in whatever order: a picture needs the customer's own yes, and what comes from outside gives none.
func TestConsentModel(t *testing.T) {
	events := []Event{EvAsk, EvAllow, EvDeny, EvClick, EvCaptured, EvRefused, EvImpossible, EvFailed, EvClosed, EvStop, EvEnded, EvExtend, EvTick, EvForged,
		EvRecordAsk, EvRecordAllow, EvRecordDeny, EvRecordStop, EvRecordDone}
	own := map[Event]bool{EvAllow: true, EvClick: true}
	r := rand.New(rand.NewPCG(7, 7))
	c := View{State: Off, Record: Off}
	now := int64(0)
	yes := false // the customer said yes since the consent was last off
	var history []string
	for range 300_000 {
		now += r.Int64N(40_000)
		e := events[r.IntN(len(events))]
		before := c
		var effects []Effect
		c, effects = Step(c, e, now)
		if history = append(history, fmt.Sprint(e, "@", now)); len(history) > 20 {
			history = history[1:]
		}
		if own[e] && c.State == Picking {
			yes = true
		}
		if c.State == Off {
			yes = false
		}
		if !own[e] && before.State != Picking && c.State == Picking {
			t.Fatalf("%s began a capture: %v", e, history[max(0, len(history)-10):])
		}
		if c.Allows(now) && !yes {
			t.Fatalf("a picture without a yes: %v", history[max(0, len(history)-10):])
		}
		if (e == EvStop || e == EvEnded) && c.State != Off {
			t.Fatalf("%s did not win: %v", e, history[max(0, len(history)-10):])
		}
		if before.State == On && c.State == Off && !slices.Contains(effects, "stop") {
			t.Fatalf("%s left the capture running", e)
		}
		if before.Record != On && c.Record == On && (e != EvRecordAllow || before.Record != Asked || now-before.RecordMs < ArmMs) {
			t.Fatalf("%s allowed to record: %v", e, history[max(0, len(history)-10):])
		}
		if c.Record != Off && c.State != On {
			t.Fatalf("record is %s without a picture after %s", c.Record, e)
		}
		if (e == EvRecordStop || e == EvRecordDone) && c.Record != Off {
			t.Fatalf("%s did not win", e)
		}
		if c.State == On && now >= c.UntilMs && e == EvTick {
			t.Fatalf("the lease is over and it is on")
		}
	}
}

// A picture is over with its lease, also before the next tick has said so.
func TestLeaseEndsAPicture(t *testing.T) {
	v := View{State: On, UntilMs: leaseMs, Record: On}
	if v.Records(leaseMs) || v.Records(10*leaseMs) || !v.Records(leaseMs-1) || (View{State: On, UntilMs: leaseMs, Record: Asked}).Records(1) {
		t.Error("the lease does not end a recording")
	}
	if v.Allows(leaseMs) || v.Allows(leaseMs+1) || v.Allows(10*leaseMs) || !v.Allows(leaseMs-1) {
		t.Error("the lease does not end a picture")
	}
	v, effects := Step(v, EvTick, leaseMs)
	if v.State != Off || !slices.Equal(effects, []Effect{"stop", "record:off:ended", "tell:off:timeout"}) {
		t.Errorf("at the end of the lease: %s %v", v.State, effects)
	}
}
