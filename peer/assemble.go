// Frames from the fragments of a lane: any order, any loss, any repetition gives the exact frames in order, or the
// wish for a key frame; memory is bounded.

package peer

import (
	"bytes"
	"fmt"
	"time"

	"github.com/klauspost/reedsolomon"

	"github.com/lookalong/lookalong/protocol"
)

const (
	maxHeldBytes  = 16 << 20 // of frames that are not delivered yet, all streams together (security.md T32)
	fragmentCost  = 128      // bytes that a fragment costs beside its payload
	maxAhead      = 512      // frames after the next one of a stream
	maxBlockedFor = 1500 * time.Millisecond
)

// assembler puts frames together. It belongs to the loop.
type assembler struct {
	streams [protocol.MaxStreams]ordered
	held    int
	codes   map[[2]int]reedsolomon.Encoder
}

// ordered is one stream's frames on their way to the viewer.
type ordered struct {
	lane   bool // fragments have come: frames may arrive in any order
	began  bool // next is meaningful
	next   uint32
	frames map[uint32]*partial
	moved  time.Time // when what is waited for last gained a fragment
}

// partial is a frame of which some fragments have arrived.
type partial struct {
	head    protocol.Fragment // without index and packet
	parts   map[uint16][]byte
	got     []int // fragments of each block
	missing int   // blocks
	held    int
	whole   *protocol.Frame
}

// result is what one arrival brought.
type result struct {
	frames   []*protocol.Frame // to deliver, in order
	complete bool              // a frame became whole
	lost     bool              // the stream's chain is broken: a key frame is needed
}

// fragment takes one fragment. Errors wrap protocol.ErrFrame: the fragment contradicts those before it.
func (a *assembler) fragment(f protocol.Fragment, payload []byte, at time.Time) (result, error) {
	s := &a.streams[f.Stream]
	s.lane = true
	ahead := int32(f.Frame - s.next)
	if s.began && ahead < 0 {
		return result{}, nil // delivered, or given up
	}
	if s.began && ahead > maxAhead && f.Kind != protocol.FrameKey {
		return result{lost: true}, nil
	}
	head := f
	head.Index, head.Packet = 0, 0
	p := s.frames[f.Frame]
	if p == nil {
		if s.frames == nil {
			s.frames = map[uint32]*partial{}
		}
		if len(s.frames) > maxAhead {
			a.drop(s)
			return result{lost: true}, nil
		}
		p = &partial{head: head, parts: map[uint16][]byte{}, got: make([]int, f.Blocks()), missing: f.Blocks()}
		if len(s.frames) == 0 {
			s.moved = at
		}
		s.frames[f.Frame] = p
	}
	if p.head != head {
		return result{}, fmt.Errorf("%w: a fragment of frame %d contradicts another", protocol.ErrFrame, f.Frame)
	}
	block, _ := f.Place()
	if p.whole != nil || p.parts[f.Index] != nil || p.got[block] >= f.BlockPieces(block) {
		return result{}, nil // it has come before, or is not needed
	}
	cost := len(payload) + fragmentCost
	if a.held+cost > maxHeldBytes { //guard:T32
		a.drop(s)
		return result{lost: true}, nil
	}
	p.parts[f.Index] = payload
	p.held += cost
	a.held += cost
	if f.Kind == protocol.FrameKey || s.began && ahead == 0 {
		s.moved = at
	}
	if p.got[block]++; p.got[block] < f.BlockPieces(block) {
		return result{}, nil
	}
	if p.missing--; p.missing > 0 {
		return result{}, nil
	}
	data, err := a.join(p)
	if err != nil {
		return result{}, err
	}
	p.whole = &protocol.Frame{Kind: f.Kind, Stream: f.Stream, Frame: f.Frame, CaptureMs: f.CaptureMs, Data: data}
	p.parts = nil
	return result{frames: a.release(s, p.whole, at), complete: true}, nil
}

