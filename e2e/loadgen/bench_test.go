package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/loadgen/cast"
	"github.com/lookalong/lookalong/e2e/port"
)

// The references. All run relayref; see there.
func bareRelay() *side { return &side{name: "bare relay", relay: true} }

// jsonRelay reads, numbers and writes each message: what a chat in memory does at least.
func jsonRelay() *side { return &side{name: "JSON relay", relay: true, args: []string{"-decode"}} }

func syncedLog(delay string, more ...string) *side {
	return &side{name: "synced log", relay: true, args: append([]string{"-log", "FOLDER/log", "-sync-delay", delay}, more...)}
}

// chatters is the server with 400 customers, each with an agent of their own.
func chatters(b *testing.B, args ...string) *side {
	b.Helper()
	dir := b.TempDir()
	seed(b, filepath.Join(dir, "data"), "-customers", "400", "-agents", "400")
	return &side{name: "Lookalong", data: filepath.Join(dir, "data"), args: args}
}

func acks(r report) float64 { return float64(r.Acks) / r.Seconds }

// addDisk notes how fast the disk was by itself before each run of ours: where that varies, so does what is durable.
func addDisk(b *testing.B, ours []report) {
	b.Helper()
	table.add(b, "the disk's own sync then", "ms", of(ours, func(r report) float64 { return r.disk }), "", nil, alone, "")
}

func cpu(r report) float64 { return r.ServerCPU * 1000 / float64(r.Deliveries) }

// BenchmarkChatSaturation: 400 conversations over 1,000 sockets, each customer sends when the last message was
// acknowledged. Ours is on disk before the ack.
func BenchmarkChatSaturation(b *testing.B) {
	onDisk(b)
	if *profileTo != "" {
		ours := chatters(b)
		p := ours.up(b)
		failed := make(chan error, 1)
		go func() {
			time.Sleep(3 * time.Second) // connected and warm
			failed <- saveProfile(p, *profileTo, 8)
		}()
		r := ours.loadOn(b, p, "chat", "-warm", "2s", "-for", "10s")
		if err := <-failed; err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(acks(r), "acks/s")
		return
	}
	for range b.N {
		ours, bare, chat := chatters(b), bareRelay(), jsonRelay()
		r := interleaved(b, []*side{ours, bare, chat}, "chat", "-warm", "700ms", "-for", "2s")
		b.ReportMetric(0, "ns/op")
		table.add(b, "saturation", "acks/s", of(r[0], acks), bare.name, of(r[1], acks), ratio, "≥ 0.6")
		table.add(b, "saturation", "acks/s", of(r[0], acks), chat.name, of(r[2], acks), ratio, "≥ 0.6")
		addDisk(b, r[0])
		table.add(b, "saturation", "CPU s per 1,000 deliveries", of(r[0], cpu), chat.name, of(r[2], cpu), ratio, "")
		table.add(b, "saturation ack p50", "ms", of(r[0], ack(0)), chat.name, of(r[2], ack(0)), ratio, "")
	}
}

// ack and deliver pick a quantile: 0 is p50, 1 is p99.
func ack(q int) func(report) float64     { return func(r report) float64 { return r.AckMs[q] } }
func deliver(q int) func(report) float64 { return func(r report) float64 { return r.DeliverMs[q] } }

// BenchmarkChatSteady: 2,000 messages a second at random moments, whatever the server does; latency counts from the
// moment at which a message was due.
func BenchmarkChatSteady(b *testing.B) {
	onDisk(b)
	for range b.N {
		ours, bare, synced := chatters(b), bareRelay(), syncedLog("0s")
		r := interleaved(b, []*side{ours, bare, synced}, "chat", "-rate", "2000", "-warm", "700ms", "-for", "2500ms")
		b.ReportMetric(0, "ns/op")
		table.add(b, "2,000/s ack p50", "ms", of(r[0], ack(0)), bare.name, of(r[1], ack(0)), difference, "≤ 0.3")
		table.add(b, "2,000/s ack p99", "ms", of(r[0], ack(1)), bare.name, of(r[1], ack(1)), difference, "")
		table.add(b, "2,000/s ack p50", "ms", of(r[0], ack(0)), synced.name, of(r[2], ack(0)), difference, "")
		table.add(b, "2,000/s ack p99", "ms", of(r[0], ack(1)), synced.name, of(r[2], ack(1)), difference, "")
		table.add(b, "2,000/s delivery p50", "ms", of(r[0], deliver(0)), bare.name, of(r[1], deliver(0)), difference, "≤ 0.3")
		table.add(b, "2,000/s delivery p99", "ms", of(r[0], deliver(1)), bare.name, of(r[1], deliver(1)), difference, "")
		table.add(b, "2,000/s", "CPU s per 1,000 deliveries", of(r[0], cpu), bare.name, of(r[1], cpu), ratio, "")
		addDisk(b, r[0])
	}
}

