package record

// What a key frame says about itself: whether it is of the codec that the customer's end named, and what a player needs
// to know before the first frame. The customer's end is a stranger.

import (
	"bytes"
	"strings"
)

// codec is a family of codecs that a file can hold.
type codec string

const (
	av1  codec = "AV1"
	vp9  codec = "VP9"
	vp8  codec = "VP8"
	h264 codec = "H.264"
)

// codecOf names the family of a WebCodecs codec string; "" for what is no video.
func codecOf(name string) codec {
	switch {
	case strings.HasPrefix(name, "av01."):
		return av1
	case strings.HasPrefix(name, "vp09."):
		return vp9
	case name == "vp8":
		return vp8
	case strings.HasPrefix(name, "avc1."):
		return h264
	}
	return ""
}

// ext is the ending of a file that ordinary players open.
func (c codec) ext() string {
	if c == h264 {
		return ".mp4"
	}
	return ".webm"
}

// header is what a file says about its frames: av1C for AV1 (AV1-ISOBMFF 2.3.3), avcC for H.264 (ISO/IEC 14496-15
// 5.3.3.1), nothing for VP8 and VP9. ok is false where data is no key frame of this codec.
func (c codec) header(data []byte) (head []byte, ok bool) {
	switch c {
	case av1:
		return av1Config(data)
	case h264:
		return avcConfig(data)
	case vp9:
		return nil, vp9Key(data)
	case vp8:
		return nil, vp8Key(data)
	}
	return nil, false
}

// sample is a frame as a file holds it.
func (c codec) sample(data []byte) []byte {
	if c == h264 {
		return avcSample(data)
	}
	return data
}

// sameFile reports whether frames with this header go on in a file that began with the other one. A VP8, VP9 or AV1
// stream changes its size at a key frame, and players follow; an MP4 has one description.
func (c codec) sameFile(began, now []byte) bool { return c != h264 || bytes.Equal(began, now) }

// vp8Key reads a VP8 frame's tag and start code (RFC 6386 9.1).
func vp8Key(b []byte) bool {
	return len(b) >= 10 && b[0]&1 == 0 && b[3] == 0x9d && b[4] == 0x01 && b[5] == 0x2a
}

// vp9Key reads the beginning of a VP9 uncompressed header (VP9 bitstream 6.2).
func vp9Key(b []byte) bool {
	r := bits{data: b}
	if r.read(2) != 2 { // frame_marker
		return false
	}
	profile := r.read(1) | r.read(1)<<1
	if profile == 3 {
		r.read(1)
	}
	if r.read(1) == 1 || r.read(1) != 0 { // show_existing_frame, frame_type
		return false
	}
	r.read(2)
	return r.read(24) == 0x498342 && !r.over
}

// bits reads a bit string, most significant bit first. Reading past the end gives zeros and sets over.
type bits struct {
	data []byte
	pos  int // in bits
	over bool
}

// read takes n bits, at most 32.
func (r *bits) read(n int) (v uint32) {
	for range n {
		v <<= 1
		if r.pos/8 >= len(r.data) {
			r.over = true
			continue
		}
		v |= uint32(r.data[r.pos/8]>>(7-r.pos%8)) & 1
		r.pos++
	}
	return v
}
