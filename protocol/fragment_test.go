package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

type fragmentVector struct {
	Name             string
	Kind             FrameKind
	Stream           uint8
	Frame, CaptureMs uint32
	Hex              string
	Rows             uint8
	Packets          []string
}

func fragmentVectors(t testing.TB) (list []fragmentVector) {
	t.Helper()
	data, err := os.ReadFile("testdata/fragment/frames.json")
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFragmentVectors(t *testing.T) {
	for _, v := range fragmentVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			var data []byte
			for i, p := range v.Packets {
				f, payload, err := ParseFragment(unhex(t, p))
				if err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
				want := Fragment{Kind: v.Kind, Index: uint16(i), Count: f.Count, Stream: v.Stream, Parity: v.Rows, Frame: v.Frame, CaptureMs: v.CaptureMs, Size: uint32(len(v.Hex) / 2), Packet: uint32(7 + i)}
				if f != want {
					t.Errorf("packet %d is %+v, want %+v", i, f, want)
				}
				if i < int(f.Count) {
					data = append(data, payload...)
				}
				if again := append(f.AppendHeader(nil), payload...); !bytes.Equal(again, unhex(t, p)) {
					t.Errorf("packet %d is written as %x", i, again)
				}
			}
			if hex.EncodeToString(data) != v.Hex {
				t.Error("the pieces are not the frame")
			}
		})
	}
}

func TestReportVector(t *testing.T) {
	var v struct {
		Hex               string
		HeldMs, ArrivedMs float64
		Newest            uint32
		Arrived           []int
	}
	data, err := os.ReadFile("testdata/fragment/report.json")
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseReport(unhex(t, v.Hex))
	if err != nil {
		t.Fatal(err)
	}
	if r.Newest != v.Newest || float64(r.Held)/10 != v.HeldMs || float64(r.Arrived)/10 != v.ArrivedMs {
		t.Errorf("report is %+v", r)
	}
	want := map[int]bool{}
	for _, i := range v.Arrived {
		want[i] = true
	}
	for i := range ReportPackets {
		if r.Has(i) != want[i] {
			t.Errorf("packet %d before the newest: %t", i, r.Has(i))
		}
	}
	if hex.EncodeToString(r.Encode()) != v.Hex {
		t.Errorf("report is written as %x", r.Encode())
	}
	for _, bad := range [][]byte{nil, unhex(t, v.Hex)[1:], append(unhex(t, v.Hex), 0), append([]byte{3}, unhex(t, v.Hex)[1:]...)} {
		if _, err := ParseReport(bad); !errors.Is(err, ErrFrame) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

func TestFragmentRefused(t *testing.T) {
	good := Fragment{Kind: FrameKey, Index: 1, Count: 2, Parity: 1, Size: 1101}
	tests := []struct {
		name    string
		edit    func(*Fragment)
		payload int
		ok      bool
	}{
		{"good", func(*Fragment) {}, 550, true},
		{"a parity fragment", func(f *Fragment) { f.Index = 2 }, 551, true},
		{"parity beyond its rows", func(f *Fragment) { f.Index = 3 }, 551, false},
		{"ten beyond", func(f *Fragment) { f.Index = 12 }, 551, false},
		{"short", func(*Fragment) {}, 549, false},
		{"long", func(*Fragment) {}, 551, false},
		{"nothing", func(*Fragment) {}, 0, false},
		{"no pieces", func(f *Fragment) { f.Count, f.Index = 0, 0 }, 551, false},
		{"too few pieces", func(f *Fragment) { f.Count, f.Index = 1, 0 }, 1101, false},
		{"more pieces than bytes", func(f *Fragment) { f.Size, f.Count, f.Index = 3, 9, 0 }, 1, false},
		{"65,535 pieces", func(f *Fragment) { f.Count = 65535 }, 1, false},
		{"no bytes", func(f *Fragment) { f.Size = 0 }, 550, false},
		{"the largest frame", func(f *Fragment) { f.Size, f.Count = MaxFrameBytes, 7627; f.Index = 0 }, 1100, true},
		{"one byte more", func(f *Fragment) { f.Size, f.Count = MaxFrameBytes+1, 7627; f.Index = 0 }, 1100, false},
		{"ten times as much", func(f *Fragment) { f.Size, f.Count = 10*MaxFrameBytes, 65535; f.Index = 0 }, 1100, false},
		{"stream 3", func(f *Fragment) { f.Stream = 3 }, 550, true},
		{"stream 4", func(f *Fragment) { f.Stream = 4 }, 550, false},
		{"stream 40", func(f *Fragment) { f.Stream = 40 }, 550, false},
		{"100 rows", func(f *Fragment) { f.Parity = 100 }, 550, true},
		{"101 rows", func(f *Fragment) { f.Parity = 101 }, 550, false},
		{"a still", func(f *Fragment) { f.Kind = FrameStill }, 550, false},
		{"an unknown kind", func(f *Fragment) { f.Kind = 9 }, 550, false},
		{"a probe", func(f *Fragment) { *f = Fragment{Packet: 9} }, 0, true},
		{"a padded probe", func(f *Fragment) { *f = Fragment{Packet: 9} }, MaxFragmentPayload, true},
		{"a probe over the limit", func(f *Fragment) { *f = Fragment{Packet: 9} }, MaxFragmentPayload + 1, false},
		{"a probe that says more", func(f *Fragment) { *f = Fragment{Packet: 9, Size: 1} }, 0, false},
	}
	for _, tt := range tests {
		f := good
		tt.edit(&f)
		_, _, err := ParseFragment(append(f.AppendHeader(nil), make([]byte, tt.payload)...))
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for n := range FragmentHeaderBytes {
		if _, _, err := ParseFragment(good.AppendHeader(nil)[:n]); !errors.Is(err, ErrFrame) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// FuzzFragment: what is accepted is possible, and is written as it was read.
func FuzzFragment(f *testing.F) {
	for _, v := range fragmentVectors(f) {
		for _, p := range v.Packets {
			f.Add(unhex(f, p))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, err := ParseFragment(b)
		if err != nil {
			return
		}
		if again := append(h.AppendHeader(nil), payload...); !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x", b, again)
		}
		if h.Kind == FragmentProbe {
			return
		}
		block, place := h.Place()
		if block >= h.Blocks() || h.BlockPieces(block) > MaxBlockPieces || place >= h.BlockPieces(block)+int(h.Parity) {
			t.Fatalf("%+v is place %d of block %d", h, place, block)
		}
	})
}
