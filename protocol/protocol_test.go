package protocol_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/protocol"
)

var senders = map[string]protocol.Sender{"customer": protocol.Customer, "agent": protocol.Agent, "server": protocol.Server, "peer": protocol.Peer,
	"viewerPage": protocol.ViewerPage, "viewerHost": protocol.ViewerHost}

func TestEveryRowHasAValidVectorThatSurvivesDecodeAndEncode(t *testing.T) {
	for _, row := range protocol.Table {
		data, err := os.ReadFile(filepath.Join("testdata/valid", row.Type+".json"))
		if err != nil {
			t.Errorf("no vector for %s: %v", row.Type, err)
			continue
		}
		for name, from := range senders {
			msg, err := protocol.Decode(data, from)
			if row.From&from == 0 {
				var bad *protocol.BadMessageError
				if !errors.As(err, &bad) {
					t.Errorf("%s from %s: got %v, want a BadMessageError: the wrong sender is refused", row.Type, name, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s from %s: %v", row.Type, name, err)
				continue
			}
			again, err := protocol.Decode(protocol.Encode(msg), from)
			if err != nil || !reflect.DeepEqual(msg, again) {
				t.Errorf("%s from %s: encode and decode give %+v (%v), want %+v", row.Type, name, again, err, msg)
			}
			var want, got any
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(protocol.Encode(msg), &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: encoded %v, want the vector %v", row.Type, got, want)
			}
		}
	}
	files, _ := filepath.Glob("testdata/valid/*.json")
	if len(files) != len(protocol.Table) {
		t.Errorf("%d vectors for %d rows: one is left over", len(files), len(protocol.Table))
	}
}

func TestInvalidVectors(t *testing.T) {
	files, _ := filepath.Glob("testdata/invalid/*.json")
	if len(files) < 20 {
		t.Fatalf("only %d invalid vectors found", len(files))
	}
	for _, name := range files {
		var c struct{ From, Data, Code, Reason string }
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatal(name, err)
		}
		msg, err := protocol.Decode([]byte(c.Data), senders[c.From])
		var bad *protocol.BadMessageError
		if !errors.As(err, &bad) || !strings.Contains(bad.Reason, c.Reason) {
			t.Errorf("%s: got %+v, %v; want a BadMessageError about %q", filepath.Base(name), msg, err, c.Reason)
		}
	}
}

func TestDecodeRefusesWhatJSONFilesCannotHold(t *testing.T) {
	for name, data := range map[string]string{
		"invalid UTF-8": "{\"type\":\"ping\",\"id\":\"\xff\"}",
		"too large":     `{"type":"chat.send","id":"1","conversation":"c","text":"` + strings.Repeat("x", protocol.MaxMessageBytes) + `"}`,
		"over the row":  `{"type":"ping","id":"1"` + strings.Repeat(" ", 3000) + `}`,
	} {
		if _, err := protocol.Decode([]byte(data), protocol.Customer); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	longest := protocol.ChatSend{ID: "1", Conversation: "c", Text: strings.Repeat("\U0001F469", protocol.MaxTextChars)}
	if _, err := protocol.Decode(protocol.Encode(longest), protocol.Customer); err != nil {
		t.Errorf("the longest text that is allowed: %v", err)
	}
}

func TestServerMessagesTolerateTheFuture(t *testing.T) {
	msg, err := protocol.Decode([]byte(`{"type":"ack","id":"1","seq":3,"mood":"good"}`), protocol.Server)
	if ack, ok := msg.(protocol.Ack); err != nil || !ok || ack.Seq != 3 {
		t.Errorf("unknown field: got %+v, %v", msg, err)
	}
	msg, err = protocol.Decode([]byte(`{"type":"weather.report","sun":true}`), protocol.Server)
	if u, ok := msg.(protocol.Unknown); err != nil || !ok || u.Type != "weather.report" {
		t.Errorf("unknown type: got %+v, %v", msg, err)
	}
}

func TestFrameVectors(t *testing.T) {
	var cases []struct {
		Name   string
		Chunks []string
		Frames []struct {
			Kind             protocol.FrameKind
			Stream           uint8
			Frame, CaptureMs uint32
			Hex              string
		}
		Error bool
	}
	data, err := os.ReadFile("testdata/frame/chunks.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		var r protocol.Reassembler
		var failed error
		n := 0
		for _, h := range c.Chunks {
			raw, _ := hex.DecodeString(h)
			f, err := r.Add(raw)
			if err != nil {
				failed = err
				break
			}
			if f == nil {
				continue
			}
			if n >= len(c.Frames) || f.Kind != c.Frames[n].Kind || f.Stream != c.Frames[n].Stream || f.Frame != c.Frames[n].Frame || f.CaptureMs != c.Frames[n].CaptureMs || hex.EncodeToString(f.Data) != c.Frames[n].Hex {
				t.Errorf("%s: frame %d is %+v", c.Name, n, f)
			}
			n++
		}
		if c.Error != errors.Is(failed, protocol.ErrFrame) || !c.Error && n != len(c.Frames) {
			t.Errorf("%s: error %v, %d frames; want error %v, %d frames", c.Name, failed, n, c.Error, len(c.Frames))
		}
	}
}

func TestSplitAndReassemble(t *testing.T) {
	for _, size := range []int{1, protocol.MaxChunkPayload - 1, protocol.MaxChunkPayload, protocol.MaxChunkPayload + 1, 3*protocol.MaxChunkPayload + 17, protocol.MaxFrameBytes} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(rand.IntN(256))
		}
		chunks, err := protocol.Frame{Kind: protocol.FrameKey, Frame: 9, CaptureMs: 77, Data: data}.Split()
		if err != nil {
			t.Fatal(size, err)
		}
		var r protocol.Reassembler
		for i, c := range chunks {
			if len(c) > protocol.MaxChannelBytes {
				t.Fatalf("size %d: chunk %d has %d bytes", size, i, len(c))
			}
			f, err := r.Add(c)
			if err != nil {
				t.Fatal(size, i, err)
			}
			if last := i == len(chunks)-1; last != (f != nil) || last && (!bytes.Equal(f.Data, data) || f.Frame != 9 || f.CaptureMs != 77) {
				t.Fatalf("size %d: chunk %d of %d gives %v", size, i, len(chunks), f != nil)
			}
		}
	}
	for _, size := range []int{0, protocol.MaxFrameBytes + 1} {
		if _, err := (protocol.Frame{Kind: protocol.FrameKey, Data: make([]byte, size)}).Split(); !errors.Is(err, protocol.ErrFrame) {
			t.Errorf("size %d: %v, want ErrFrame", size, err)
		}
	}
}

