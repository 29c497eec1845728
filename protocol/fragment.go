package protocol

import (
	"encoding/binary"
	"fmt"
)

// The picture's fragments on a lane: an unordered channel without retransmission, one packet a message. A 24-byte
// big-endian header, then the payload.
//
//	 0        1      2              4               6        7       8             12              16           20             24
//	| version | kind | index (u16) | count (u16)   | stream | parity | frame (u32) | capture (u32) | size (u32) | packet (u32) |
//
// A frame of size bytes is cut into count pieces of equal length (the last may be shorter). The pieces are dealt
// out to blocks of at most MaxBlockPieces: piece i belongs to block i mod blocks. Each block has parity rows of
// Reed–Solomon, whose indices follow those of the pieces: index count+j is row j/blocks of block j mod blocks.
// As many of a block's pieces and rows as it has pieces give the block. A probe carries padding or nothing.
const (
	FragmentHeaderBytes = 24
	FragmentVersion     = 2
	MaxFragmentPayload  = 1100 // with all headers one SCTP packet of 1,191 bytes, the least that browsers use
	MaxBlockPieces      = 100
	MaxParityRows       = 100
	ReportBytes         = 44
	ReportPackets       = 256 // packets before the newest that a report tells of
	LanesVersion        = 1
)

// FragmentProbe is the kind of a packet that carries no piece of a frame: its arrival is all it tells.
const FragmentProbe FrameKind = 0

// Fragment is the header of one fragment; a probe has a Packet only.
type Fragment struct {
	Kind      FrameKind
	Index     uint16 // 0 … Count-1: pieces; from Count on: parity
	Count     uint16 // pieces of the frame
	Stream    uint8
	Parity    uint8 // rows of each block
	Frame     uint32
	CaptureMs uint32
	Size      uint32 // bytes of the frame
	Packet    uint32 // counts the packets of the lane, fragments sent again and probes too
}

// PieceBytes is the length of the frame's pieces, the last one excepted.
func (f Fragment) PieceBytes() int { return (int(f.Size) + int(f.Count) - 1) / int(f.Count) }

// Blocks is the number of blocks.
func (f Fragment) Blocks() int { return (int(f.Count) + MaxBlockPieces - 1) / MaxBlockPieces }

// BlockPieces is the number of pieces of a block.
func (f Fragment) BlockPieces(block int) int {
	return (int(f.Count) - block + f.Blocks() - 1) / f.Blocks()
}

// Place returns the block of the fragment, and its place there: pieces first, then rows.
func (f Fragment) Place() (block, place int) {
	i, blocks := int(f.Index), f.Blocks()
	if i < int(f.Count) {
		return i % blocks, i / blocks
	}
	i -= int(f.Count)
	return i % blocks, f.BlockPieces(i%blocks) + i/blocks
}

// payloadBytes is the length that the payload must have.
func (f Fragment) payloadBytes() int {
	n := f.PieceBytes()
	if int(f.Index) == int(f.Count)-1 {
		return int(f.Size) - n*int(f.Index)
	}
	return n
}

// AppendHeader appends the header of f to b.
func (f Fragment) AppendHeader(b []byte) []byte {
	b = append(b, FragmentVersion, byte(f.Kind))
	b = binary.BigEndian.AppendUint16(b, f.Index)
	b = binary.BigEndian.AppendUint16(b, f.Count)
	b = append(b, f.Stream, f.Parity)
	b = binary.BigEndian.AppendUint32(b, f.Frame)
	b = binary.BigEndian.AppendUint32(b, f.CaptureMs)
	b = binary.BigEndian.AppendUint32(b, f.Size)
	return binary.BigEndian.AppendUint32(b, f.Packet)
}

