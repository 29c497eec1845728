package record

// The AV1 sequence header (AV1 bitstream 5.5), read as far as av1C needs.

import "bytes"

const (
	obuSequenceHeader = 1
	obuFrameHeader    = 3
	obuFrame          = 6
)

// av1Config makes av1C from the sequence header of a temporal unit; ok is false where there is none, or no frame.
func av1Config(unit []byte) (head []byte, ok bool) {
	var sequence []byte // whole OBU, with its size
	frame := false
	for len(unit) > 0 {
		kind, payload, size := obu(unit)
		if size == 0 {
			return nil, false
		}
		switch kind {
		case obuSequenceHeader:
			if sequence == nil {
				first, ok := av1Sequence(payload)
				if !ok {
					return nil, false
				}
				head, sequence = first, withSize(payload)
			}
		case obuFrame, obuFrameHeader:
			frame = true
		}
		unit = unit[size:]
	}
	if sequence == nil || !frame {
		return nil, false
	}
	return append(head, sequence...), true
}

// obu splits the first OBU (5.3): its type, its payload, and its whole length; 0 where it is broken.
func obu(b []byte) (kind byte, payload []byte, size int) {
	head := 1
	if b[0]&0x80 != 0 {
		return 0, nil, 0 // the forbidden bit
	}
	if b[0]&4 != 0 {
		head++ // extension
	}
	kind = b[0] >> 3 & 15
	if b[0]&2 == 0 { // no size: to the end
		if len(b) < head {
			return 0, nil, 0
		}
		return kind, b[head:], len(b)
	}
	length := 0
	for i := 0; ; i++ { // leb128 (4.10.5)
		if i == 4 || head >= len(b) {
			return 0, nil, 0
		}
		v := b[head]
		head++
		length |= int(v&0x7f) << (7 * i)
		if v&0x80 == 0 {
			break
		}
	}
	if length > len(b)-head {
		return 0, nil, 0
	}
	return kind, b[head : head+length], head + length
}

// withSize writes a sequence header's OBU with its size field.
func withSize(payload []byte) []byte {
	out := []byte{obuSequenceHeader<<3 | 2}
	n := len(payload)
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(append(out, byte(n)), payload...)
}

// av1Sequence reads a sequence header and returns the first four bytes of av1C.
func av1Sequence(payload []byte) (head []byte, ok bool) {
	if len(payload) > 1<<10 || len(bytes.Trim(payload, "\x00")) == 0 {
		return nil, false
	}
	r := &bits{data: payload}
	profile := r.read(3)
	r.read(1) // still_picture
	reduced := r.read(1) == 1
	var level, tier uint32
	decoderModel, delayBits := false, 0
	if reduced {
		level = r.read(5)
	} else {
		if r.read(1) == 1 { // timing_info_present_flag
			r.read(32)
			r.read(32)
			if r.read(1) == 1 { // equal_picture_interval
				r.uvlc()
			}
			if decoderModel = r.read(1) == 1; decoderModel {
				delayBits = int(r.read(5)) + 1
				r.read(32)
				r.read(10)
			}
		}
		display := r.read(1) == 1
		for i := range r.read(5) + 1 {
			r.read(12) // operating_point_idc
			l, t := r.read(5), uint32(0)
			if l > 7 {
				t = r.read(1)
			}
			if i == 0 {
				level, tier = l, t
			}
			if decoderModel && r.read(1) == 1 {
				r.read(delayBits)
				r.read(delayBits)
				r.read(1)
			}
			if display && r.read(1) == 1 {
				r.read(4)
			}
		}
	}
	widthBits, heightBits := int(r.read(4))+1, int(r.read(4))+1
	r.read(widthBits)
	r.read(heightBits)
	if !reduced && r.read(1) == 1 { // frame_id_numbers_present_flag
		r.read(4)
		r.read(3)
	}
	r.read(3) // superblock size, filter intra, intra edge filter
	if !reduced {
		r.read(4) // interintra, masked, warped, dual filter
		if orderHint := r.read(1) == 1; orderHint {
			r.read(2)
			r.screenTools()
			r.read(3)
		} else {
			r.screenTools()
		}
	}
	r.read(3) // superres, cdef, restoration
	high, twelve, mono, subX, subY, position := r.colour(profile)
	if r.over {
		return nil, false
	}
	return []byte{
		0x81, // marker and version 1
		byte(profile<<5 | level),
		byte(tier<<7 | high<<6 | twelve<<5 | mono<<4 | subX<<3 | subY<<2 | position),
		0, // no initial presentation delay
	}, true
}

// screenTools reads seq_choose_screen_content_tools and what depends on it.
func (r *bits) screenTools() {
	force := uint32(2)
	if r.read(1) == 0 {
		force = r.read(1)
	}
	if force > 0 && r.read(1) == 0 { // seq_choose_integer_mv
		r.read(1)
	}
}

// colour reads color_config (5.5.2).
func (r *bits) colour(profile uint32) (high, twelve, mono, subX, subY, position uint32) {
	high = r.read(1)
	if profile == 2 && high == 1 {
		twelve = r.read(1)
	}
	if profile != 1 {
		mono = r.read(1)
	}
	primaries, transfer, matrix := uint32(2), uint32(2), uint32(2)
	if r.read(1) == 1 {
		primaries, transfer, matrix = r.read(8), r.read(8), r.read(8)
	}
	switch {
	case mono == 1:
		r.read(1)
		return high, twelve, mono, 1, 1, 0
	case primaries == 1 && transfer == 13 && matrix == 0: // sRGB
		return high, twelve, mono, 0, 0, 0
	}
	r.read(1) // color_range
	switch {
	case profile == 0:
		subX, subY = 1, 1
	case profile == 1:
	case twelve == 1:
		if subX = r.read(1); subX == 1 {
			subY = r.read(1)
		}
	default:
		subX = 1
	}
	if subX == 1 && subY == 1 {
		position = r.read(2)
	}
	return high, twelve, mono, subX, subY, position
}

// uvlc skips a variable-length number (4.10.3).
func (r *bits) uvlc() {
	zeros := 0
	for r.read(1) == 0 && !r.over {
		zeros++
	}
	if zeros < 32 {
		r.read(zeros)
	}
}
