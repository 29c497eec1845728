package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lookalong/lookalong/internal/fault/disk"
)

// Scene is what a script acts on. A script that needs what is nil is refused.
type Scene struct {
	Proxy  *Proxy
	Server *Process
	Disk   *disk.Disk
	Clock  *Clock
	// Rand chooses connections for half and one. Required with a Proxy; from Rand(seed).
	Rand *rand.Rand
	// Log is told each step as it is done, and what went wrong. Required.
	Log func(format string, args ...any)
}

// Run does the script's steps at their times. It returns when the last is done (what was begun "for" a time may go on),
// or when ctx ends. A step that does not fit the moment, such as killing a server that is down, is only logged.
func (s Scene) Run(ctx context.Context, script Script) error {
	for _, step := range script.Steps {
		if err := s.can(step); err != nil {
			return err
		}
	}
	start := time.Now()
	for _, step := range script.Steps {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Until(start.Add(step.At))):
		}
		err := s.do(ctx, step)
		if err != nil && ctx.Err() == nil {
			s.Log("%s: %v", step, err)
		} else {
			s.Log("%s", step)
		}
	}
	return nil
}

func (s Scene) can(step Step) error {
	missing := ""
	switch step.Verb {
	case Kill, Stop, Cont, Term, Restart:
		if s.Server == nil {
			missing = "process"
		}
	case Fill, Free, SlowSync, FailSync:
		if s.Disk == nil {
			missing = "disk"
		}
	case ClockJump:
		if s.Clock == nil {
			missing = "clock"
		}
	default:
		if s.Proxy == nil {
			missing = "proxy"
		}
	}
	if missing != "" {
		return fmt.Errorf("fault: %q needs a %s, and this scene has none", step, missing)
	}
	return nil
}

func (s Scene) do(ctx context.Context, step Step) error {
	switch step.Verb {
	case Kill:
		return s.Server.Kill()
	case Stop:
		return s.Server.Stop()
	case Cont:
		return s.Server.Cont()
	case Term:
		return s.Server.Term(ctx)
	case Restart:
		if s.Server.Running() {
			return errors.New("it runs already")
		}
		return s.Server.Start(ctx)
	case Fill:
		s.Disk.Fill(true)
	case Free:
		s.Disk.Fill(false)
	case SlowSync:
		s.Disk.SlowSync(step.Wait)
	case FailSync:
		s.Disk.Fail(disk.Sync, 1, disk.IOSync)
	case ClockJump:
		s.Clock.Jump(step.Wait)
	default:
		s.Proxy.Do(step, s.Rand)
	}
	return nil
}
