//go:build unix

package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is a program under test that can be hurt and started again. All methods may be called from any goroutine,
// but one at a time.
type Process struct {
	Path string
	Args []string
	Env  []string // the whole environment
	// Ready says that it serves; it is asked until it returns nil.
	Ready func(context.Context) error

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{} // closed when it has ended; nil before the first start
	out     log
	starts  int
	stopped bool // by SIGSTOP
}

// log is what the process printed, over all starts.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Output is everything that it has printed, on both streams and over all starts.
func (p *Process) Output() string { return p.out.String() }

// Starts is how often it was started.
func (p *Process) Starts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// PID is its process id while it runs.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// Running reports whether it was started and has not ended.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running()
}

func (p *Process) running() bool {
	if p.ended == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Start starts it and waits until it is ready. Its end before that is an error that holds what it printed.
func (p *Process) Start(ctx context.Context) error {
	p.mu.Lock()
	if p.running() {
		p.mu.Unlock()
		return errors.New("fault: the process runs already")
	}
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env = p.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a kill reaches its children too
	var tail bytes.Buffer
	cmd.Stdout = io.MultiWriter(&p.out, &tail)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		p.mu.Unlock()
		return fmt.Errorf("fault: %w", err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended, p.stopped = cmd, ended, false
	p.starts++
	p.mu.Unlock()
	go func() {
		_ = cmd.Wait() // the state says it
		close(ended)
	}()
	for {
		err := p.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("fault: the process ended with %s before it was ready:\n%s", cmd.ProcessState, tail.String())
		case <-ctx.Done():
			return fmt.Errorf("fault: the process is not ready: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *Process) signal(s syscall.Signal) (ended <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return nil, errors.New("fault: the process does not run")
	}
	p.stopped = s == syscall.SIGSTOP
	return p.ended, syscall.Kill(-p.cmd.Process.Pid, s)
}

// Signal sends a signal to the process and its children.
func (p *Process) Signal(s os.Signal) error {
	_, err := p.signal(s.(syscall.Signal))
	return err
}

// Kill is kill -9; it waits for the end.
func (p *Process) Kill() error {
	ended, err := p.signal(syscall.SIGKILL)
	if err == nil {
		<-ended
	}
	return err
}

// Stop freezes it.
func (p *Process) Stop() error { return p.Signal(syscall.SIGSTOP) }

// Cont thaws it.
func (p *Process) Cont() error { return p.Signal(syscall.SIGCONT) }

// Term asks it to end and waits.
func (p *Process) Term(ctx context.Context) error {
	if p.frozen() {
		if err := p.Cont(); err != nil {
			return err
		}
	}
	ended, err := p.signal(syscall.SIGTERM)
	if err != nil {
		return err
	}
	return p.await(ctx, ended)
}

func (p *Process) frozen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped
}

// Wait waits for its end and returns the exit code; -1 after a signal.
func (p *Process) Wait(ctx context.Context) (int, error) {
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.mu.Unlock()
	if err := p.await(ctx, ended); err != nil {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

func (p *Process) await(ctx context.Context, ended <-chan struct{}) error {
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("fault: the process does not end: %w", context.Cause(ctx))
	}
}
