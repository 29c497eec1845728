package server_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/signaling/server"
	. "github.com/lookalong/lookalong/signaling/servertest"
)

type readiness struct {
	Ready          bool
	Reasons, Notes []struct{ What, Text string }
}

// kinds are those of the reasons or notes.
func kinds(list []struct{ What, Text string }) string {
	var out []string
	for _, r := range list {
		out = append(out, r.What)
	}
	return strings.Join(out, " ")
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func ready(t *testing.T, url string) (int, readiness) {
	t.Helper()
	code, body := get(t, url+"/readyz")
	var out readiness
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return code, out
}

// TestReadyNamesTheDisk: where nothing more can be stored nobody new is sent here; where only no new conversation
// begins the operator is told. The public port tells kinds, the operator's listener sentences.
func TestReadyNamesTheDisk(t *testing.T) {
	for _, c := range []struct {
		flag    string
		code    int
		reasons string
		notes   string
	}{
		{"--log-level=warn", 200, "", ""},
		{"--disk-stop-new=4096TiB", 200, "", "disk"},
		{"--disk-read-only=4096TiB", 503, "disk", ""},
	} {
		t.Run(c.flag, func(t *testing.T) {
			public, private := free(t), free(t)
			out, _ := serve(t, "--listen", public, "--turn-listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"), "--metrics-listen", private, c.flag)
			code, full := ready(t, "http://"+private)
			if code != c.code || kinds(full.Reasons) != c.reasons || kinds(full.Notes) != c.notes {
				t.Errorf("%d %+v, want %d, %q, %q\n%s", code, full, c.code, c.reasons, c.notes, out)
			}
			for _, r := range append(full.Reasons, full.Notes...) {
				if !strings.Contains(r.Text, "MiB") {
					t.Errorf("the operator is told %q", r.Text)
				}
			}
			code, short := ready(t, "http://"+public)
			if code != c.code || kinds(short.Reasons) != c.reasons || len(short.Notes) != 0 {
				t.Errorf("in public %d %+v", code, short)
			}
			for _, r := range short.Reasons {
				if r.Text != "" {
					t.Errorf("in public it says %q", r.Text)
				}
			}
			for _, address := range []string{public, private} {
				if code, body := get(t, "http://"+address+"/healthz"); code != 200 || body != "ok\n" {
					t.Errorf("/healthz: %d %q", code, body)
				}
			}
			if code, _ := get(t, "http://"+public+"/metrics"); code != http.StatusNotFound {
				t.Errorf("/metrics on the public port: %d", code)
			}
		})
	}
}

// TestReadyNamesFullAndProxies: a full server gets nobody new; a proxy without a way for TURN is named.
func TestReadyNamesFullAndProxies(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewWith(t, func(c *server.Config) { c.MaxSockets, c.Metrics, c.TrustedProxies = 1, l, prefixes("10.0.0.1/32") })
	url := "http://" + l.Addr().String()
	if code, r := ready(t, url); code != 200 || kinds(r.Notes) != "relay" || !strings.Contains(r.Notes[0].Text, "--turn-url") {
		t.Errorf("%d %+v", code, r)
	}
	c := s.Customer(NewCustomerKey())
	if code, r := ready(t, url); code != 503 || kinds(r.Reasons) != "full" {
		t.Errorf("%d %+v", code, r)
	}
	c.Close()
}

// TestProfilesAreForThisMachine: not for a page that calls this machine by another name, and never on another address.
func TestProfilesAreForThisMachine(t *testing.T) {
	addr := free(t)
	serve(t, "--listen", "127.0.0.1:0", "--turn-listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"), "--pprof", addr)
	if code, body := get(t, "http://"+addr+"/debug/pprof/goroutine?debug=1"); code != 200 || !strings.Contains(body, "goroutine profile") {
		t.Errorf("%d %.100s", code, body)
	}
	for name, change := range map[string]func(*http.Request){
		"rebound":   func(r *http.Request) { r.Host = "evil.example" },
		"localhost": func(r *http.Request) { r.Host = "localhost:1" },
		"a page":    func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") },
	} {
		r, err := http.NewRequest("GET", "http://"+addr+"/debug/pprof/", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}