// BenchmarkChatSlowSync: saturation where every sync takes 2 ms more, as on a disk that is not this machine's, beside a
// log file with group commit on the same disk.
func BenchmarkChatSlowSync(b *testing.B) {
	onDisk(b)
	for range b.N {
		ours, bare, chat := chatters(b, "-sync-delay", "2ms"), syncedLog("2ms"), syncedLog("2ms", "-decode")
		chat.name = "JSON log"
		r := interleaved(b, []*side{ours, bare, chat}, "chat", "-warm", "700ms", "-for", "2s")
		b.ReportMetric(0, "ns/op")
		table.add(b, "sync + 2 ms", "acks/s", of(r[0], acks), bare.name, of(r[1], acks), ratio, "≥ 0.45")
		table.add(b, "sync + 2 ms", "acks/s", of(r[0], acks), chat.name, of(r[2], acks), ratio, "≥ 0.45")
		table.add(b, "sync + 2 ms ack p50", "ms", of(r[0], ack(0)), bare.name, of(r[1], ack(0)), ratio, "")
	}
}

// BenchmarkChatIdle: resident memory of 10,000 customers' sockets that proved their key and do nothing.
func BenchmarkChatIdle(b *testing.B) {
	for range b.N {
		dir := filepath.Join(b.TempDir(), "data")
		seed(b, dir, "-customers", "10000", "-bare")
		ours, bare := &side{name: "Lookalong", data: dir}, bareRelay()
		r := interleaved(b, []*side{ours, bare}, "idle", "-customers", "10000")
		kib := func(r report) float64 { return r.KiB }
		b.ReportMetric(0, "ns/op")
		table.add(b, "10,000 idle", "KiB each", of(r[0], kib), bare.name, of(r[1], kib), ratio, "≤ 12 KiB")
	}
}

// BenchmarkChatStorm: 5,000 customers are cut at once, all come back at once, prove their key and get the ten messages
// that they missed.
func BenchmarkChatStorm(b *testing.B) {
	for range b.N {
		sides := []*side{nil, nil, bareRelay()}
		for i, alg := range []cast.Alg{cast.Ed25519, cast.P256} {
			dir := filepath.Join(b.TempDir(), "data")
			seed(b, dir, "-customers", "5000", "-messages", fmt.Sprint(missed), "-keys", string(alg))
			sides[i] = &side{name: string(alg), data: dir, load: []string{"-keys", string(alg)}}
		}
		r := interleaved(b, sides, "storm", "-customers", "5000")
		seconds := func(r report) float64 { return r.Seconds }
		b.ReportMetric(0, "ns/op")
		for i, s := range sides[:2] {
			table.add(b, "storm of 5,000 "+s.name, "s until all caught up", of(r[i], seconds), "bare relay", of(r[2], seconds), ratio, "≤ 1.5")
			table.add(b, "storm of 5,000 "+s.name, "tries again", of(r[i], func(r report) float64 { return float64(r.Retries) }), "", nil, alone, "")
		}
	}
}

// BenchmarkChatStart: from the start of the process to the end of the first hello, with a million messages in 50,000
// conversations of which 300 are claimed, beside an empty folder.
func BenchmarkChatStart(b *testing.B) {
	full, err := million(b)
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		var ours, empty []float64
		for range max(*repeats, 5) {
			ours = append(ours, startOn(b, full))
			empty = append(empty, startOn(b, b.TempDir()+"/data"))
		}
		b.ReportMetric(0, "ns/op")
		table.add(b, "start with 1 million messages", "ms to the first hello", ours, "empty folder", empty, difference, "≤ 100 ms")
	}
}

// million is a folder with a million messages. It takes a minute to fill, so it is kept in the temporary folder for as
// long as what fills it stays the same.
func million(b *testing.B) (string, error) {
	b.Helper()
	sum := sha256.New()
	sources, err := filepath.Glob("../../signaling/store/migrations/*")
	if err != nil {
		return "", err
	}
	for _, path := range append(sources, "../benchserver/seed.go") {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		sum.Write(data)
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("lookalong-bench-million-%x", sum.Sum(nil)[:6]))
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return dir, err
	}
	fresh, err := os.MkdirTemp(os.TempDir(), "lookalong-bench-filling")
	if err != nil {
		return "", err
	}
	b.Log("filling a folder with a million messages")
	seed(b, fresh, "-customers", "50000", "-agents", "50", "-messages", "20", "-live", "300")
	return dir, os.Rename(fresh, dir)
}

// startOn starts the real program on a folder and returns the milliseconds until a customer's hello was answered.
func startOn(b *testing.B, dir string) float64 {
	b.Helper()
	quiet()
	addr := port.Free(b)
	o := options{addr: addr}
	key := cast.Customer(0, cast.Ed25519)
	began := time.Now()
	p := start(b, 0, "lookalong-signaling", "serve", "--listen", addr, "--no-relay", "--data", dir)
	defer p.stop()
	for {
		s, err := o.hello(0, key)
		if err == nil {
			took := time.Since(began)
			s.ws.Close()
			return float64(took.Microseconds()) / 1000
		}
		if _, notYet := errors.AsType[*net.OpError](err); !notYet || !errors.Is(err, syscall.ECONNREFUSED) || time.Since(began) > time.Minute {
			b.Fatalf("hello: %v\n%s", err, p.errs)
		}
		time.Sleep(200 * time.Microsecond)
	}
}
