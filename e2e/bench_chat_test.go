package e2e

import (
	"crypto/rand"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

const (
	conversations = 100
	perSecond     = 2.0 // messages a second of each customer
	chatFor       = 10 * time.Second
	idleSockets   = 2000
)

// percentile of sorted or unsorted durations, in milliseconds.
func percentile(d []time.Duration, p float64) float64 {
	if len(d) == 0 {
		return math.NaN()
	}
	slices.Sort(d)
	return float64(d[min(len(d)-1, int(p*float64(len(d))))].Microseconds()) / 1000
}

// latencies of one run.
type latencies struct {
	mu             sync.Mutex
	ack, delivered []time.Duration
}

func (l *latencies) add(to *[]time.Duration, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*to = append(*to, d)
}

// dialFrom opens a WebSocket from one of many loopback addresses, so that limits per address stay on.
func dialFrom(i int, url string, header http.Header) (*websocket.Conn, error) {
	d := websocket.Dialer{
		Subprotocols: []string{protocol.Subprotocol}, HandshakeTimeout: 20 * time.Second,
		NetDial: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/150), byte(1+i%150))}}).Dial,
	}
	ws, _, err := d.Dial(url, header)
	return ws, err
}

// hello opens a socket and proves its key; an invite is for an agent's first time.
func hello(b *testing.B, i int, addr, role string, key servertest.Key, invite ...string) *websocket.Conn {
	header := http.Header{}
	if role == "customer" {
		header.Set("Origin", "http://"+addr)
	}
	ws, err := dialFrom(i, "ws://"+addr+"/ws/"+role, header)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ws.Close() })
	challenge := next[protocol.HelloChallenge](b, ws)
	proof := key.Proof(role, addr, challenge.Nonce)
	proof.Invite = strings.Join(invite, "")
	send(b, ws, proof)
	next[protocol.HelloWelcome](b, ws)
	return ws
}

func send(b *testing.B, ws *websocket.Conn, msg any) {
	if err := ws.WriteMessage(websocket.TextMessage, protocol.Encode(msg)); err != nil {
		b.Fatal(err)
	}
}

func next[T any](b *testing.B, ws *websocket.Conn) T {
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			b.Fatal(err)
		}
		msg, err := protocol.Decode(data, protocol.Server)
		if err != nil {
			b.Fatal(err)
		}
		if m, ok := msg.(T); ok {
			return m
		}
	}
}

// chatOnServer lets 100 customers write to 10 agents at a steady rate, every message durable before its ack.
func chatOnServer(b *testing.B) *latencies {
	s := newSite(b, "--log-level", "warn")
	l := &latencies{}
	var sent sync.Map // message id -> time
	text := strings.Repeat("x", 200)
	agents := make([]*websocket.Conn, 10)
	for i := range agents {
		agents[i] = hello(b, 5000+i, s.addr, "agent", servertest.NewAgentKey(), s.invite(fmt.Sprintf("Agent %d", i)))
	}
	var readers, writers sync.WaitGroup
	stop := make(chan struct{})
	customers := make([]*websocket.Conn, conversations)
	convs := make([]protocol.ConversationID, conversations)
	for i := range customers {
		customers[i] = hello(b, i, s.addr, "customer", servertest.NewCustomerKey())
		send(b, customers[i], protocol.ConversationOpen{ID: "o"})
		convs[i] = next[protocol.ConversationState](b, customers[i]).Conversation
		a := agents[i%len(agents)]
		send(b, a, protocol.QueueClaim{ID: "c", Conversation: convs[i], Hold: true})
		for next[protocol.ConversationState](b, a).ID != "c" {
		}
	}
	read := func(ws *websocket.Conn, ack bool) {
		for {
			_, data, err := ws.ReadMessage()
			if err != nil {
				return
			}
			msg, _ := protocol.Decode(data, protocol.Server)
			switch m := msg.(type) {
			case protocol.Ack:
				if at, ok := sent.Load(m.ID); ok && ack {
					l.add(&l.ack, time.Since(at.(time.Time)))
				}
			case protocol.ChatMessage:
				if at, ok := sent.Load(m.MessageID); ok {
					l.add(&l.delivered, time.Since(at.(time.Time)))
				}
			}
		}
	}
	for _, ws := range slices.Concat(customers, agents) {
		readers.Go(func() { read(ws, true) })
	}
	for i, ws := range customers {
		writers.Go(func() {
			steady(stop, func() bool {
				id := protocol.RequestID(rand.Text())
				msg := protocol.Encode(protocol.ChatSend{ID: id, Conversation: convs[i], Text: text})
				sent.Store(id, time.Now())
				return ws.WriteMessage(websocket.TextMessage, msg) == nil
			})
		})
	}
	time.Sleep(chatFor)
	close(stop)
	writers.Wait()
	time.Sleep(time.Second) // the last ones arrive
	for _, ws := range slices.Concat(customers, agents) {
		ws.Close()
	}
	readers.Wait()
	s.stop()
	return l
}

