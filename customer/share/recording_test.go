// Stills and the grant record, as the agent's end sees them.

package share

import (
	"bytes"
	"image"
	"slices"
	"testing"

	"github.com/lookalong/lookalong/internal/pattern"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// shown is a customer whose picture the agent sees.
func shown(t *testing.T, flags ...string) (*program, *agent) {
	t.Helper()
	srv := servertest.New(t)
	p := start(t, srv, t.TempDir(), append([]string{"--share"}, flags...)...)
	ana := newAgent(t, srv)
	ana.claim(p)
	ana.see(2)
	return p, ana
}

// control waits for the first message of a type on control that ok accepts.
func control[T any](a *agent, ok func(T) bool) (found T) {
	a.t.Helper()
	for n := 1; ; n++ {
		if m, is := a.end.WaitControl(a.t, n)[n-1].(T); is && ok(m) {
			return m
		}
	}
}

func (a *agent) send(msg any) {
	a.t.Helper()
	if err := a.end.SendControl(msg); err != nil {
		a.t.Fatal(err)
	}
}

func TestRecordingIsAllowedByTheCustomerAlone(t *testing.T) {
	p, ana := shown(t, "--accept", "record")
	ana.send(protocol.RecordState{On: true}) // an agent that grants itself
	ana.ask(protocol.ConsentAsk{Session: ana.session, Grant: "record"})
	asked := p.wantState("asked", "record")
	wantPush(ana, func(m protocol.ConsentState) bool { return m.Grant == "record" && m.State == "asked" })
	on := control(ana, func(m protocol.RecordState) bool { return true })
	if waited := on.AtMs - asked.At.UnixMilli(); !on.On || waited < 900 { // the flag's yes is armed like a person's
		t.Errorf("the first word about recording is %+v, %d ms after the question", on, waited)
	}
	wantPush(ana, func(m protocol.ConsentState) bool { return m.Grant == "record" && m.State == "on" })
	p.typed("/norecord")
	off := control(ana, func(m protocol.RecordState) bool { return !m.On })
	if off.AtMs < on.AtMs {
		t.Errorf("off at %d, on at %d", off.AtMs, on.AtMs)
	}
	wantPush(ana, func(m protocol.ConsentState) bool {
		return m.Grant == "record" && m.State == "off" && m.Cause == "stopped"
	})
	frames := len(ana.end.WaitFrames(t, 1))
	ana.watch(frames + 2) // the picture goes on

	// Allowed again; the end of the share is the end of the recording.
	ana.ask(protocol.ConsentAsk{Session: ana.session, Grant: "record"})
	p.want("recording again", 2, func(o Output) bool { return o.Event == "recording" && o.State == "on" })
	p.typed("/stop")
	wantPush(ana, func(m protocol.ConsentState) bool {
		return m.Grant == "record" && m.State == "off" && m.Cause == "ended"
	})
}

func TestRecordingIsDeclinedWhereNobodyCanAnswer(t *testing.T) {
	_, ana := shown(t)
	ana.ask(protocol.ConsentAsk{Session: ana.session, Grant: "record"})
	wantPush(ana, func(m protocol.ConsentState) bool {
		return m.Grant == "record" && m.State == "off" && m.Cause == "declined"
	})
	if m := control(ana, func(protocol.RecordState) bool { return true }); m.On {
		t.Errorf("got %+v", m)
	}
}

// A still of the pattern has each of its pixels, whatever format the pictures have.
func TestStillIsExact(t *testing.T) {
	p, ana := shown(t, "--image", "jpeg")
	ana.send(protocol.ScreenStill{ID: "s1"})
	var still *protocol.Frame
	for n := 1; still == nil; n++ {
		if f := ana.end.WaitFrames(t, n)[n-1]; f.Kind == protocol.FrameStill {
			still = f
		} else {
			ana.send(protocol.ScreenFeedback{Frame: f.Frame})
		}
	}
	got, format, err := image.Decode(bytes.NewReader(still.Data))
	if err != nil || format != "png" {
		t.Fatalf("%s, %v", format, err)
	}
	number, err := pattern.Read(got)
	if err != nil {
		t.Fatal(err)
	}
	source, err := pattern.New(320, 180)
	if err != nil {
		t.Fatal(err)
	}
	var want image.Image
	for range int(number) + 1 {
		want = source.Next()
	}
	b := got.Bounds()
	if b != want.Bounds() {
		t.Fatalf("bounds %v, want %v", b, want.Bounds())
	}
	pixels := func(img image.Image) (out []uint32) {
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				r, g, b, a := img.At(x, y).RGBA()
				out = append(out, r, g, b, a)
			}
		}
		return out
	}
	if !slices.Equal(pixels(got), pixels(want)) {
		t.Errorf("picture %d differs from its source", number)
	}
	p.typed("/stop")
	wantPush(ana, func(m protocol.ConsentState) bool { return m.State == "off" })
	ana.send(protocol.ScreenStill{ID: "s2"})
	if m := control(ana, func(protocol.ScreenRefused) bool { return true }); m.Why != "off" || m.ID != "s2" {
		t.Errorf("after the stop: %+v", m)
	}
}
