//go:build linux

// Benchmarks, each beside what it is measured against. They build what they need
// once: run them with go test -run '^$' -bench . ./signaling/store

package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// logFile is the reference: an append-only file with group commit, which writes a
// checksummed line for each message and syncs once for all that came meanwhile. It
// has no index, no check of anything, and no way to erase: what durability alone costs.
type logFile struct {
	file  *os.File
	queue chan logOp
	ended sync.WaitGroup
}

type logOp struct {
	m    Append
	done func(Appended, error)
}

func newLogFile(b *testing.B) *logFile {
	f, err := os.Create(filepath.Join(private(b), "log"))
	if err != nil {
		b.Fatal(err)
	}
	l := &logFile{file: f, queue: make(chan logOp, QueueLen)}
	l.ended.Go(l.run)
	b.Cleanup(func() {
		close(l.queue)
		l.ended.Wait()
		if err := f.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

func (l *logFile) append(m Append, done func(Appended, error)) error {
	l.queue <- logOp{m, done}
	return nil
}

func (l *logFile) run() {
	seqs := map[string]int64{}
	var buf bytes.Buffer
	var batch []logOp
	var acks []Appended
	for o := range l.queue {
		batch, acks = append(batch[:0], o), acks[:0]
		for len(batch) < BatchMax && len(l.queue) > 0 {
			batch = append(batch, <-l.queue)
		}
		buf.Reset()
		for _, o := range batch {
			seqs[o.m.Conversation]++
			ack := Appended{Seq: seqs[o.m.Conversation], At: time.Now()}
			acks = append(acks, ack)
			start := buf.Len()
			fmt.Fprintf(&buf, "%s %d %d %s %s %s %q", o.m.Conversation, ack.Seq, ack.At.UnixMilli(), o.m.ID, o.m.SenderKind, o.m.SenderID, o.m.Text)
			sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(buf.Bytes()[start:], castagnoli))
			buf.Write(append(sum, '\n'))
		}
		_, err := l.file.Write(buf.Bytes())
		if err == nil {
			err = unix.Fdatasync(int(l.file.Fd()))
		}
		for i, o := range batch {
			o.done(acks[i], err)
		}
	}
}

// closedLoop sends n messages, one under way in each conversation, and returns how
// long it took and what it cost.
func closedLoop(b *testing.B, list []Conversation, n int, round string, send func(Append, func(Appended, error)) error) (wall, cpu time.Duration) {
	b.Helper()
	text := strings.Repeat("x", 200)
	start, used := time.Now(), cpuTime(b)
	var wg sync.WaitGroup
	for w, c := range list {
		wg.Go(func() {
			for i := w; i < n; i += len(list) {
				m := fromCustomer(c, fmt.Sprintf("%s-%027d", round, i))
				m.Text = text
				if _, err := Sync(context.Background(), func(d func(Appended, error)) error { return send(m, d) }); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start), cpuTime(b) - used
}

func cpuTime(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkAppend has 400 conversations wait for each acknowledgement, in turns with
// the log file. of-log is the ratio of the acknowledgements a second; the CPU times
// are of the whole process, with the 400 that wait.
func BenchmarkAppend(b *testing.B) {
	s, _ := run(b, Options{Dir: private(b)})
	l := newLogFile(b)
	list := make([]Conversation, 400)
	for i := range list {
		_, list[i] = newConversation(b, s, fmt.Sprint("k", i))
	}
	const n = 8000 // messages a round
	var walls, logWalls, cpus, logCPUs []time.Duration
	before, rounds := s.Stats(), 0
	for b.Loop() {
		rounds++
		wall, cpu := closedLoop(b, list, n, fmt.Sprint(rounds), s.Append)
		b.StopTimer()
		logWall, logCPU := closedLoop(b, list, n, fmt.Sprint(rounds), l.append)
		b.StartTimer()
		walls, logWalls = append(walls, wall), append(logWalls, logWall)
		cpus, logCPUs = append(cpus, cpu), append(logCPUs, logCPU)
	}
	after := s.Stats()
	rate := func(d []time.Duration) float64 { return n / median(d).Seconds() }
	each := func(d []time.Duration) float64 { return median(d).Seconds() * 1e6 / n }
	b.ReportMetric(0, "ns/op") // of a round: says nothing
	b.ReportMetric(rate(walls), "acks/s")
	b.ReportMetric(rate(logWalls), "log-acks/s")
	b.ReportMetric(rate(walls)/rate(logWalls), "of-log")
	b.ReportMetric(each(cpus), "cpu-µs/ack")
	b.ReportMetric(each(logCPUs), "log-cpu-µs/ack")
	b.ReportMetric(float64(after.Writes-before.Writes)/float64(after.Commits-before.Commits), "writes/commit")
}

func median(d []time.Duration) time.Duration { return quantile(d, 0.5) }

func quantile(d []time.Duration, q float64) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[int(q*float64(len(d)-1))]
}

// history fills a store with closed conversations of one customer each, and returns
// their ids. Message k of all stands before message k+1 of any, as if all had lived
// at the same time: the worst order for reading one of them.
func history(b *testing.B, s *Store, conversations int, messages func(conversation int) int) []string {
	b.Helper()
	const chunk = 10_000
	ids := make([]string, conversations)
	text := strings.Repeat("x", 200)
	do := func(from, to int, f func(t *tx, i int) error) {
		for ; from < to; from += chunk {
			must(b, func(d func(struct{}, error)) error {
				return submit(s, func(t *tx) (struct{}, error) {
					for i := from; i < min(to, from+chunk); i++ {
						if err := f(t, i); err != nil {
							return struct{}{}, err
						}
					}
					return struct{}{}, nil
				}, d)
			})
		}
	}
	most := 0
	do(0, conversations, func(t *tx, i int) error {
		ids[i], most = newID(), max(most, messages(i))
		if _, err := t.exec("INSERT INTO customers (id, thumbprint, kind, pub, created_at) VALUES (?, ?, 'p256', ?, 1)",
			"c"+ids[i], ids[i], []byte("pub")); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO conversations (num, id, customer_id, state, created_at, waiting_since, last_at, last_seq, closed_at)
			VALUES (`+nextConversation+`, ?, ?, 'closed', 1, 1, ?, ?, 1)`, ids[i], "c"+ids[i], i, messages(i))
		return err
	})
	for k := 1; k <= most; k++ {
		var with []int
		for i := range conversations {
			if messages(i) >= k {
				with = append(with, i)
			}
		}
		do(0, len(with), func(t *tx, i int) error {
			m := Message{ids[with[i]], int64(k), fmt.Sprintf("%036d", k), KindCustomer, "c" + ids[with[i]], "", text, fromMs(int64(k)), false}
			_, err := t.exec(insertMessage, m.args(int64(with[i]+1), once(m.SenderKind, m.SenderID, m.ID))...)
			return err
		})
	}
	return ids
}

// BenchmarkLast50 reads the last 50 messages of one of 100,000 conversations. 2,000
// of them have 60 messages, the others 4; each read is of another of the 2,000.
func BenchmarkLast50(b *testing.B) {
	dir := private(b)
	s, stop := run(b, Options{Dir: dir})
	const every = 50
	ids := history(b, s, 100_000, func(i int) int {
		if i%every == 0 {
			return 60
		}
		return 4
	})
	stop() // writes the WAL back
	s, _ = run(b, Options{Dir: dir})
	r := rand.New(rand.NewPCG(1, 1))
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		list, err := s.Messages(context.Background(), ids[r.IntN(len(ids)/every)*every], Range{Before: Newest, Limit: 50})
		took = append(took, time.Since(start))
		if err != nil || len(list) != 50 || list[49].Seq != 60 || list[0].Damaged {
			b.Fatalf("%d messages, %v", len(list), err)
		}
	}
	b.ReportMetric(float64(median(took).Nanoseconds())/1e6, "p50-ms")
	b.ReportMetric(float64(quantile(took, 0.99).Nanoseconds())/1e6, "p99-ms")
}

// BenchmarkOpenMillion opens a store of 1,000,000 messages in 10,000 conversations
// until its first write is acknowledged.
func BenchmarkOpenMillion(b *testing.B) {
	dir := private(b)
	s, stop := run(b, Options{Dir: dir})
	history(b, s, 10_000, func(int) int { return 100 })
	for i := range 400 {
		newConversation(b, s, fmt.Sprint("k", i))
	}
	stop()
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		s, stop := run(b, Options{Dir: dir})
		must(b, func(d func(int64, error)) error { return s.ServerStarted(time.Now(), d) })
		open, err := s.Overviews(context.Background())
		took = append(took, time.Since(start))
		b.StopTimer()
		if err != nil || len(open) != 400 {
			b.Fatalf("%d are open, %v", len(open), err)
		}
		stop()
		b.StartTimer()
	}
	b.ReportMetric(float64(median(took).Nanoseconds())/1e6, "p50-ms")
}
