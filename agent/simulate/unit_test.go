package simulate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

// Every way in which a log can be wrong is seen.
func TestAudit(t *testing.T) {
	written := []own{{"a", 1, 3}, {"b", 2, 4}, {"c", 3, 6}, {"d", 4, 0}} // d was never acknowledged
	good := []entry{{3, "a", 1}, {4, "b", 2}, {5, "x", 9}, {6, "c", 3}}
	for _, c := range []struct {
		name   string
		stored []entry
		want   faults
	}{
		{"all there", good, faults{}},
		{"stored without an acknowledgement", append(slices.Clone(good), entry{7, "d", 4}), faults{}},
		{"the last is gone", good[:3], faults{lost: 1}},
		{"one is gone, and leaves a gap", slices.Delete(slices.Clone(good), 1, 2), faults{lost: 2}},
		{"another text", []entry{{3, "a", 1}, {4, "b", 7}, {5, "x", 9}, {6, "c", 3}}, faults{lost: 1}},
		{"another number", []entry{{3, "a", 1}, {4, "x", 9}, {5, "b", 2}, {6, "c", 3}}, faults{lost: 1}},
		{"twice", append(slices.Clone(good), entry{7, "a", 1}), faults{doubled: 1}},
		{"overtaken", []entry{{3, "a", 1}, {4, "b", 2}, {5, "d", 4}, {6, "c", 3}}, faults{outOfOrder: 1}},
		{"numbers go back", []entry{{3, "a", 1}, {4, "b", 2}, {6, "c", 3}, {5, "x", 9}}, faults{lost: 1, outOfOrder: 1}},
		{"nothing", nil, faults{lost: 3}},
	} {
		f := auditLog(c.stored, 2)
		f.add(auditOwn(written, c.stored))
		if f != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, f, c.want)
		}
	}
}

func TestReader(t *testing.T) {
	r := newReader(2)
	var got []int64
	add := func(list []protocol.ChatMessage) {
		for _, m := range list {
			got = append(got, m.Seq)
		}
	}
	msg := func(seq int64, id protocol.RequestID) protocol.ChatMessage {
		return protocol.ChatMessage{Seq: seq, MessageID: id}
	}
	add(r.push(msg(3, "c")))
	add(r.push(msg(6, "f")))
	if !r.gap() {
		t.Error("a gap was not seen")
	}
	add(r.take(msg(5, "e"))) // a page of the history, in any order
	add(r.take(msg(4, "d")))
	r.online()
	add(r.push(msg(6, "f"))) // over a new connection: known, no fault
	if !slices.Equal(got, []int64{3, 4, 5, 6}) || r.gap() || r.faults != (faults{}) {
		t.Errorf("%v, %+v", got, r.faults)
	}
	r.push(msg(6, "f"))
	if r.faults != (faults{doubled: 1}) {
		t.Errorf("pushed twice over one connection: %+v", r.faults)
	}
	r.push(msg(5, "e"))
	if r.faults != (faults{doubled: 1, outOfOrder: 1}) {
		t.Errorf("pushed out of order: %+v", r.faults)
	}
	r.push(msg(7, "c"))
	if r.faults != (faults{doubled: 2, outOfOrder: 1}) {
		t.Errorf("one id under two numbers: %+v", r.faults)
	}
	for n := int64(8); n < 3000; n++ {
		r.push(msg(n, protocol.RequestID(time.Duration(n).String())))
	}
	if len(r.ids) != recentIDs || len(r.order) != recentIDs {
		t.Errorf("%d ids are remembered", len(r.ids))
	}
}

func TestNumbering(t *testing.T) {
	var l numbering
	for _, c := range []struct {
		frame  uint32
		number uint16
		ok     bool
	}{
		{0, 0, true}, {1, 1, true}, {4, 4, true}, {5, 4, false}, {6, 5, true}, {6, 5, false}, {7, 0, true}, {8, 1, true}, {7, 0, false}, {8, 3, false},
	} {
		if got := l.follows(c.frame, c.number); got != c.ok {
			t.Errorf("frame %d number %d: %v", c.frame, c.number, got)
		}
	}
	l = numbering{true, 10, 65535}
	if !l.follows(11, 0) || !l.follows(12, 1) {
		t.Error("the numbers begin anew after 65535")
	}
}

func TestPercentiles(t *testing.T) {
	s := series{limit: 100}
	if p := s.percentiles(); p != (Percentiles{}) {
		t.Errorf("of nothing: %+v", p)
	}
	for i := 100; i >= 1; i-- {
		s.add(time.Duration(i) * time.Millisecond)
	}
	if p, want := s.percentiles(), (Percentiles{Count: 100, P50: 50, P90: 90, P99: 99, Max: 100}); p != want {
		t.Errorf("%+v, want %+v", p, want)
	}
	for range 10_000 { // beyond the limit a choice is kept, and the largest is never forgotten
		s.add(time.Millisecond)
	}
	if p := s.percentiles(); len(s.kept) != 100 || p.Count != 10_100 || p.Max != 100 || p.P50 != 1 {
		t.Errorf("%+v of %d kept", p, len(s.kept))
	}
	one := series{limit: 1}
	one.add(1500 * time.Microsecond)
	if p, want := one.percentiles(), (Percentiles{1, 1.5, 1.5, 1.5, 1.5}); p != want {
		t.Errorf("%+v, want %+v", p, want)
	}
}

