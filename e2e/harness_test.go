// Package e2e runs the three real programs as processes and a real Chromium as the customer and as the agent's viewer.
// Each test is a journey of a person. Nothing here is a mock, and nothing reaches into a program: what a test knows it
// reads where a person would.
package e2e

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/e2e/port"
)

// programs is the folder of the built programs, chromium the browser that all tests share.
var (
	programs string
	chromium *browser.Browser
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // of those that say so: they wait, most of the time
		panic(err)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lookalong-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	for name, pkg := range map[string]string{"lookalong-signaling": "../signaling", "lookalong": "../agent", "lookalong-customer": "../customer"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", name, err, out)
			return 1
		}
	}
	if chromium, err = browser.Start(browser.Options{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer chromium.Close()
	return m.Run()
}

// output is what a program printed so far; safe for concurrent use.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// program is a running process.
type program struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *output
	err  *output
	done chan struct{}
	code int
}

// start runs a program; env is added to a clean environment. It is killed at the test's end.
func start(t testing.TB, env []string, name string, args ...string) *program {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, name), args...)
	return startCommand(t, env, name+" "+strings.Join(args, " "), cmd)
}

// startCommand is start for any command; it gets a process group of its own, so that kill reaches its children too.
func startCommand(t testing.TB, env []string, name string, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, name: name, cmd: cmd, out: &output{}, err: &output{}, done: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TERM=xterm"}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in = in
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the code says it
		p.code = p.cmd.ProcessState.ExitCode()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("--- %s\n%s%s", p.name, p.out, p.err)
		}
	})
	return p
}

// say writes a line to the program's input.
func (p *program) say(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// wants waits until the program's output or errors contain text.
func (p *program) wants(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%q", text), func() bool { return strings.Contains(p.out.String()+p.err.String(), text) })
}

func (p *program) until(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(browser.Patience)
	for !ok() {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: waited for %s; it printed:\n%s%s", p.name, what, p.out, p.err)
		}
		select {
		case <-p.done:
			if !ok() {
				p.t.Fatalf("%s: ended with %d before %s; it printed:\n%s%s", p.name, p.code, what, p.out, p.err)
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// wait waits for the program's end and returns its exit code.
func (p *program) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(browser.Patience):
		p.t.Fatalf("%s: did not end; it printed:\n%s%s", p.name, p.out, p.err)
	}
	return p.code
}

// kill is kill -9.
func (p *program) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	<-p.done
}

// stop asks it to end, as Ctrl-C does.
func (p *program) stop() int {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGINT) // it may have ended
	return p.wait()
}

// site is a running server with its data folder.
type site struct {
	*program
	t    testing.TB
	dir  string
	addr string
	args []string
	b    *browser.Browser // the customers'
}

// newSite starts a server on free ports with an empty data folder. ADDR in a flag stands for its address, PORT for its port.
func newSite(t testing.TB, flags ...string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), addr: port.Free(t), b: chromium}
	_, number, _ := net.SplitHostPort(s.addr)
	for i, f := range flags {
		flags[i] = strings.NewReplacer("ADDR", s.addr, "PORT", number).Replace(f)
	}
	s.args = append([]string{"serve", "--listen", s.addr, "--turn-listen", port.Free(t), "--data", s.dir + "/data", "--log-level", "info"}, flags...)
	s.up()
	return s
}

// up starts the server (again) and waits until it answers.
func (s *site) up() {
	s.t.Helper()
	s.program = start(s.t, nil, "lookalong-signaling", s.args...)
	s.until("an answer to /healthz", func() bool {
		resp, err := http.Get(s.url() + "/healthz") // answers under any name
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
}

func (s *site) url() string { return "http://" + s.addr }

// agent is an agent's machine: a home folder that is logged in.
type agent struct {
	t    testing.TB
	s    *site
	home string
}

// invite makes an invite.
func (s *site) invite(name string) string {
	s.t.Helper()
	inv := start(s.t, nil, "lookalong-signaling", "invite", "--name", name, "--data", s.dir+"/data")
	if code := inv.wait(); code != 0 {
		s.t.Fatalf("invite: %d %s", code, inv.err)
	}
	return strings.TrimSpace(inv.out.String())
}

// newAgent invites and logs in an agent.
func (s *site) newAgent(name string) *agent {
	s.t.Helper()
	invite := s.invite(name)
	a := &agent{t: s.t, s: s, home: s.t.TempDir() + "/lookalong"}
	login := a.start("login", s.url())
	login.say(invite)
	login.in.Close()
	if code := login.wait(); code != 0 {
		s.t.Fatalf("login: %d %s%s", code, login.out, login.err)
	}
	return a
}

// start runs the agent's CLI.
func (a *agent) start(args ...string) *program {
	a.t.Helper()
	return start(a.t, []string{"LOOKALONG_HOME=" + a.home}, "lookalong", args...)
}

// run runs a command to its end and returns what it printed; it must succeed.
func (a *agent) run(args ...string) string {
	a.t.Helper()
	p := a.start(args...)
	p.in.Close()
	if code := p.wait(); code != 0 {
		a.t.Fatalf("%s: exit code %d\n%s%s", p.name, code, p.out, p.err)
	}
	return p.out.String()
}

var viewerAddress = regexp.MustCompile(`http://127\.0\.0\.1:\d+/#\S+`)

// viewerURL is the address of the viewer that the agent's program printed last.
func (p *program) viewerURL() string {
	p.t.Helper()
	p.until("the viewer's address", func() bool { return viewerAddress.MatchString(p.out.String() + p.err.String()) })
	found := viewerAddress.FindAllString(p.out.String()+p.err.String(), -1)
	return found[len(found)-1]
}

// viewer opens that address in a browser of the agent's own.
func (p *program) viewer() *browser.Page {
	p.t.Helper()
	page := chromium.Profile(p.t).Open(p.t, "viewer", p.viewerURL())
	page.Show(browser.Look{Width: 1400, Height: 900})
	return page
}

// customer opens the customer's page in a browser of their own.
func (s *site) customer() (*browser.Profile, *browser.Page) {
	s.t.Helper()
	profile := s.b.Profile(s.t)
	page := profile.Open(s.t, "customer", s.url())
	page.Show(browser.Look{Width: 1100, Height: 760})
	page.Wait("textbox", "Message")
	return profile, page
}

// write sends a chat message as a customer does.
func write(p *browser.Page, text string) {
	p.Type("textbox", "Message", text)
	p.Press("Enter")
	p.WaitText("log", "Conversation", text)
}

// holds counts how often text stands in any file of the folder.
func holds(t testing.TB, dir, text string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // the database's own files come and go
		}
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		n += bytes.Count(data, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