// ParseFragment reads a fragment; the payload is a part of b. What it returns is possible: the index is one of the
// frame's, the payload as long as it must be. Errors wrap ErrFrame.
func ParseFragment(b []byte) (Fragment, []byte, error) {
	if len(b) < FragmentHeaderBytes || len(b) > FragmentHeaderBytes+MaxFragmentPayload {
		return Fragment{}, nil, fmt.Errorf("%w: a fragment has %d bytes, want 24 to 1124", ErrFrame, len(b))
	}
	if b[0] != FragmentVersion {
		return Fragment{}, nil, fmt.Errorf("%w: unknown fragment version", ErrFrame)
	}
	f := Fragment{
		Kind:      FrameKind(b[1]),
		Index:     binary.BigEndian.Uint16(b[2:]),
		Count:     binary.BigEndian.Uint16(b[4:]),
		Stream:    b[6],
		Parity:    b[7],
		Frame:     binary.BigEndian.Uint32(b[8:]),
		CaptureMs: binary.BigEndian.Uint32(b[12:]),
		Size:      binary.BigEndian.Uint32(b[16:]),
		Packet:    binary.BigEndian.Uint32(b[20:]),
	}
	payload := b[FragmentHeaderBytes:]
	if f.Kind == FragmentProbe {
		if f != (Fragment{Packet: f.Packet}) {
			return Fragment{}, nil, fmt.Errorf("%w: a probe that says more than its number", ErrFrame)
		}
		return f, payload, nil
	}
	if f.Kind != FrameKey && f.Kind != FrameDelta {
		return Fragment{}, nil, fmt.Errorf("%w: a fragment of kind %d", ErrFrame, f.Kind)
	}
	if f.Stream >= MaxStreams { //guard:T32
		return Fragment{}, nil, fmt.Errorf("%w: stream %d", ErrFrame, f.Stream)
	}
	if f.Size == 0 || f.Size > MaxFrameBytes || f.Count == 0 || f.PieceBytes() > MaxFragmentPayload || f.PieceBytes()*(int(f.Count)-1) >= int(f.Size) { //guard:T32
		return Fragment{}, nil, fmt.Errorf("%w: %d bytes in %d pieces", ErrFrame, f.Size, f.Count)
	}
	if f.Parity > MaxParityRows || int(f.Index) >= int(f.Count)+int(f.Parity)*f.Blocks() { //guard:T32
		return Fragment{}, nil, fmt.Errorf("%w: fragment %d of %d", ErrFrame, f.Index, f.Count)
	}
	if len(payload) != f.payloadBytes() {
		return Fragment{}, nil, fmt.Errorf("%w: fragment %d of %d has %d bytes, want %d", ErrFrame, f.Index, f.Count, len(payload), f.payloadBytes())
	}
	return f, payload, nil
}

// Report tells the sending end of a lane which packets have arrived; it is sent on the same lane, and may be lost.
//
//	 0        1    2             4               8                12                    44
//	| version | 0 | held (u16)  | newest (u32)  | arrived (u32)  | bitmap, 256 packets |
type Report struct {
	Held    uint16                  // since the newest arrived, in tenths of a millisecond; at most 65,535
	Newest  uint32                  // the highest packet number that has arrived
	Arrived uint32                  // when it did, on the receiving end's own clock: tenths of a millisecond, wraps
	Before  [ReportPackets / 8]byte // bit i (least significant first): packet Newest-1-i has arrived
}

// Has reports whether packet Newest-1-i has arrived, for i below ReportPackets.
func (r *Report) Has(i int) bool { return r.Before[i/8]>>(i%8)&1 == 1 }

// Encode writes the report.
func (r *Report) Encode() []byte {
	b := make([]byte, 0, ReportBytes)
	b = append(b, FragmentVersion, 0)
	b = binary.BigEndian.AppendUint16(b, r.Held)
	b = binary.BigEndian.AppendUint32(b, r.Newest)
	b = binary.BigEndian.AppendUint32(b, r.Arrived)
	return append(b, r.Before[:]...)
}

// ParseReport reads a report. Errors wrap ErrFrame.
func ParseReport(b []byte) (Report, error) {
	if len(b) != ReportBytes || b[0] != FragmentVersion || b[1] != 0 {
		return Report{}, fmt.Errorf("%w: not a report", ErrFrame)
	}
	r := Report{Held: binary.BigEndian.Uint16(b[2:]), Newest: binary.BigEndian.Uint32(b[4:]), Arrived: binary.BigEndian.Uint32(b[8:])}
	copy(r.Before[:], b[12:])
	return r, nil
}