// whole takes a frame that came by screen: in order among themselves, but before or after those of the lane.
func (a *assembler) whole(f *protocol.Frame, at time.Time) result {
	s := &a.streams[f.Stream]
	if f.Kind == protocol.FrameStill {
		return result{frames: []*protocol.Frame{f}} // beside the chain, with a number of its own
	}
	if !s.lane {
		s.began, s.next = true, f.Frame+1
		return result{frames: []*protocol.Frame{f}}
	}
	if s.frames[f.Frame] != nil || s.began && int32(f.Frame-s.next) < 0 {
		return result{}
	}
	if a.held+len(f.Data) > maxHeldBytes { //guard:T32
		a.drop(s)
		return result{lost: true}
	}
	if len(s.frames) == 0 {
		s.moved = at
	}
	if s.frames == nil {
		s.frames = map[uint32]*partial{}
	}
	s.frames[f.Frame] = &partial{held: len(f.Data), whole: f}
	a.held += len(f.Data)
	return result{frames: a.release(s, f, at)}
}

// release returns the frames that can go on now that f is whole: from the next one on, or from a key frame.
func (a *assembler) release(s *ordered, f *protocol.Frame, at time.Time) (out []*protocol.Frame) {
	if f.Kind == protocol.FrameKey && (!s.began || int32(f.Frame-s.next) > 0) {
		s.began, s.next = true, f.Frame // what it replaces is not waited for
		for n, p := range s.frames {
			if int32(n-f.Frame) < 0 {
				a.forget(s, n, p)
			}
		}
	}
	for s.began {
		p := s.frames[s.next]
		if p == nil || p.whole == nil {
			break
		}
		out = append(out, p.whole)
		a.forget(s, s.next, p)
		s.next++
		s.moved = at
	}
	return out
}

func (a *assembler) forget(s *ordered, n uint32, p *partial) {
	a.held -= p.held
	delete(s.frames, n)
}

// drop forgets a stream's frames. What was delivered stays the place where it stands.
func (a *assembler) drop(s *ordered) {
	for n, p := range s.frames {
		a.forget(s, n, p)
	}
}

// blocked returns the streams that have waited too long for a frame, and gives up what waits behind it.
func (a *assembler) blocked(now time.Time) (streams []uint8) {
	for i := range a.streams {
		if s := &a.streams[i]; len(s.frames) > 0 && now.Sub(s.moved) > maxBlockedFor {
			a.drop(s)
			streams = append(streams, uint8(i))
		}
	}
	return streams
}

// join makes the frame's bytes from its pieces, and from parity where pieces are missing.
func (a *assembler) join(p *partial) ([]byte, error) {
	h := p.head
	n := h.PieceBytes()
	data := make([]byte, n*int(h.Count))
	for b := range h.Blocks() {
		pieces := h.BlockPieces(b)
		shards := make([][]byte, pieces+int(h.Parity))
		lacks := false
		for i := range pieces {
			index := i*h.Blocks() + b
			place := data[index*n : (index+1)*n]
			if part := p.parts[uint16(index)]; part != nil {
				copy(place, part)
				shards[i] = place
			} else {
				shards[i] = place[:0]
				lacks = true
			}
		}
		if !lacks {
			continue
		}
		for j := range int(h.Parity) {
			shards[pieces+j] = p.parts[uint16(int(h.Count)+j*h.Blocks()+b)]
		}
		code, err := a.code(pieces, int(h.Parity))
		if err == nil {
			err = code.ReconstructData(shards)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: frame %d: %w", protocol.ErrFrame, h.Frame, err)
		}
		for i := range pieces {
			index := i*h.Blocks() + b
			copy(data[index*n:], shards[i])
		}
	}
	return bytes.Clone(data[:h.Size]), nil
}

// code returns the Reed–Solomon code of that shape; web/src/core/fec.ts is its twin.
func (a *assembler) code(pieces, parity int) (reedsolomon.Encoder, error) {
	key := [2]int{pieces, parity}
	if c := a.codes[key]; c != nil {
		return c, nil
	}
	c, err := reedsolomon.New(pieces, parity, reedsolomon.WithCauchyMatrix(), reedsolomon.WithMaxGoroutines(1))
	if err != nil {
		return nil, err
	}
	if a.codes == nil || len(a.codes) >= 32 {
		a.codes = map[[2]int]reedsolomon.Encoder{}
	}
	a.codes[key] = c
	return c, nil
}
