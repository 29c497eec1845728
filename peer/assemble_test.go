package peer

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

// fragmentsOf cuts a frame as the page does (web/src/core/fragment.ts).
func fragmentsOf(t testing.TB, a *assembler, f protocol.Frame, rows int) [][]byte {
	t.Helper()
	head := protocol.Fragment{Kind: f.Kind, Stream: f.Stream, Frame: f.Frame, CaptureMs: f.CaptureMs, Size: uint32(len(f.Data)), Parity: uint8(rows)}
	head.Count = uint16((len(f.Data) + protocol.MaxFragmentPayload - 1) / protocol.MaxFragmentPayload)
	n := head.PieceBytes()
	padded := append(bytes.Clone(f.Data), make([]byte, n*int(head.Count)-len(f.Data))...)
	out := make([][]byte, int(head.Count)+rows*head.Blocks())
	for b := range head.Blocks() {
		shards := make([][]byte, head.BlockPieces(b)+rows)
		for i := range shards {
			if i < head.BlockPieces(b) {
				at := (i*head.Blocks() + b) * n
				shards[i] = padded[at : at+n]
			} else {
				shards[i] = make([]byte, n)
			}
		}
		if rows > 0 {
			code, err := a.code(head.BlockPieces(b), rows)
			if err != nil {
				t.Fatal(err)
			}
			if err := code.Encode(shards); err != nil {
				t.Fatal(err)
			}
		}
		for i, shard := range shards {
			h := head
			if i < head.BlockPieces(b) {
				h.Index = uint16(i*head.Blocks() + b)
			} else {
				h.Index = head.Count + uint16((i-head.BlockPieces(b))*head.Blocks()+b)
			}
			if h.Index == head.Count-1 {
				shard = shard[:len(f.Data)-n*int(h.Index)]
			}
			out[h.Index] = append(h.AppendHeader(nil), shard...)
		}
	}
	return out
}

// give hands packets to the assembler and returns what it delivers, and whether it asks for a key frame.
func give(t testing.TB, a *assembler, packets [][]byte, at time.Time) (frames []*protocol.Frame, lost bool) {
	t.Helper()
	for _, p := range packets {
		f, payload, err := protocol.ParseFragment(p)
		if err != nil {
			t.Fatal(err)
		}
		r, err := a.fragment(f, payload, at)
		if err != nil {
			t.Fatal(err)
		}
		frames, lost = append(frames, r.frames...), lost || r.lost
	}
	return frames, lost
}

func testFrame(n uint32, kind protocol.FrameKind, size int) protocol.Frame {
	f := protocol.Frame{Kind: kind, Frame: n, CaptureMs: n * 66, Data: make([]byte, size)}
	for i := range f.Data {
		f.Data[i] = byte(i*31 + i>>8*7 + int(n))
	}
	return f
}

// TestParityOfThePage: what TypeScript computed repairs here, whichever packets are missing.
func TestParityOfThePage(t *testing.T) {
	var list []struct {
		Name    string
		Hex     string
		Rows    int
		Packets []string
	}
	data, err := os.ReadFile("../protocol/testdata/fragment/frames.json")
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		pieces := len(v.Packets) - v.Rows
		for missing := range 1 << len(v.Packets) { // every subset
			a, count := &assembler{}, 0
			var got []byte
			for i, p := range v.Packets {
				if missing>>i&1 == 1 {
					continue
				}
				count++
				b, _ := hex.DecodeString(p)
				f, payload, err := protocol.ParseFragment(b)
				if err != nil {
					t.Fatal(err)
				}
				f.Kind = protocol.FrameKey // so that it is delivered alone
				r, err := a.fragment(f, payload, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				for _, whole := range r.frames {
					got = whole.Data
				}
			}
			if whole := count >= pieces; whole != (got != nil) || whole && hex.EncodeToString(got) != v.Hex {
				t.Fatalf("%s without packets %b: got %d bytes", v.Name, missing, len(got))
			}
		}
	}
}