// steady calls f at random moments, perSecond on average.
func steady(stop chan struct{}, f func() bool) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(mathrand.ExpFloat64() / perSecond * float64(time.Second))):
			if !f() {
				return
			}
		}
	}
}

// startReference builds and runs the bare relay.
func startReference(b *testing.B) (*program, string) {
	path := filepath.Join(programs, "relayref")
	if out, err := exec.Command("go", "build", "-o", path, "./relayref").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	p := start(b, nil, "relayref")
	p.until("its address", func() bool { return strings.HasSuffix(p.out.String(), "\n") })
	return p, strings.TrimSpace(p.out.String())
}

func chatOnReference(b *testing.B) *latencies {
	p, addr := startReference(b)
	defer p.kill()
	l := &latencies{}
	var sent sync.Map
	var readers, writers sync.WaitGroup
	stop := make(chan struct{})
	var all []*websocket.Conn
	for i := range conversations {
		for side := range 2 {
			ws, err := dialFrom(i, fmt.Sprintf("ws://%s/%d", addr, i), nil)
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, ws)
			readers.Go(func() {
				for {
					_, data, err := ws.ReadMessage()
					if err != nil {
						return
					}
					if id, ok := strings.CutPrefix(string(data), "ack"); ok {
						if at, ok := sent.Load(strings.TrimSpace(id)); ok {
							l.add(&l.ack, time.Since(at.(time.Time)))
						}
					} else if at, ok := sent.Load(strings.TrimSpace(string(data[:36]))); ok {
						l.add(&l.delivered, time.Since(at.(time.Time)))
					}
				}
			})
			if side == 0 {
				writers.Go(func() {
					steady(stop, func() bool {
						id := rand.Text()
						msg := fmt.Sprintf("%-36s%s", id, strings.Repeat("x", 300))
						sent.Store(id, time.Now())
						return ws.WriteMessage(websocket.TextMessage, []byte(msg)) == nil
					})
				})
			}
		}
	}
	time.Sleep(chatFor)
	close(stop)
	writers.Wait()
	time.Sleep(time.Second)
	for _, ws := range all {
		ws.Close()
	}
	readers.Wait()
	return l
}

// BenchmarkChat: send to ack (on disk) and send to delivery with 100 conversations, beside a relay that keeps nothing.
func BenchmarkChat(b *testing.B) {
	for range b.N {
		ours, bare := chatOnServer(b), chatOnReference(b)
		if len(ours.ack) == 0 || len(bare.ack) == 0 {
			b.Fatal("nothing was measured")
		}
		b.ReportMetric(0, "ns/op")
		for _, m := range []struct {
			name string
			a, r []time.Duration
		}{{"ack", ours.ack, bare.ack}, {"delivery", ours.delivered, bare.delivered}} {
			b.ReportMetric(percentile(m.a, .5), m.name+"-p50-ms")
			b.ReportMetric(percentile(m.a, .99), m.name+"-p99-ms")
			b.ReportMetric(percentile(m.a, .5)/percentile(m.r, .5), m.name+"-p50/bare-relay")
			b.ReportMetric(percentile(m.a, .99)/percentile(m.r, .99), m.name+"-p99/bare-relay")
		}
		b.ReportMetric(float64(len(ours.ack))/chatFor.Seconds(), "acks/s")
	}
}

// rss is the resident memory of a process in KiB.
func rss(b *testing.B, pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip("memory is read from /proc, which this system does not have")
	}
	for line := range strings.Lines(string(data)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			return kib
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

// BenchmarkIdle: memory of an idle customer's connection, beside a bare gorilla socket.
func BenchmarkIdle(b *testing.B) {
	for range b.N {
		s := newSite(b, "--log-level", "warn")
		before := rss(b, s.cmd.Process.Pid)
		for i := range idleSockets {
			hello(b, i, s.addr, "customer", servertest.NewCustomerKey())
		}
		ours := (rss(b, s.cmd.Process.Pid) - before) / idleSockets
		p, addr := startReference(b)
		before = rss(b, p.cmd.Process.Pid)
		for i := range idleSockets {
			ws, err := dialFrom(i, fmt.Sprintf("ws://%s/%d", addr, i), nil)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { ws.Close() })
		}
		bare := (rss(b, p.cmd.Process.Pid) - before) / idleSockets
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(ours, "KiB/connection")
		b.ReportMetric(ours/bare, "KiB/bare-socket")
	}
}
