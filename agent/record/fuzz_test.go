package record

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// seeds are key frames of each codec, and pieces of them.
func seeds(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 1, 0x67, 0x42, 0xe0, 0x34, 0, 0, 1, 0x68, 0xce, 0, 0, 1, 0x65, 0x88})
	f.Add([]byte{0, 0, 0, 1, 9, 0x10, 0, 0, 0, 0, 1, 0x65})
	f.Add([]byte{0x12, 0, 0x0a, 0x0b, 0, 0, 0, 0x24, 0xc4, 0xff, 0xdf, 0x30, 0x10, 0x10, 0x10, 0x32, 1, 0x10})
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0x82, 0x49, 0x83, 0x42, 0, 0, 0, 0})
}

// FuzzNALs: what an MP4 holds of a byte stream is its NAL units, each with its length, in their order.
func FuzzNALs(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var want [][]byte
		for _, n := range nals(data) {
			if bytes.Contains(n, []byte{0, 0, 1}) || len(n) == 0 || !bytes.Contains(data, n) {
				t.Fatalf("unit %x of %x", n, data)
			}
			if k := n[0] & 31; k != nalSPS && k != nalPPS && k != nalAUD {
				want = append(want, n)
			}
		}
		rest := avcSample(data)
		for _, n := range want {
			if len(rest) < 4 || int(binary.BigEndian.Uint32(rest)) != len(n) || !bytes.HasPrefix(rest[4:], n) {
				t.Fatalf("sample %x, want %x next", rest, n)
			}
			rest = rest[4+len(n):]
		}
		if len(rest) > 0 {
			t.Fatalf("%x is too much", rest)
		}
	})
}

// FuzzHeaders: no key frame, however broken, makes a header that is none.
func FuzzHeaders(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if head, ok := av1.header(data); ok && (len(head) < 6 || head[0] != 0x81 || head[4] != obuSequenceHeader<<3|2 || len(head) > len(data)+8) {
			t.Fatalf("av1C %x of %x", head, data)
		}
		if head, ok := h264.header(data); ok && (len(head) < 13 || head[0] != 1 || len(head) > len(data)+8) {
			t.Fatalf("avcC %x of %x", head, data)
		}
		vp9.header(data)
		vp8.header(data)
	})
}