// Each bound at its value, one above and ten times above.
func TestBounds(t *testing.T) {
	good := Options{Server: "http://127.0.0.1:8080", Customers: 1}
	for _, c := range []struct {
		name   string
		change func(*Options, int)
		max    int
		far    bool // for a server elsewhere
	}{
		{"customers", func(o *Options, n int) { o.Customers = n }, MaxCustomers, false},
		{"customers elsewhere", func(o *Options, n int) { o.Customers = n }, MaxPerAddress, true},
		{"sharing customers", func(o *Options, n int) { o.Customers, o.Share = n, true }, MaxSessions, false},
		{"direct customers", func(o *Options, n int) { o.Customers, o.Direct = n, true }, MaxSessions, false},
		{"rate", func(o *Options, n int) { o.Rate = float64(n) }, MaxRate, false},
		{"hours", func(o *Options, n int) { o.Duration = time.Duration(n) * time.Hour }, 24, false},
		{"fps", func(o *Options, n int) { o.FPS = n }, 60, false},
		{"pace", func(o *Options, n int) { o.Pace = float64(n) }, MaxPace, false},
		{"width", func(o *Options, n int) { o.Width = n }, 4096, false},
		{"seconds of 5000 customers", func(o *Options, n int) {
			o.Customers, o.Rate, o.Duration = MaxCustomers, 1, time.Duration(n)*time.Second
		}, MaxMessages / MaxCustomers, false},
	} {
		for _, n := range []int{c.max, c.max + 1, 10 * c.max} {
			o := good
			if c.far {
				o.Server = "https://help.example.com"
			}
			c.change(&o, n)
			if err := o.Check(); (err == nil) != (n == c.max) {
				t.Errorf("%s of %d: %v", c.name, n, err)
			}
		}
	}
	for name, change := range map[string]func(*Options){
		"no customers":      func(o *Options) { o.Customers = 0 },
		"negative rate":     func(o *Options) { o.Rate = -1 },
		"negative duration": func(o *Options) { o.Duration = -1 },
		"quick reconnects":  func(o *Options) { o.ReconnectEvery = MinReconnect - 1 },
		"slow pace":         func(o *Options) { o.Pace = 0.09 },
		"image":             func(o *Options) { o.Image = "gif" },
		"language":          func(o *Options) { o.Language = "de" },
		"server":            func(o *Options) { o.Server = "127.0.0.1" },
		"IPv6 crowd":        func(o *Options) { o.Server, o.Customers = "http://[::1]:1", MaxPerAddress+1 },
	} {
		o := good
		change(&o)
		if err := o.Check(); err == nil {
			t.Errorf("%s: %+v was accepted", name, o)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for server, want := range map[string]bool{
		"http://localhost:8080": true, "http://127.0.0.1:1": true, "http://127.9.9.9": true, "http://[::1]:8080": true, "http://LOCALHOST": true,
		"https://help.example.com": false, "http://10.0.0.1:8080": false, "http://localhost.example.com": false, "http://0.0.0.0:1": false, "": false,
	} {
		if IsLoopback(server) != want {
			t.Errorf("%s: %v", server, !want)
		}
	}
}

// However often they come back, the customers of one address stay below what a server takes from it.
func TestCrowd(t *testing.T) {
	if !manyLoopbacks {
		return // nothing is spread here
	}
	for every, want := range map[time.Duration]int{0: perAddress, time.Minute: perAddress, 20 * time.Second: perAddress, 10 * time.Second: perAddress, 2 * time.Second: 15, time.Second: 7} {
		o := Options{Server: "http://localhost:1", Customers: 1, ReconnectEvery: every}
		if got := o.crowd(); got != want {
			t.Errorf("every %s: %d, want %d", every, got, want)
		}
	}
}

// All addresses are loopback ones, and differ, wherever a run begins.
func TestAddresses(t *testing.T) {
	for _, first := range []uint32{0, 12345, places - 1} {
		s := &sources{first: first}
		seen := map[string]bool{}
		for place := range MaxCustomers {
			ip := s.address(place)
			if seen[ip.String()] || !ip.IsLoopback() || ip[13] < 1 || ip[13] > 254 {
				t.Fatalf("place %d from %d on: %s", place, first, ip)
			}
			seen[ip.String()] = true
		}
	}
}

// The stories are whole in both languages, and say nothing that a server refuses.
func TestStories(t *testing.T) {
	for _, language := range []string{"en", "zh"} {
		if len(storiesIn(language)) < 3 {
			t.Errorf("only %d stories in %s", len(storiesIn(language)), language)
		}
	}
	for _, s := range stories {
		if len(s.opening) < 2 || len(s.replies) < 3 || !strings.HasPrefix(s.path, "/") {
			t.Errorf("%s is not whole", s.title)
		}
		for _, line := range append(s.lines(), s.waiting, s.show, s.direct, s.title) {
			if err := protocol.CheckText(line); err != nil {
				t.Errorf("%s: %q: %v", s.title, line, err)
			}
		}
	}
}
