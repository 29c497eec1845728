package record

// WebM (RFC 9559): one track, one cluster a frame. A cluster is written whole in one write, so that a crash costs the
// last frame at most; at the end the room before the first cluster gets the duration and where the cues are.

import (
	"bytes"
	"fmt"
	"time"

	"github.com/at-wat/ebml-go"
	"github.com/at-wat/ebml-go/webm"
)

// headRoom is where SeekHead and Info are, and what fills the rest.
const headRoom = 192

// unknownSize is that of the segment until the file is finished.
var unknownSize = []byte{0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// webmFile writes one. Not safe for concurrent use.
type webmFile struct {
	to      Output
	began   time.Time
	segment int64 // where its content begins
	head    int64 // where headRoom is
	end     int64
	frames  []entry
}

// newWebM begins a file. head is codec.header's.
func newWebM(to Output, c codec, head []byte, width, height int, now time.Time) (*webmFile, error) {
	w := &webmFile{to: to, began: now}
	var b bytes.Buffer
	err := ebml.Marshal(&struct {
		EBML webm.EBMLHeader `ebml:"EBML"`
	}{webm.EBMLHeader{EBMLVersion: 1, EBMLReadVersion: 1, EBMLMaxIDLength: 4, EBMLMaxSizeLength: 8, DocType: "webm", DocTypeVersion: 4, DocTypeReadVersion: 2}}, &b)
	if err != nil {
		return nil, err
	}
	b.Write([]byte{0x18, 0x53, 0x80, 0x67}) // Segment
	b.Write(unknownSize)
	w.segment = int64(b.Len())
	w.head = w.segment
	room, err := w.room(0, 0)
	if err != nil {
		return nil, err
	}
	b.Write(room)
	err = ebml.Marshal(&struct {
		Tracks webm.Tracks `ebml:"Tracks"`
	}{webm.Tracks{TrackEntry: []webm.TrackEntry{{
		TrackNumber: 1, TrackUID: 1, TrackType: 1, CodecID: map[codec]string{av1: "V_AV1", vp9: "V_VP9", vp8: "V_VP8"}[c], CodecPrivate: head,
		Video: &webm.Video{PixelWidth: uint64(width), PixelHeight: uint64(height)},
	}}}}, &b)
	if err != nil {
		return nil, err
	}
	return w, w.append(b.Bytes())
}

// room is what stands before the tracks: headRoom bytes. Without a duration only Info is in it.
func (w *webmFile) room(cues int64, durationMs float64) ([]byte, error) {
	var b bytes.Buffer
	if cues > 0 {
		err := ebml.Marshal(&struct {
			SeekHead webm.SeekHead `ebml:"SeekHead"`
		}{webm.SeekHead{Seek: []webm.Seek{{SeekID: []byte{0x1c, 0x53, 0xbb, 0x6b}, SeekPosition: uint64(cues - w.segment)}}}}, &b)
		if err != nil {
			return nil, err
		}
	}
	err := ebml.Marshal(&struct {
		Info webm.Info `ebml:"Info"`
	}{webm.Info{TimecodeScale: 1_000_000, MuxingApp: "lookalong", WritingApp: "lookalong", Duration: durationMs, DateUTC: w.began}}, &b)
	if err != nil {
		return nil, err
	}
	rest := headRoom - b.Len()
	if rest < 9 {
		return nil, fmt.Errorf("record: %d bytes before the tracks, want at most %d", b.Len(), headRoom-9)
	}
	b.Write([]byte{0xec, 0x01, 0, 0, 0, 0, 0, 0, byte(rest - 9)}) // Void
	b.Write(make([]byte, rest-9))
	return b.Bytes(), nil
}

func (w *webmFile) append(b []byte) error {
	if _, err := w.to.WriteAt(b, w.end); err != nil {
		return err
	}
	w.end += int64(len(b))
	return nil
}

func (w *webmFile) write(ms int64, key bool, data []byte) error {
	var b bytes.Buffer
	err := ebml.Marshal(&struct {
		Cluster struct {
			Timecode    uint64     `ebml:"Timecode"`
			SimpleBlock ebml.Block `ebml:"SimpleBlock"`
		} `ebml:"Cluster"`
	}{struct {
		Timecode    uint64     `ebml:"Timecode"`
		SimpleBlock ebml.Block `ebml:"SimpleBlock"`
	}{uint64(ms), ebml.Block{TrackNumber: 1, Keyframe: key, Data: [][]byte{data}}}}, &b)
	if err != nil {
		return err
	}
	at := w.end
	if err := w.append(b.Bytes()); err != nil {
		return err
	}
	w.frames = append(w.frames, entry{ms: ms, at: at, key: key})
	return nil
}

// cut takes back the frames after ms.
func (w *webmFile) cut(ms int64) (left int, err error) {
	w.frames, w.end = cutAfter(w.frames, ms, w.end)
	return len(w.frames), w.to.Truncate(w.end)
}

// finish makes the file seekable: its cues, its duration, its size.
func (w *webmFile) finish(durationMs int64) error {
	cues := webm.Cues{}
	for _, f := range w.frames {
		if f.key {
			cues.CuePoint = append(cues.CuePoint, webm.CuePoint{CueTime: uint64(f.ms),
				CueTrackPositions: []webm.CueTrackPosition{{CueTrack: 1, CueClusterPosition: uint64(f.at - w.segment)}}})
		}
	}
	var b bytes.Buffer
	err := ebml.Marshal(&struct {
		Cues webm.Cues `ebml:"Cues"`
	}{cues}, &b)
	if err != nil {
		return err
	}
	at := w.end
	if err := w.append(b.Bytes()); err != nil {
		return err
	}
	room, err := w.room(at, float64(durationMs))
	if err != nil {
		return err
	}
	if _, err := w.to.WriteAt(room, w.head); err != nil {
		return err
	}
	size := be64(uint64(w.end - w.segment))
	size[0] = 0x01 // the length of the length: 8 bytes
	_, err = w.to.WriteAt(size, w.segment-8)
	return err
}
