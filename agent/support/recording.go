package support

// Recordings: the grant record. Only the customer's own end can give it (record.state on channel control), and its no is
// obeyed at once, on the peer's goroutine; so are the end of the picture and of the session.

import (
	"errors"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

// Recorder takes the frames of a recording, between the customer's yes and their no. Its methods are called from any
// goroutine and must not wait; Stop may be called more than once.
type Recorder interface {
	Frame(f *protocol.Frame, config protocol.ScreenConfig)
	Stop(captured *uint32) // captured: the moment by the customer's clock, where it is known
}

// Errors of Record; RecordRefused is another.
var (
	ErrRecording = errors.New("it is being recorded already")
	ErrNoPicture = errors.New("nothing is shown; ask with share")
)

// RecordRefused is why the customer's side did not allow a recording: a cause of protocol.ConsentState.
type RecordRefused string

func (r RecordRefused) Error() string {
	switch r {
	case "declined":
		return "the customer does not want it recorded, or was asked too often"
	case "timeout":
		return "the customer did not answer"
	case "dismissed":
		return "the customer is being asked something else; try again in a minute"
	}
	return "the picture ended before the customer answered"
}

// answerPatience is how long the answer may take: the customer's 60 s, and the way.
const answerPatience = 65 * time.Second

// codecs are what a recording takes where no viewer page has said what it can show, best first (screen.md).
var codecs = []string{"av01.1.08M.08.0.000", "av01.0.08M.08", "avc1.42E034", "vp09.00.51.08", "vp8"}

// recording is the one that is asked for, or runs.
type recording struct {
	to    Recorder // nil: none
	on    bool
	since time.Time
	done  func(error)
}

// Record asks the customer's leave to record what is shown. done gets nil when the recording begins, ErrRecording,
// ErrNoPicture, RecordRefused, or the server's refusal. Status.Record follows it; to.Stop is its end.
func (c *Controller) Record(to Recorder, done func(error)) {
	c.post(func(c *Controller) {
		switch {
		case c.recording.to != nil:
			done(ErrRecording)
			return
		case c.peer == nil || c.status.View != "on":
			done(ErrNoPicture)
			return
		}
		c.recording = recording{to: to, since: time.Now(), done: done}
		c.armed.Store(&sink{to})
		c.status.Record, c.status.RecordCause = "asked", ""
		c.cfg.Signaling.Ask(protocol.ConsentAsk{Session: c.status.Session, Grant: "record"}, func(_ any, err error) {
			c.post(func(c *Controller) {
				if err != nil && c.recording.to == to && !c.recording.on {
					c.endRecord("failed", err)
				}
			})
		})
	})
}

// AskKey asks the customer's end for a key frame of a stream, at most two a second.
func (c *Controller) AskKey(stream uint8) { c.post(func(c *Controller) { c.askKey(stream) }) }

// StopRecord ends the recording, or takes the question back. Without either it does nothing.
func (c *Controller) StopRecord() {
	c.post(func(c *Controller) {
		if c.recording.to != nil {
			c.sayNoRecord()
			c.endRecord("agent", nil)
		}
	})
}

// sayNoRecord tells the customer's end that nothing is recorded, so that its mark goes away.
func (c *Controller) sayNoRecord() {
	if c.peer != nil {
		_ = c.peer.SendControl(protocol.RecordState{AtMs: time.Now().UnixMilli()}) // without a path the session ends, and the mark
	}
}

// onRecord takes the customer's word.
func (c *Controller) onRecord(m protocol.RecordState) {
	switch {
	case m.On && c.recording.to == nil:
		c.sayNoRecord() // too late, or never asked
	case m.On && !c.recording.on:
		c.recording.on = true
		c.status.Record = "on"
		if c.codecs == nil {
			c.noViewer = true
			c.sendCodecs()
		}
		for i := range c.flows {
			if c.flows[i].config != nil {
				c.askKey(uint8(i))
			}
		}
		c.recording.done(nil)
	case !m.On && c.recording.on:
		c.endRecord("stopped", nil)
	}
}

// onRecordConsent takes what the server was told: it can refuse, and end, but not grant.
func (c *Controller) onRecordConsent(m protocol.ConsentState) {
	if m.State == "off" && c.recording.to != nil { //guard:T22
		c.endRecord(m.Cause, RecordRefused(m.Cause))
	}
}

// endRecord ends the recording, or the question for one, which gets err.
func (c *Controller) endRecord(cause string, err error) {
	rec := c.recording
	if rec.to == nil {
		return
	}
	c.recording = recording{}
	c.status.Record, c.status.RecordCause = "", cause
	c.armed.Store(nil)
	c.cutRecord(nil)
	if !rec.on {
		rec.done(err)
	}
	rec.to.Stop(nil)
}

// sink is where frames go while the customer allows it.
type sink struct{ Recorder }

// cutRecord ends the flow of frames at once, from any goroutine.
func (c *Controller) cutRecord(captured *uint32) {
	if s := c.sink.Swap(nil); s != nil {
		s.Stop(captured)
	}
}

// heardRecord obeys the customer's yes and no at once, on the peer's goroutine, where the frames come too.
func (c *Controller) heardRecord(msg any) {
	switch m := msg.(type) {
	case protocol.RecordState:
		if m.On {
			if s := c.armed.Swap(nil); s != nil {
				c.sink.Store(s) //guard:T22
			}
		} else {
			captured := uint32(m.AtMs)
			c.cutRecord(&captured)
		}
	case protocol.ScreenStopped:
		c.cutRecord(nil)
	}
}
