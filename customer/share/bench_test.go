package share

import (
	"context"
	"crypto/ed25519"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/lookalong/lookalong/customer/capture"
	"github.com/lookalong/lookalong/e2e/impair"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/peer"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// Flags of the native customer's benchmark: go test -bench Native ./customer/share -native.cells 2Mbit
var (
	nativeCells   = flag.String("native.cells", "", "networks, comma-separated; empty: all")
	nativeSets    = flag.String("native.settings", "ours", "settings of pion's SCTP to compare, comma-separated")
	nativeLong    = flag.Int("native.seconds", 10, "how long each is measured, in seconds")
	nativeRepeats = flag.Int("native.repeats", 1, "how often each is measured; the table has the medians")
)

// nativeNetworks are those of the page's picture, and a narrow one.
var nativeNetworks = append(slices.Clone(impair.Networks),
	impair.Named{Name: "0.5Mbit", Line: impair.Conditions{Delay: 25 * time.Millisecond, Rate: 500_000}})

// nativeSettings are what can be compared: ours as they are in package peer, pion's own, and changes of one of ours.
var nativeSettings = map[string]func(*webrtc.SettingEngine){
	"ours": nil,
	"pion": func(s *webrtc.SettingEngine) {
		s.SetSCTPRTOMax(0)
		s.SetSCTPMinCwnd(0)
		s.SetSCTPFastRtxWnd(0)
		s.SetSCTPCwndCAStep(0)
	},
	"rto1s":     func(s *webrtc.SettingEngine) { s.SetSCTPRTOMax(time.Second) },
	"rto500":    func(s *webrtc.SettingEngine) { s.SetSCTPRTOMax(500 * time.Millisecond) },
	"cwnd16k":   func(s *webrtc.SettingEngine) { s.SetSCTPMinCwnd(16 << 10) },
	"cwnd32k":   func(s *webrtc.SettingEngine) { s.SetSCTPMinCwnd(32 << 10) },
	"cwnd64k":   func(s *webrtc.SettingEngine) { s.SetSCTPMinCwnd(64 << 10) },
	"cwnd128k":  func(s *webrtc.SettingEngine) { s.SetSCTPMinCwnd(128 << 10) },
	"frtx8k":    func(s *webrtc.SettingEngine) { s.SetSCTPFastRtxWnd(8 << 10) },
	"frtx64k":   func(s *webrtc.SettingEngine) { s.SetSCTPFastRtxWnd(64 << 10) },
	"castep5k":  func(s *webrtc.SettingEngine) { s.SetSCTPCwndCAStep(5 << 10) },
	"castep12k": func(s *webrtc.SettingEngine) { s.SetSCTPCwndCAStep(12 << 10) },
	"recv4m":    func(s *webrtc.SettingEngine) { s.SetSCTPMaxReceiveBufferSize(4 << 20) },
	"zerosum":   func(s *webrtc.SettingEngine) { s.EnableSCTPZeroChecksum(true) },
}

// nativeFigures are what one run gives; times in milliseconds.
type nativeFigures struct {
	network, settings             string
	age, p50, p95, fps, kbit, cpu float64
	size                          float64 // of a picture, in KB
	direct50, direct95            float64
}

func (f *nativeFigures) numbers() []*float64 {
	return []*float64{&f.age, &f.p50, &f.p95, &f.fps, &f.kbit, &f.cpu, &f.size, &f.direct50, &f.direct95}
}

// BenchmarkNative measures the native customer's sender: the program as it is run, showing a desktop of text at 1280×720,
// over pion and a bad network to an agent's peer, which acknowledges as the agent's program does.
func BenchmarkNative(b *testing.B) {
	var all []nativeFigures
	for _, n := range nativeNetworks {
		if *nativeCells != "" && !slices.Contains(strings.Split(*nativeCells, ","), n.Name) {
			continue
		}
		groups := map[string][]nativeFigures{}
		names := strings.Split(*nativeSets, ",")
		for range *nativeRepeats {
			for _, name := range names {
				change, ok := nativeSettings[name]
				if !ok {
					b.Fatalf("there are no settings %q", name)
				}
				b.Run(n.Name+"/"+name, func(b *testing.B) {
					for range b.N {
						f := native(b, n.Line, change)
						groups[name] = append(groups[name], f)
						b.ReportMetric(f.age, "age-ms")
					}
					b.ReportMetric(0, "ns/op")
				})
			}
		}
		for _, name := range names {
			m := nativeFigures{network: n.Name, settings: name}
			for i, v := range m.numbers() {
				var of []float64
				for _, f := range groups[name] {
					of = append(of, *f.numbers()[i])
				}
				*v = quantile(of, 0.5)
			}
			all = append(all, m)
		}
	}
	fmt.Println("\n| network | settings | age | p50/p95 | frames/s | KB a frame | kbit/s | direct p50/p95 | CPU |\n|---|---|---|---|---|---|---|---|---|")
	for _, f := range all {
		fmt.Printf("| %s | %s | **%.0f** | %.0f/%.0f | %.1f | %.0f | %.0f | %.0f/%.0f | %.0f %% |\n",
			f.network, f.settings, f.age, f.p50, f.p95, f.fps, f.size, f.kbit, f.direct50, f.direct95, f.cpu)
	}
	fmt.Println("load:", load())
}

// load is how many wanted a processor in the last minute; "" where no such file is.
func load() string {
	data, _ := os.ReadFile("/proc/loadavg") // elsewhere than on Linux it is left out
	first, _, _ := strings.Cut(string(data), " ")
	return first
}

func quantile(list []float64, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

// nativeView is what the agent's end sees. Its callbacks run on the peer's goroutine.
type nativeView struct {
	mu       sync.Mutex
	measured bool
	newest   time.Time // when the picture that is shown was captured
	since    time.Time // until when its age is summed up
	area     float64   // of the age over time, in ms²
	late     []float64
	bytes    int
	sent     map[protocol.RequestID]time.Time
	direct   []float64
}

// look sums the age up to now. With the lock held.
func (v *nativeView) look(now time.Time) {
	if v.measured && !v.newest.IsZero() {
		from, to := v.since.Sub(v.newest).Seconds()*1000, now.Sub(v.newest).Seconds()*1000
		v.area += (to*to - from*from) / 2
	}
	v.since = now
}

func (v *nativeView) frame(f *protocol.Frame) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.look(now)
	v.newest = now.Add(-time.Duration(uint32(now.UnixMilli())-f.CaptureMs) * time.Millisecond)
	if v.measured {
		v.late = append(v.late, now.Sub(v.newest).Seconds()*1000)
		v.bytes += len(f.Data)
	}
}

func (v *nativeView) ack(id protocol.RequestID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if at, ok := v.sent[id]; ok {
		v.direct = append(v.direct, time.Since(at).Seconds()*1000)
		delete(v.sent, id)
	}
}

// native runs the program with those settings at both ends, and measures after it has settled.
func native(b *testing.B, line impair.Conditions, settings func(*webrtc.SettingEngine)) nativeFigures {
	srv := servertest.New(b)
	network := impair.New(1)
	b.Cleanup(network.Close)
	onLine, err := network.Net()
	if err != nil {
		b.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	p := launch(b, func(ctx context.Context, s term.Streams) int {
		_ = run(ctx, Options{ // ends with the benchmark
			Server: srv.URL(), Key: key, AcceptView: true, AcceptPeer: true, JSON: true, FPS: 15, Image: "auto",
			NewSource: func() (capture.Source, error) { return newDesk(1280, 720), nil },
			tune:      func(cfg *peer.Config) { cfg.Settings = settings },
		}, s)
		return 0
	})
	v := &nativeView{sent: map[protocol.RequestID]time.Time{}}
	ana := newAgent(b, srv)
	ana.tune = func(cfg *peer.Config) {
		cfg.Net, cfg.Settings = onLine, settings
		state := cfg.OnState
		cfg.OnState = func(s peer.State, reason string) {
			state(s, reason)
			if s == peer.Connected {
				_ = ana.end.SendControl(protocol.ScreenCodecs{Decodable: []string{"image/jpeg", "image/png"}}) // no picture would come, which is seen
			}
		}
		cfg.OnFrame = func(f *protocol.Frame, receivedMs int64) {
			_ = ana.end.SendControl(protocol.ScreenFeedback{Frame: f.Frame, ReceivedMs: receivedMs}) // as agent/support does
			v.frame(f)
		}
		cfg.OnDirect = func(m any) {
			if ack, ok := m.(protocol.DirectAck); ok {
				v.ack(ack.ID)
			}
		}
	}
	if err := network.Set(line); err != nil {
		b.Fatal(err)
	}
	conv := ana.claim(p)
	ana.ask(protocol.SessionRequest{Conversation: conv, Picture: true})
	p.wantState("picture", "started")
	time.Sleep(3 * time.Second) // the rate is sought, and a keep-alive has measured the round trip

	v.mu.Lock()
	began := time.Now()
	v.measured, v.since = true, began
	v.mu.Unlock()
	cpu, carried := processor(), lineBytes(network)
	for i := range *nativeLong * 5 {
		id := protocol.RequestID(strconv.Itoa(i))
		v.mu.Lock()
		v.sent[id] = time.Now()
		v.mu.Unlock()
		_ = ana.end.SendDirect(protocol.DirectMessage{ID: id, Text: strings.Repeat("x", 100), At: time.Now()}) // one that is lost counts as late
		time.Sleep(time.Until(began.Add(time.Duration(i+1) * time.Second / 5)))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	v.look(now)
	took := now.Sub(began).Seconds()
	for _, at := range v.sent {
		v.direct = append(v.direct, now.Sub(at).Seconds()*1000) // at least
	}
	return nativeFigures{
		age: v.area / took / 1000, p50: quantile(v.late, 0.5), p95: quantile(v.late, 0.95), fps: float64(len(v.late)) / took,
		size: float64(v.bytes) / float64(max(1, len(v.late))) / 1000, kbit: float64(lineBytes(network)-carried) * 8 / 1000 / took,
		direct50: quantile(v.direct, 0.5), direct95: quantile(v.direct, 0.95), cpu: (processor() - cpu) / took * 100,
	}
}

func lineBytes(n *impair.Network) uint64 {
	out, in := n.Counts()
	return out.Bytes + in.Bytes
}

// processor is what this process has used, in seconds; 0 where it can't be read.
func processor() float64 {
	data, _ := os.ReadFile("/proc/self/stat") // elsewhere than on Linux it is left out
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}
