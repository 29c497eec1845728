package firefox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long a step waits for what must come. Reaching it fails the test; it measures nothing.
const Patience = 45 * time.Second

const pollEvery = 40 * time.Millisecond

// Find returns the Firefox that tests use: LOOKALONG_FIREFOX, or one in the PATH.
func Find() (string, error) {
	if path := os.Getenv("LOOKALONG_FIREFOX"); path != "" {
		return path, nil
	}
	for _, name := range []string{"firefox", "firefox-esr"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Firefox found: install Debian's package firefox-esr, or name one in LOOKALONG_FIREFOX")
}

// Options say how a Firefox is started.
type Options struct {
	Display       string         // such as :99; empty: headless
	Width, Height int            // of its window
	Prefs         map[string]any // beside those of every test
}

// Browser is a running Firefox with a profile of its own.
type Browser struct {
	t testing.TB
	c *connection
}

// prefs of every test: no traffic of the browser's own, no first-run pages, no caret that blinks in a shared screen, a
// page that may fill it, and the question for a screen is answered with the first one. What concerns the network is as
// it is for everybody.
var prefs = map[string]any{
	"app.normandy.enabled":                        false,
	"app.update.disabledForTesting":               true,
	"browser.aboutwelcome.enabled":                false,
	"browser.newtabpage.enabled":                  false,
	"browser.safebrowsing.downloads.enabled":      false,
	"browser.safebrowsing.malware.enabled":        false,
	"browser.safebrowsing.phishing.enabled":       false,
	"browser.sessionstore.resume_from_crash":      false,
	"browser.shell.checkDefaultBrowser":           false,
	"browser.startup.homepage_override.mstone":    "ignore",
	"browser.startup.page":                        0,
	"browser.tabs.warnOnClose":                    false,
	"datareporting.policy.dataSubmissionEnabled":  false,
	"extensions.getAddons.cache.enabled":          false,
	"extensions.update.enabled":                   false,
	"full-screen-api.allow-trusted-requests-only": false,
	"full-screen-api.warning.timeout":             0,
	"intl.accept_languages":                       "en-US",
	"media.gmp-manager.updateEnabled":             false,
	"media.navigator.permission.disabled":         true,
	"network.captive-portal-service.enabled":      false,
	"network.connectivity-service.enabled":        false,
	"services.settings.server":                    "data:,",
	"toolkit.telemetry.reportingpolicy.firstRun":  false,
	"toolkit.telemetry.server":                    "data:,",
	"ui.caretBlinkTime":                           -1,
}

// Start starts a Firefox; it ends with the test.
func Start(t testing.TB, o Options) *Browser {
	t.Helper()
	path, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := writeProfile(dir, o.Prefs); err != nil {
		t.Fatal(err)
	}
	args := []string{"--no-remote", "--new-instance", "--profile", dir, "--remote-debugging-port", "0"}
	if o.Display == "" {
		args = append(args, "--headless")
	}
	if o.Width > 0 {
		args = append(args, "--width", strconv.Itoa(o.Width), "--height", strconv.Itoa(o.Height))
	}
	cmd := exec.Command(path, append(args, "about:blank")...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "MOZ_CRASHREPORTER_DISABLE=1", "DISPLAY="+o.Display, "GDK_BACKEND=x11")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	log := &lines{}
	address := make(chan string, 1)
	read := make(chan struct{})
	go log.read(said, address, read)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-read
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("--- Firefox\n%s", log)
		}
	})
	select {
	case at := <-address:
		b := &Browser{t: t}
		if b.c, err = dial(at + "/session"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("--- what Firefox's pages said\n%s", strings.Join(b.c.lines(), "\n"))
			}
			b.c.close()
		})
		b.must("session.new", map[string]any{"capabilities": map[string]any{}}, nil)
		b.must("session.subscribe", map[string]any{"events": []string{"log.entryAdded"}}, nil)
		return b
	case <-read:
		t.Fatalf("%s ended before it could be driven:\n%s", path, log)
	case <-time.After(Patience):
		t.Fatalf("%s can't be driven:\n%s", path, log)
	}
	return nil
}

func writeProfile(dir string, more map[string]any) error {
	var out strings.Builder
	for _, set := range []map[string]any{prefs, more} {
		for name, value := range set {
			data, err := json.Marshal(value)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, "user_pref(%q, %s);\n", name, data)
		}
	}
	return os.WriteFile(filepath.Join(dir, "user.js"), []byte(out.String()), 0o600)
}

// lines is what the process printed.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) read(from io.Reader, address chan<- string, done chan<- struct{}) {
	defer close(done)
	s := bufio.NewScanner(from)
	for s.Scan() {
		line := s.Text()
		l.mu.Lock()
		if len(l.all) < logLines {
			l.all = append(l.all, line)
		}
		l.mu.Unlock()
		if _, at, ok := strings.Cut(line, "WebDriver BiDi listening on "); ok {
			address <- strings.TrimSpace(at)
		}
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

func (b *Browser) must(method string, params map[string]any, out any) {
	b.t.Helper()
	if err := b.c.call(method, params, out); err != nil {
		b.t.Fatal(err)
	}
}
