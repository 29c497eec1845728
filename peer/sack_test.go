package peer

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net"
	"testing"
	"time"
)

// sctpPacket is an SCTP packet with these chunks, each padded.
func sctpPacket(chunks ...[]byte) []byte {
	b := []byte{0x13, 0x88, 0x13, 0x88, 1, 2, 3, 4, 0, 0, 0, 0}
	for _, c := range chunks {
		b = append(b, c...)
		b = append(b, make([]byte, -len(c)&3)...)
	}
	return sum(b)
}

func sackChunk(cum uint32, gaps ...uint16) []byte {
	b := []byte{chunkSack, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, cum)
	b = binary.BigEndian.AppendUint32(b, 1<<20)
	b = binary.BigEndian.AppendUint16(b, uint16(len(gaps)/2))
	b = binary.BigEndian.AppendUint16(b, 1) // a duplicate
	for _, g := range gaps {
		b = binary.BigEndian.AppendUint16(b, g)
	}
	b = binary.BigEndian.AppendUint32(b, cum)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

func checkSum(t *testing.T, b []byte) {
	t.Helper()
	got := binary.LittleEndian.Uint32(b[8:])
	zeroed := bytes.Clone(b)
	clear(zeroed[8:12])
	if want := crc32.Checksum(zeroed, castagnoli); got != want {
		t.Errorf("checksum is %x, want %x", got, want)
	}
}

func TestGapsAreNotTold(t *testing.T) {
	data := []byte{chunkData, 3, 0, 17, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 53, 'x'}
	g := &gapless{}
	tests := []struct {
		name string
		in   []byte
		cum  uint32
	}{
		{"no gaps", sackChunk(0xfffffff0), 0xfffffff0},
		{"a gap, over the wrap", sackChunk(0xfffffff0, 2, 3, 18, 20), 4},
		{"an older one does not take back", sackChunk(0xfffffff2, 2, 3), 4},
		{"it goes on", sackChunk(0xfffffff2, 2, 40), 26},
	}
	for _, tt := range tests {
		out := g.outgoing(sctpPacket(tt.in, data))
		checkSum(t, out)
		want := sctpPacket(sackChunk(tt.cum)[:sackBytes], data)
		binary.BigEndian.PutUint16(want[sctpHeaderBytes+2:], sackBytes)
		clear(want[sctpHeaderBytes+12 : sctpHeaderBytes+16])
		if !bytes.Equal(out[12:], sum(want)[12:]) {
			t.Errorf("%s: %x, want %x", tt.name, out, want)
		}
	}
	plain := sctpPacket(data)
	if out := g.outgoing(plain); !bytes.Equal(out, plain) {
		t.Error("a packet without an acknowledgement was changed")
	}
	for n := range sctpPacket(sackChunk(5, 1, 2)) { // cut anywhere: no panic, nothing invented
		g.outgoing(sctpPacket(sackChunk(5, 1, 2))[:n])
	}
}

func TestHolesAreGivenUp(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	g := &gapless{Conn: here}
	data := sctpPacket([]byte{chunkData, 7, 0, 17, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 53, 'x'})
	read := func() []byte {
		go func() { _, _ = there.Write(data) }() // ends with the read
		b := make([]byte, 8192)
		n, err := g.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return b[:n]
	}
	for _, tt := range []struct {
		holes uint16
		told  bool
	}{{0, false}, {1, false}, {2 * holesKept, false}, {2*holesKept + 1, true}, {20 * holesKept, true}} {
		*g = gapless{Conn: here}
		if tt.holes > 0 {
			g.outgoing(sctpPacket(sackChunk(1000, 1, tt.holes)))
		}
		got := read()
		if !tt.told {
			if !bytes.Equal(got, data) {
				t.Errorf("%d holes: the packet was changed", tt.holes)
			}
			continue
		}
		checkSum(t, got)
		forward := binary.BigEndian.AppendUint32([]byte{chunkForward, 0, 0, 8}, 1000+uint32(tt.holes)-holesKept)
		if !bytes.Equal(got[12:], append(bytes.Clone(data[12:]), forward...)) {
			t.Errorf("%d holes: %x", tt.holes, got)
		}
	}
}

// TestATrainIsAcknowledgedAtOnce: a packet close behind another asks for its own acknowledgement, one alone does not.
func TestATrainIsAcknowledgedAtOnce(t *testing.T) {
	g := &gapless{}
	data := sctpPacket([]byte{chunkData, 3, 0, 17, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 53, 'x'})
	at := time.Now()
	for i, tt := range []struct {
		after time.Duration
		flags byte
	}{{0, 3}, {trainGap / 2, 3 | flagImmediate}, {trainGap, 3}, {0, 3 | flagImmediate}} {
		b := append(make([]byte, 0, 100), data...)
		at = at.Add(tt.after)
		if n := g.incoming(b, len(b), at); n != len(b) || b[sctpHeaderBytes+1] != tt.flags {
			t.Errorf("packet %d: %x, want flags %d", i, b[:n], tt.flags)
		}
		checkSum(t, b)
	}
}
