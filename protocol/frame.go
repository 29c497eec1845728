package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The picture's chunks on channel screen: a 16-byte big-endian header, then the payload.
//
//	 0        1        2                 4                 6                 8                12               16
//	| version | kind   | chunk (u16)     | chunks (u16)    | stream | 0      | frame (u32)     | capture (u32)    |
const (
	FrameHeaderBytes = 16
	FrameVersion     = 1
	MaxChunkPayload  = MaxChannelBytes - FrameHeaderBytes // 16,368
	MaxFrameBytes    = 8 << 20                            // of one encoded frame; a key frame of 33 Mpx text stays below
	MaxFrameSide     = 8192                               // pixels (security.md T32)
	MaxFramePixels   = 33_000_000
	MaxStreams       = 4 // sources shown at a time
)

// FrameKind says how a frame is decoded.
type FrameKind uint8

// The frame kinds.
const (
	FrameKey   FrameKind = 1 // decodable by itself
	FrameDelta FrameKind = 2 // needs every frame since the last key frame
	FrameStill FrameKind = 3 // a lossless picture beside the chain
)

// ErrFrame is wrapped by every error about a chunk.
var ErrFrame = errors.New("frame")

// Chunk is the header of one chunk.
type Chunk struct {
	Kind      FrameKind
	Stream    uint8  // 0 … MaxStreams-1; each source counts its own frames
	Chunk     uint16 // 0 … Chunks-1
	Chunks    uint16
	Frame     uint32 // counts up by one for each encoded frame
	CaptureMs uint32 // capture time: the low 32 bits of the customer's Unix milliseconds
}

// Frame is one whole encoded frame.
type Frame struct {
	Kind      FrameKind
	Stream    uint8
	Frame     uint32
	CaptureMs uint32
	Data      []byte
}

// AppendHeader appends the 16-byte header of c to b.
func (c Chunk) AppendHeader(b []byte) []byte {
	b = append(b, FrameVersion, byte(c.Kind))
	b = binary.BigEndian.AppendUint16(b, c.Chunk)
	b = binary.BigEndian.AppendUint16(b, c.Chunks)
	b = append(b, c.Stream, 0)
	b = binary.BigEndian.AppendUint32(b, c.Frame)
	return binary.BigEndian.AppendUint32(b, c.CaptureMs)
}

// ParseChunk reads a chunk; the payload is a part of b. Errors wrap ErrFrame.
func ParseChunk(b []byte) (Chunk, []byte, error) {
	if len(b) <= FrameHeaderBytes || len(b) > MaxChannelBytes {
		return Chunk{}, nil, fmt.Errorf("%w: a chunk has %d bytes, want 17 to 16384", ErrFrame, len(b))
	}
	if b[0] != FrameVersion || b[7] != 0 {
		return Chunk{}, nil, fmt.Errorf("%w: unknown header version", ErrFrame)
	}
	c := Chunk{
		Kind:      FrameKind(b[1]),
		Stream:    b[6],
		Chunk:     binary.BigEndian.Uint16(b[2:]),
		Chunks:    binary.BigEndian.Uint16(b[4:]),
		Frame:     binary.BigEndian.Uint32(b[8:]),
		CaptureMs: binary.BigEndian.Uint32(b[12:]),
	}
	if c.Kind < FrameKey || c.Kind > FrameStill {
		return Chunk{}, nil, fmt.Errorf("%w: unknown kind %d", ErrFrame, c.Kind)
	}
	if c.Stream >= MaxStreams { //guard:T32
		return Chunk{}, nil, fmt.Errorf("%w: stream %d", ErrFrame, c.Stream)
	}
	if c.Chunks == 0 || c.Chunk >= c.Chunks || int(c.Chunks) > MaxFrameBytes/MaxChunkPayload+1 { //guard:T32
		return Chunk{}, nil, fmt.Errorf("%w: chunk %d of %d", ErrFrame, c.Chunk, c.Chunks)
	}
	return c, b[FrameHeaderBytes:], nil
}

// Split cuts a frame into channel messages of at most MaxChannelBytes. Errors wrap ErrFrame.
func (f Frame) Split() ([][]byte, error) {
	if len(f.Data) == 0 || len(f.Data) > MaxFrameBytes {
		return nil, fmt.Errorf("%w: %d bytes, want 1 to %d", ErrFrame, len(f.Data), MaxFrameBytes)
	}
	n := (len(f.Data) + MaxChunkPayload - 1) / MaxChunkPayload
	out := make([][]byte, 0, n)
	for i := range n {
		part := f.Data[i*MaxChunkPayload : min((i+1)*MaxChunkPayload, len(f.Data))]
		b := make([]byte, 0, FrameHeaderBytes+len(part))
		b = Chunk{Kind: f.Kind, Stream: f.Stream, Chunk: uint16(i), Chunks: uint16(n), Frame: f.Frame, CaptureMs: f.CaptureMs}.AppendHeader(b)
		out = append(out, append(b, part...))
	}
	return out, nil
}

// Reassembler puts the chunks of an ordered channel together again. Not safe for concurrent use.
type Reassembler struct {
	head Chunk
	next uint16
	data []byte
}

// Add takes one channel message and returns the frame that it completes, or nil. Any chunk out of place is an
// error that wraps ErrFrame: the channel is ordered and reliable, so the peer is wrong. But a still may be given up
// half-way: the first chunk of another frame drops it.
func (r *Reassembler) Add(b []byte) (*Frame, error) {
	c, payload, err := ParseChunk(b)
	if err != nil {
		return nil, err
	}
	if c.Chunk == 0 && r.head.Kind == FrameStill {
		r.next, r.data = 0, nil // a still gives way to what moves
	}
	if c.Chunk != r.next || c.Chunk > 0 && (c.Frame != r.head.Frame || c.Kind != r.head.Kind || c.Stream != r.head.Stream || c.Chunks != r.head.Chunks || c.CaptureMs != r.head.CaptureMs) {
		return nil, fmt.Errorf("%w: chunk %d of frame %d is out of place", ErrFrame, c.Chunk, c.Frame)
	}
	if c.Chunk == 0 {
		r.head, r.data = c, nil
	}
	if c.Chunk < c.Chunks-1 && len(payload) != MaxChunkPayload {
		return nil, fmt.Errorf("%w: chunk %d of %d is short", ErrFrame, c.Chunk, c.Chunks)
	}
	r.data = append(r.data, payload...)
	r.next = c.Chunk + 1
	if r.next < c.Chunks {
		return nil, nil
	}
	f := &Frame{Kind: c.Kind, Stream: c.Stream, Frame: c.Frame, CaptureMs: c.CaptureMs, Data: r.data}
	r.next, r.data = 0, nil
	return f, nil
}
