package record

// H.264: from the byte stream with start codes (ITU-T H.264 annex B) to what an MP4 holds (ISO/IEC 14496-15).

import (
	"bytes"
	"encoding/binary"
)

const (
	nalIDR = 5
	nalSPS = 7
	nalPPS = 8
	nalAUD = 9
)

// nals are the NAL units of a byte stream, without start codes and trailing zeros; empty ones are left out.
func nals(b []byte) (out [][]byte) {
	code := []byte{0, 0, 1}
	at := bytes.Index(b, code)
	for at >= 0 {
		b = b[at+len(code):]
		at = bytes.Index(b, code)
		unit := b
		if at >= 0 {
			unit = b[:at]
		}
		if unit = bytes.TrimRight(unit, "\x00"); len(unit) > 0 {
			out = append(out, unit)
		}
	}
	return out
}

// avcConfig makes avcC from a key frame; ok is false where it has no parameter sets, or no key picture.
func avcConfig(data []byte) (head []byte, ok bool) {
	var sps, pps [][]byte
	idr := false
	for _, n := range nals(data) {
		switch n[0] & 31 {
		case nalSPS:
			sps = append(sps, n)
		case nalPPS:
			pps = append(pps, n)
		case nalIDR:
			idr = true
		}
	}
	if !idr || len(sps) == 0 || len(sps) > 31 || len(pps) == 0 || len(pps) > 255 || len(sps[0]) < 4 {
		return nil, false
	}
	head = []byte{1, sps[0][1], sps[0][2], sps[0][3], 0xff, 0xe0 | byte(len(sps))} // lengths of 4 bytes
	for _, n := range sps {
		if head = appendSet(head, n); head == nil {
			return nil, false
		}
	}
	head = append(head, byte(len(pps)))
	for _, n := range pps {
		if head = appendSet(head, n); head == nil {
			return nil, false
		}
	}
	return head, true
}

func appendSet(head, n []byte) []byte {
	if len(n) > 1<<16-1 {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(head, uint16(len(n))), n...)
}

// avcSample writes a length before each NAL unit, and leaves out what avcC and the file's own times say.
func avcSample(data []byte) []byte {
	out := make([]byte, 0, len(data)+16)
	for _, n := range nals(data) {
		switch n[0] & 31 {
		case nalSPS, nalPPS, nalAUD:
			continue
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(n))), n...)
	}
	return out
}
