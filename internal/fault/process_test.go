//go:build linux

package fault

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

func shell(t *testing.T, script string, ready func(p *Process) bool) *Process {
	t.Helper()
	p := &Process{Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}}
	p.Ready = func(context.Context) error {
		if ready(p) {
			return nil
		}
		return errors.New("not yet")
	}
	t.Cleanup(func() {
		if p.Running() {
			_ = p.Kill()
		}
	})
	return p
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestProcess(t *testing.T) {
	p := shell(t, `trap 'echo bye; exit 3' TERM; echo up; while :; do read -t 1 x; done`, func(p *Process) bool {
		return strings.Count(p.Output(), "up") == p.Starts()
	})
	if p.Kill() == nil || p.Stop() == nil || p.Term(within(t)) == nil {
		t.Error("a process that was never started can be hurt")
	}
	script, err := Parse("at 0s kill; at 1ms restart; at 2ms stop; at 3ms cont; at 4ms term; at 5ms restart; at 6ms restart")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	s := Scene{Server: p, Log: func(format string, args ...any) { said = append(said, format) }}
	if err := p.Start(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(within(t), script); err != nil {
		t.Fatal(err)
	}
	if p.Starts() != 3 || strings.Count(p.Output(), "bye") != 1 {
		t.Errorf("%d starts, it printed %q", p.Starts(), p.Output())
	}
	if said[6] != "%s: %v" {
		t.Errorf("restarting what runs went unnoticed: %q", said)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, err := p.Wait(within(t)); code != 3 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestProcessThatEndsAtOnce(t *testing.T) {
	p := shell(t, `echo "the port is in use"; exit 1`, func(*Process) bool { return false })
	if err := p.Start(within(t)); err == nil || !strings.Contains(err.Error(), "the port is in use") {
		t.Errorf("got %v", err)
	}
}

func TestSpace(t *testing.T) {
	dir := t.TempDir()
	s, err := NewSpace(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	inside := func(script string) (int, string) {
		path, args := s.Command("/bin/sh", "-c", script)
		p := &Process{Path: path, Args: args, Env: []string{"PATH=" + os.Getenv("PATH")}, Ready: func(context.Context) error { return nil }}
		if err := p.Start(within(t)); err != nil {
			t.Fatal(err)
		}
		code, err := p.Wait(within(t))
		if err != nil {
			t.Fatal(err)
		}
		return code, p.Output()
	}
	write := "head -c 100000 /dev/zero > " + dir + "/data"
	if code, out := inside(write); code != 0 {
		t.Fatal(out)
	}
	if err := s.Fill(0); err != nil {
		t.Fatal(err)
	}
	if code, out := inside(write + "2"); code == 0 || !strings.Contains(out, "space") {
		t.Errorf("writing to a full disk ended with %d %s", code, out)
	}
	if err := s.Free(); err != nil {
		t.Fatal(err)
	}
	if code, out := inside(write + "2"); code != 0 {
		t.Errorf("there is room again, but: %s", out)
	}
	if info, err := os.Stat(s.Outside("data2")); err != nil || info.Size() != 100000 {
		t.Errorf("seen from outside: %v, %v", info, err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("the folder itself has %d files", len(list))
	}
}