func TestCloseCodesSayWhetherToComeBack(t *testing.T) {
	for _, r := range protocol.CloseTable {
		if got := r.Code.Reconnects(); got != r.Reconnect {
			t.Errorf("%d: %v", r.Code, got)
		}
		if private := r.Code >= 4000; private && r.Reconnect != (r.Code < 4500) {
			t.Errorf("%d: the range says otherwise", r.Code)
		}
	}
	if !protocol.CloseCode(1006).Reconnects() || protocol.CloseCode(4999).Reconnects() {
		t.Error("an unknown code does not follow its range")
	}
}

func TestCheckText(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"empty": {"", false}, "one": {"x", true}, "at the limit": {strings.Repeat("界", 4000), true}, "one above": {strings.Repeat("界", 4001), false},
		"ten times": {strings.Repeat("x", 40000), false}, "bytes at the limit": {strings.Repeat("\U0001F469", 4000), true},
	} {
		if err := protocol.CheckText(c.text); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	for _, glob := range []string{"testdata/valid/*.json", "testdata/invalid/*.json"} {
		files, _ := filepath.Glob(glob)
		for _, name := range files {
			data, _ := os.ReadFile(name)
			f.Add(data, uint8(1))
			var c struct{ Data string }
			if json.Unmarshal(data, &c) == nil && c.Data != "" {
				f.Add([]byte(c.Data), uint8(2))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, bit uint8) {
		from := protocol.Sender(1 << (bit % 6))
		msg, err := protocol.Decode(data, from)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted what is no JSON: %q", data)
		}
		if _, ok := msg.(protocol.Unknown); ok {
			return
		}
		if from&(protocol.Customer|protocol.Agent|protocol.ViewerPage) != 0 { // all keys are known: encoding/json must see the same
			plain := reflect.New(reflect.TypeOf(msg))
			if err := json.Unmarshal(data, plain.Interface()); err != nil || !reflect.DeepEqual(plain.Elem().Interface(), msg) {
				t.Fatalf("%q is %+v, encoding/json reads %+v (%v)", data, msg, plain.Elem().Interface(), err)
			}
		}
		again, err := protocol.Decode(protocol.Encode(msg), from)
		if err != nil {
			t.Skip() // a re-encoded text may be longer than the row allows: escapes
		}
		if !bytes.Equal(protocol.Encode(again), protocol.Encode(msg)) {
			t.Fatalf("%s became %s", protocol.Encode(msg), protocol.Encode(again))
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}, []byte{1, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var r protocol.Reassembler
		for range 3 {
			for _, chunk := range [][]byte{a, b} {
				fr, err := r.Add(chunk)
				if err != nil {
					if !errors.Is(err, protocol.ErrFrame) {
						t.Fatal(err)
					}
					return
				}
				if fr != nil && len(fr.Data) > protocol.MaxFrameBytes+protocol.MaxChunkPayload {
					t.Fatalf("a frame of %d bytes", len(fr.Data))
				}
			}
		}
	})
}

func TestStillGivesWay(t *testing.T) {
	still, err := protocol.Frame{Kind: protocol.FrameStill, Frame: 7, Data: make([]byte, 3*protocol.MaxChunkPayload)}.Split()
	if err != nil {
		t.Fatal(err)
	}
	moves, err := protocol.Frame{Kind: protocol.FrameDelta, Frame: 8, Data: []byte("d")}.Split()
	if err != nil {
		t.Fatal(err)
	}
	var r protocol.Reassembler
	for _, chunk := range still[:2] {
		if f, err := r.Add(chunk); f != nil || err != nil {
			t.Fatalf("in the middle of a still: %v, %v", f, err)
		}
	}
	if f, err := r.Add(moves[0]); err != nil || f == nil || f.Frame != 8 {
		t.Fatalf("the frame that moved: %+v, %v", f, err)
	}
	if _, err := r.Add(still[2]); !errors.Is(err, protocol.ErrFrame) {
		t.Errorf("the rest of a still that was given up: %v", err)
	}
	video, err := protocol.Frame{Kind: protocol.FrameKey, Frame: 9, Data: make([]byte, 2*protocol.MaxChunkPayload)}.Split()
	if err != nil {
		t.Fatal(err)
	}
	r = protocol.Reassembler{}
	if _, err := r.Add(video[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(moves[0]); !errors.Is(err, protocol.ErrFrame) {
		t.Errorf("a key frame that was given up: %v", err)
	}
}
