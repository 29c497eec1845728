package record

// MP4 (ISO/IEC 14496-12) for H.264. While it is written it is fragmented, one frame a fragment, so that a crash costs the
// last frame at most. At the end an ordinary index of all frames follows, and the box before the fragments is made one
// that holds them all: players then see a plain MP4.

import (
	"encoding/binary"
	"time"
)

const (
	holdMs   = 66            // a frame's time while the next one is not there; the index has the true ones
	mp4Epoch = 2_082_844_800 // seconds from 1904 to 1970
	spanSize = 16            // of the box that becomes mdat: 32-bit size 1, type, 64-bit size
)

// mp4File writes one. Not safe for concurrent use.
type mp4File struct {
	to            Output
	began         time.Time
	head          []byte // avcC
	width, height int
	span          int64 // where the box begins that will hold the fragments
	end           int64
	frames        []entry
}

func newMP4(to Output, head []byte, width, height int, now time.Time) (*mp4File, error) {
	m := &mp4File{to: to, began: now, head: head, width: width, height: height}
	start := box("ftyp", []byte("isom"), be32(0x200), []byte("isomiso6avc1mp41"))
	m.span = int64(len(start))
	start = append(start, box("free", make([]byte, spanSize-8))...)
	return m, m.append(append(start, m.movie(0, true)...))
}

func (m *mp4File) append(b []byte) error {
	if _, err := m.to.WriteAt(b, m.end); err != nil {
		return err
	}
	m.end += int64(len(b))
	return nil
}

func (m *mp4File) write(ms int64, key bool, data []byte) error {
	flags := uint32(0x01010000) // depends on others, no key frame
	if key {
		flags = 0x02000000
	}
	moof := func(offset uint32) []byte {
		return box("moof",
			full("mfhd", 0, 0, be32(uint32(len(m.frames)+1))),
			box("traf",
				full("tfhd", 0, 0x020000, be32(1)), // offsets from the moof
				full("tfdt", 1, 0, be64(uint64(ms))),
				full("trun", 0, 0x000701, be32(1), be32(offset), be32(holdMs), be32(uint32(len(data))), be32(flags))))
	}
	at := m.end
	offset := len(moof(0)) + 8
	fragment := append(moof(uint32(offset)), be32(uint32(len(data)+8))...)
	fragment = append(append(fragment, "mdat"...), data...)
	if err := m.append(fragment); err != nil {
		return err
	}
	m.frames = append(m.frames, entry{ms, at, at + int64(offset), len(data), key})
	return nil
}

func (m *mp4File) cut(ms int64) (left int, err error) {
	m.frames, m.end = cutAfter(m.frames, ms, m.end)
	return len(m.frames), m.to.Truncate(m.end)
}

// finish writes the index, then makes the fragments one box of data.
func (m *mp4File) finish(durationMs int64) error {
	size := m.end - m.span
	if err := m.append(m.movie(durationMs, false)); err != nil {
		return err
	}
	if err := m.to.Sync(); err != nil { // the index is there before the fragments are covered
		return err
	}
	span := append(be32(1), "mdat"...)
	_, err := m.to.WriteAt(append(span, be64(uint64(size))...), m.span)
	return err
}

// movie is the moov box: of a fragmented file, or with the index of all frames.
func (m *mp4File) movie(durationMs int64, fragmented bool) []byte {
	now := uint64(m.began.Unix() + mp4Epoch)
	matrix := append(append(be32(0x10000), make([]byte, 12)...), append(be32(0x10000), append(make([]byte, 12), be32(0x40000000)...)...)...)
	sample := box("stsd", be32(0), be32(1), box("avc1",
		make([]byte, 6), be16(1), make([]byte, 16), be16(uint16(m.width)), be16(uint16(m.height)),
		be32(0x480000), be32(0x480000), be32(0), be16(1), make([]byte, 32), be16(24), be16(0xffff), box("avcC", m.head)))
	var table []byte
	if fragmented {
		table = box("stbl", sample, full("stts", 0, 0, be32(0)), full("stsc", 0, 0, be32(0)), full("stsz", 0, 0, be32(0), be32(0)), full("stco", 0, 0, be32(0)))
	} else {
		table = box("stbl", append([][]byte{sample}, m.index(durationMs)...)...)
	}
	trak := box("trak",
		full("tkhd", 1, 3, be64(now), be64(now), be32(1), be32(0), be64(uint64(durationMs)), make([]byte, 8), be64(0), matrix, be32(uint32(m.width)<<16), be32(uint32(m.height)<<16)),
		box("mdia",
			full("mdhd", 1, 0, be64(now), be64(now), be32(1000), be64(uint64(durationMs)), be16(0x55c4), be16(0)),
			full("hdlr", 0, 0, be32(0), []byte("vide"), make([]byte, 12), []byte("lookalong\x00")),
			box("minf",
				full("vmhd", 0, 1, make([]byte, 8)),
				box("dinf", full("dref", 0, 0, be32(1), full("url ", 0, 1))),
				table)))
	parts := [][]byte{
		full("mvhd", 1, 0, be64(now), be64(now), be32(1000), be64(uint64(durationMs)), be32(0x10000), be16(0x100), make([]byte, 10), matrix, make([]byte, 24), be32(2)),
		trak,
	}
	if fragmented {
		parts = append(parts, box("mvex", full("trex", 0, 0, be32(1), be32(1), be32(0), be32(0), be32(0))))
	}
	return box("moov", parts...)
}

// index is the sample table's boxes: times, key frames, sizes, places.
func (m *mp4File) index(durationMs int64) [][]byte {
	n := uint32(len(m.frames))
	times, keys, sizes, places := be32(n), []byte(nil), append(be32(0), be32(n)...), be32(n)
	count := uint32(0)
	for i, f := range m.frames {
		next := durationMs
		if i+1 < len(m.frames) {
			next = m.frames[i+1].ms
		}
		times = append(append(times, be32(1)...), be32(uint32(next-f.ms))...)
		sizes = append(sizes, be32(uint32(f.size))...)
		places = append(places, be64(uint64(f.data))...)
		if f.key {
			count++
			keys = append(keys, be32(uint32(i+1))...)
		}
	}
	return [][]byte{
		full("stts", 0, 0, times), full("stss", 0, 0, be32(count), keys), full("stsc", 0, 0, be32(1), be32(1), be32(1), be32(1)),
		full("stsz", 0, 0, sizes), full("co64", 0, 0, places),
	}
}

func box(kind string, parts ...[]byte) []byte {
	out := append(make([]byte, 4), kind...)
	for _, p := range parts {
		out = append(out, p...)
	}
	binary.BigEndian.PutUint32(out, uint32(len(out)))
	return out
}

// full is a box with a version and flags.
func full(kind string, version byte, flags uint32, parts ...[]byte) []byte {
	return box(kind, append([][]byte{be32(uint32(version)<<24 | flags)}, parts...)...)
}

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
