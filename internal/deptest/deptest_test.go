// Package deptest holds the rules of the house as tests: which package may import what, directly or not, and how
// long a file may be. A rule says why, so that whoever breaks it can decide whether the rule or the change is wrong.
package deptest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/lookalong/lookalong"

// rule forbids packages under one path to reach others, even indirectly.
type rule struct {
	pkg    string // path below the module; "/..." for all below
	never  []string
	only   []string // if set: the direct imports outside the standard library
	reason string
}

var rules = []rule{
	{pkg: "protocol", only: []string{}, reason: "the contract must be readable and usable by everybody: standard library only"},
	{pkg: "web", only: []string{}, reason: "only embeds files"},
	{pkg: "internal/sdppolicy", only: []string{"github.com/pion/sdp/v3"}, reason: "the server uses it and must not carry a WebRTC stack"},
	{pkg: "internal/pattern", only: []string{}, reason: "draws a picture; the customer's program and the agent's simulation both show it"},
	{pkg: "internal/consent", only: []string{}, reason: "a pure function: what decides over a picture can do nothing else"},
	{pkg: "internal/follow", only: []string{module + "/protocol"}, reason: "every program that reads a conversation may use it"},
	{pkg: "peer", never: []string{"github.com/gorilla/websocket", "github.com/nats-io/", module + "/signaling"}, reason: "a peer speaks through its Signaler, whatever carries it"},
	{pkg: "signaling", never: []string{module + "/peer", module + "/agent", module + "/customer", "github.com/pion/webrtc/"}, reason: "the server never sees a screen: it has no code that could"},
	{pkg: "signaling/server", never: []string{module + "/peer", module + "/agent", module + "/customer", "github.com/pion/webrtc/"}, reason: "the server never sees a screen: it has no code that could"},
	{pkg: "signaling/store", never: []string{"github.com/gorilla/websocket", "github.com/nats-io/", "github.com/pion/"}, reason: "the store knows rows, not sockets"},
	{pkg: "signaling/relay", never: []string{"github.com/gorilla/websocket", "github.com/pion/webrtc/", module + "/signaling/store"}, reason: "the relay asks one function who may relay"},
	{pkg: "signaling/client", never: []string{module + "/signaling/server", module + "/signaling/store", "modernc.org/sqlite", "github.com/nats-io/"}, reason: "a client carries no server"},
	{pkg: "agent/...", never: []string{module + "/customer", module + "/signaling/server", module + "/signaling/store", "modernc.org/sqlite", "github.com/nats-io/"}, reason: "a program that can grab a screen must not sit on an agent's laptop, nor a broker in a client"},
	{pkg: "customer/...", never: []string{module + "/agent", module + "/signaling/server", module + "/signaling/store", module + "/web", "modernc.org/sqlite", "github.com/nats-io/"}, reason: "the customer's program carries no agent and no server"},
}

// nobodyImports are packages for tests alone.
var nobodyImports = []string{module + "/signaling/servertest", module + "/peer/peertest", module + "/internal/fault", module + "/e2e"}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T, goos string, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list on %s: %v\n%s", goos, err, errs.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func under(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

func TestImportRules(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		pkgs := list(t, goos, "./...")
		for _, r := range rules {
			path, below := strings.CutSuffix(module+"/"+r.pkg, "/...")
			found := false
			for _, p := range pkgs {
				if p.ImportPath != path && !(below && under(p.ImportPath, path)) {
					continue
				}
				found = true
				for _, dep := range p.Deps {
					for _, never := range r.never {
						if under(dep, never) {
							t.Errorf("%s: %s reaches %s: %s", goos, p.ImportPath, dep, r.reason)
						}
					}
				}
				for _, imp := range p.Imports {
					if first, _, _ := strings.Cut(imp, "/"); r.only != nil && strings.Contains(first, ".") && !slices.Contains(r.only, imp) {
						t.Errorf("%s: %s imports %s: %s", goos, p.ImportPath, imp, r.reason)
					}
				}
			}
			if !found {
				t.Errorf("%s: the rule for %s names a package that is gone", goos, r.pkg)
			}
		}
		for _, p := range pkgs {
			for _, dep := range p.Deps {
				for _, testOnly := range nobodyImports {
					if under(dep, testOnly) && !slices.ContainsFunc(nobodyImports, func(n string) bool { return under(p.ImportPath, n) }) {
						t.Errorf("%s: %s reaches %s, which is for tests", goos, p.ImportPath, dep)
					}
				}
			}
		}
	}
}

// TestFilesAreShort watches the maximum: a hand-written file over 400 lines is listed with its reason, or split.
func TestFilesAreShort(t *testing.T) {
	listed := map[string]bool{}
	f, err := os.Open("long_files.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, reason, _ := strings.Cut(lines.Text(), " "); name != "" && !strings.HasPrefix(name, "#") {
			if strings.TrimSpace(reason) == "" {
				t.Errorf("long_files.txt: %s has no reason", name)
			}
			listed[name] = true
		}
	}
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel("../..", path)
		if d.IsDir() {
			if slices.Contains([]string{"node_modules", "dist", ".git", "testdata", "bin", ".cache", "out"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		ext := filepath.Ext(path)
		if !slices.Contains([]string{".go", ".ts", ".tsx"}, ext) || strings.HasSuffix(path, "_test.go") || strings.Contains(path, ".test.") || strings.Contains(path, ".gen.") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if n := bytes.Count(data, []byte("\n")); (n > 400) != listed[rel] {
			if n > 400 {
				t.Errorf("%s has %d lines: split it by what changes together, or write its reason into long_files.txt", rel, n)
			} else {
				t.Errorf("%s is in long_files.txt and has only %d lines: take it out", rel, n)
			}
		}
		delete(listed, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range listed {
		t.Errorf("long_files.txt names %s, which is gone", name)
	}
}

// TestBannedCalls greps for what security.md bans outright.
func TestBannedCalls(t *testing.T) {
	banned := []struct{ ext, text, reason string }{
		{".ts", "innerHTML", "text only: security T30"},
		{".tsx", "innerHTML", "text only: security T30"},
		{".tsx", "dangerouslySet", "text only: security T30"},
		{".ts", "eval(", "no code from text: security T30"},
		{".go", "InsecureSkip" + "Verify", "certificates are checked"},
		{".go", "DisableCertificate" + "FingerprintVerification", "the DTLS fingerprint is the only proof of the peer"},
		{".go", "EnableCompression" + ": true", "compression bombs: security T08"},
	}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{"node_modules", "dist", ".git", "bin", ".cache", "out"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, "_test.go") || strings.Contains(path, ".test.") {
			return nil
		}
		for _, b := range banned {
			if filepath.Ext(path) != b.ext {
				continue
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if bytes.Contains(data, []byte(b.text)) {
				t.Errorf("%s contains %q: %s", path, b.text, b.reason)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