func TestOrderIsRestored(t *testing.T) {
	a := &assembler{}
	var all [][]byte
	for n := range uint32(20) {
		kind := protocol.FrameDelta
		if n == 0 {
			kind = protocol.FrameKey
		}
		all = append(all, fragmentsOf(t, a, testFrame(n, kind, 1+int(n)*997), int(n)%3)...)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	frames, lost := give(t, a, append(all, all...), time.Now()) // each of them twice
	if lost || len(frames) != 20 {
		t.Fatalf("%d frames, lost %t", len(frames), lost)
	}
	for i, f := range frames {
		if want := testFrame(uint32(i), f.Kind, 1+i*997); f.Frame != want.Frame || f.CaptureMs != want.CaptureMs || !bytes.Equal(f.Data, want.Data) {
			t.Errorf("frame %d is number %d", i, f.Frame)
		}
	}
	if a.held != 0 {
		t.Errorf("%d bytes are held of nothing", a.held)
	}
}

func TestMissingFrameIsGivenUp(t *testing.T) {
	a, now := &assembler{}, time.Now()
	give(t, a, fragmentsOf(t, a, testFrame(0, protocol.FrameKey, 5000), 0), now)
	give(t, a, fragmentsOf(t, a, testFrame(1, protocol.FrameDelta, 5000), 0)[1:], now)
	if frames, lost := give(t, a, fragmentsOf(t, a, testFrame(2, protocol.FrameDelta, 500), 0), now); len(frames) > 0 || lost {
		t.Fatal("a frame went past the one that is missing")
	}
	if got := a.blocked(now.Add(maxBlockedFor)); got != nil {
		t.Errorf("given up too early: %v", got)
	}
	if got := a.blocked(now.Add(maxBlockedFor + 1)); len(got) != 1 || got[0] != 0 || a.held != 0 {
		t.Errorf("not given up: %v, %d bytes held", got, a.held)
	}
	if frames, _ := give(t, a, fragmentsOf(t, a, testFrame(3, protocol.FrameDelta, 500), 0), now); len(frames) > 0 {
		t.Error("a frame of the broken chain was delivered")
	}
	frames, _ := give(t, a, fragmentsOf(t, a, testFrame(9, protocol.FrameKey, 500), 0), now)
	more, _ := give(t, a, fragmentsOf(t, a, testFrame(10, protocol.FrameDelta, 500), 0), now)
	if len(frames) != 1 || len(more) != 1 {
		t.Error("the key frame did not begin a new chain")
	}
}

func TestHeldMemoryIsBounded(t *testing.T) {
	a, now := &assembler{}, time.Now()
	give(t, a, fragmentsOf(t, a, testFrame(0, protocol.FrameKey, 10), 0), now)
	asked := false
	for n := uint32(2); n < 2+maxAhead; n++ { // number 1 never comes
		_, lost := give(t, a, fragmentsOf(t, a, testFrame(n, protocol.FrameDelta, 200_000), 0), now)
		asked = asked || lost
		if a.held > maxHeldBytes {
			t.Fatalf("%d bytes are held", a.held)
		}
	}
	if !asked {
		t.Error("nothing was given up")
	}
	for _, ahead := range []uint32{maxAhead, maxAhead + 1, 10 * maxAhead} {
		a := &assembler{}
		give(t, a, fragmentsOf(t, a, testFrame(0, protocol.FrameKey, 10), 0), now)
		if _, lost := give(t, a, fragmentsOf(t, a, testFrame(1+ahead, protocol.FrameDelta, 10), 0), now); lost != (ahead > maxAhead) {
			t.Errorf("%d frames ahead: lost %t", ahead, lost)
		}
	}
}

func TestContradictionIsAnError(t *testing.T) {
	a := &assembler{}
	packets := fragmentsOf(t, a, testFrame(0, protocol.FrameKey, 3000), 0)
	other := fragmentsOf(t, a, testFrame(0, protocol.FrameKey, 3001), 0)
	give(t, a, packets[:1], time.Now())
	f, payload, _ := protocol.ParseFragment(other[1])
	if _, err := a.fragment(f, payload, time.Now()); !errors.Is(err, protocol.ErrFrame) {
		t.Errorf("another size: %v", err)
	}
	if frames, _ := give(t, a, packets, time.Now()); len(frames) != 1 {
		t.Error("the frame itself was harmed")
	}
}

// TestBothWays: frames come by screen before there is a lane, and after it is gone.
func TestBothWays(t *testing.T) {
	a, now := &assembler{}, time.Now()
	var got []uint32
	add := func(list []*protocol.Frame) {
		for _, f := range list {
			got = append(got, f.Frame)
		}
	}
	whole := func(n uint32, kind protocol.FrameKind) {
		f := testFrame(n, kind, 100)
		add(a.whole(&f, now).frames)
	}
	lane := func(n uint32, kind protocol.FrameKind) {
		f, _ := give(t, a, fragmentsOf(t, a, testFrame(n, kind, 100), 0), now)
		add(f)
	}
	whole(0, protocol.FrameKey)
	lane(2, protocol.FrameDelta) // overtakes number 1
	whole(1, protocol.FrameDelta)
	lane(3, protocol.FrameDelta)
	lane(5, protocol.FrameDelta) // the lane ends before number 4
	whole(6, protocol.FrameKey)
	whole(7, protocol.FrameDelta)
	lane(8, protocol.FrameDelta)
	want := []uint32{0, 1, 2, 3, 6, 7, 8}
	if len(got) != len(want) {
		t.Fatalf("delivered %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("delivered %v, want %v", got, want)
		}
	}
}

// FuzzLanes: any order, loss and repetition of real fragments, mixed with foreign ones, delivers the exact frames in
// order, each at most once; memory stays bounded.
func FuzzLanes(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, uint64(1))
	f.Add([]byte{255, 0, 17, 17, 3, 200, 9, 1}, uint64(7))
	f.Fuzz(func(t *testing.T, order []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		a := &assembler{}
		var all [][]byte
		sent := map[uint32]protocol.Frame{}
		for n := range uint32(12) {
			kind := protocol.FrameDelta
			if n == 0 || rnd.IntN(5) == 0 {
				kind = protocol.FrameKey
			}
			frame := testFrame(n, kind, 1+rnd.IntN(6000))
			sent[n] = frame
			all = append(all, fragmentsOf(t, a, frame, rnd.IntN(4))...)
		}
		now, last := time.Now(), int64(-1)
		for _, o := range order {
			p := bytes.Clone(all[int(o)%len(all)])
			foreign := rnd.IntN(20) == 0
			if foreign {
				p[6] = 1 // of another stream, whose bytes are anything
				p[rnd.IntN(len(p))] ^= byte(1 + rnd.IntN(255))
			}
			h, payload, err := protocol.ParseFragment(p)
			if err != nil || foreign && h.Stream == 0 {
				continue
			}
			r, _ := a.fragment(h, payload, now)
			for _, got := range r.frames {
				if got.Stream != 0 {
					continue
				}
				want := sent[got.Frame]
				if int64(got.Frame) <= last || got.Kind != want.Kind || !bytes.Equal(got.Data, want.Data) {
					t.Fatalf("frame %d after %d is wrong", got.Frame, last)
				}
				if got.Kind == protocol.FrameDelta && int64(got.Frame) != last+1 {
					t.Fatalf("frame %d needs the one before, but %d was the last", got.Frame, last)
				}
				last = int64(got.Frame)
			}
			if a.held > maxHeldBytes || a.held < 0 {
				t.Fatalf("%d bytes are held", a.held)
			}
			if rnd.IntN(8) == 0 {
				now = now.Add(time.Second)
				a.blocked(now)
			}
		}
	})
}
