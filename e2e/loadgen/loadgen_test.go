package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// TestEveryLoad plays each load in small against the server and the reference: all that was sent came once and in order.
func TestEveryLoad(t *testing.T) {
	const rated = 103 // messages in the first 200 ms of the process that the load generator always plays
	people := []string{"-customers", "20"}
	chatData, stormData, idleData := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "data")
	seed(t, chatData, "-customers", "20", "-agents", "20")
	seed(t, stormData, "-customers", "20", "-messages", "15", "-keys", "p256")
	seed(t, idleData, "-customers", "20", "-bare")
	relays := []*side{
		{name: "bare", relay: true},
		{name: "json", relay: true, args: []string{"-decode"}},
		{name: "log", relay: true, args: []string{"-log", "FOLDER/log", "-sync-delay", "1ms"}},
	}
	for name, c := range map[string]struct {
		args  []string
		sides []*side
		ok    func(report) bool
	}{
		"chat": {
			args:  []string{"chat", "-warm", "0s", "-for", "200ms"},
			sides: append([]*side{{name: "server", data: chatData}, {name: "slow", data: chatData, args: []string{"-sync-delay", "2ms"}}}, relays...),
			ok:    func(r report) bool { return r.Sent >= 20 && len(r.AckMs) == 3 && len(r.DeliverMs) == 3 },
		},
		"chat at a rate": {
			args:  []string{"chat", "-rate", "500", "-warm", "0s", "-for", "200ms"},
			sides: append([]*side{{name: "server", data: chatData}}, relays...),
			ok:    func(r report) bool { return r.Sent == rated && len(r.AckMs) == 3 && len(r.DeliverMs) == 3 },
		},
		"storm": {
			args:  []string{"storm", "-settle", "0s", "-keys", "p256"},
			sides: []*side{{name: "server", data: stormData}, relays[0]},
			ok:    func(r report) bool { return r.Seconds > 0 && len(r.CatchUpMs) == 3 },
		},
		"idle": {
			args:  []string{"idle", "-for", "0s"},
			sides: []*side{{name: "server", data: idleData}, relays[0]},
			ok:    func(r report) bool { return r.RSS > 0 },
		},
	} {
		for _, s := range c.sides {
			t.Run(name+" "+s.name, func(t *testing.T) {
				if r := s.once(t, c.args[0], append(c.args[1:], people...)...); !c.ok(r) {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

// bad is a relay that does one thing wrong at the fifth message of a conversation.
func bad(t *testing.T, wrong string) string {
	var mu sync.Mutex
	rooms := map[string][]*websocket.Conn{}
	count := map[string]int{}
	held := map[string][]byte{}
	up := websocket.Upgrader{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		room := r.URL.Path
		mu.Lock()
		rooms[room] = append(rooms[room], ws)
		mu.Unlock()
		for {
			_, b, err := ws.ReadMessage()
			if err != nil {
				return
			}
			_, id, _ := bytes.Cut(b, []byte(`"id":"`))
			id, _, _ = bytes.Cut(id, []byte{'"'})
			answer := fmt.Appendf(nil, `{"type":"ack","id":"%s","seq":1}`, id)
			mu.Lock()
			count[room]++
			give, acks := [][]byte{b}, [][]byte{answer}
			if count[room] == 5 {
				switch wrong {
				case "lost":
					give = nil
				case "twice":
					give = [][]byte{b, b}
				case "late":
					held[room], give = b, nil
				case "acked twice":
					acks = [][]byte{answer, answer}
				case "not acked":
					acks = nil
				case "refused":
					acks = [][]byte{[]byte(`{"type":"error","id":"x","code":"E_RATE","text":"no"}`)}
				case "cut":
					ws.Close()
				}
			}
			if count[room] == 6 && held[room] != nil {
				give = append(give, held[room])
			}
			for _, o := range rooms[room] {
				for _, m := range give {
					if o != ws {
						_ = o.WriteMessage(websocket.TextMessage, m) // it may be gone
					}
				}
			}
			for _, a := range acks {
				_ = ws.WriteMessage(websocket.TextMessage, a) // as above
			}
			mu.Unlock()
		}
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// TestFaultsAreSeen: the count finds whatever a server may do wrong with one message.
func TestFaultsAreSeen(t *testing.T) {
	for wrong, want := range map[string]string{
		"":            "",
		"lost":        "agent of",
		"twice":       "agent of",
		"late":        "agent of",
		"acked twice": "customer",
		"not acked":   "missing",
		"refused":     "E_RATE",
		"cut":         "was cut",
	} {
		t.Run("message "+wrong, func(t *testing.T) {
			r, err := chat([]string{"-addr", bad(t, wrong), "-relay", "-customers", "4", "-warm", "0s", "-for", "150ms", "-drain", "300ms"})
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(r.Faults, "\n")
			if (want == "") != (got == "") || !strings.Contains(got, want) {
				t.Errorf("faults: %q, want %q in them", got, want)
			}
		})
	}
}

// TestQuantiles: the places are those of the sorted values.
func TestQuantiles(t *testing.T) {
	var ns []int64
	for i := range int64(1000) {
		ns = append(ns, (999-i)*1e6)
	}
	if got := quantiles(ns); fmt.Sprint(got) != "[500 990 999]" {
		t.Error(got)
	}
	if quantiles(nil) != nil {
		t.Error("no values have no quantiles")
	}
}
