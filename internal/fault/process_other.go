//go:build !unix

package fault

import (
	"context"
	"errors"
)

// Process needs a system with signals; here it can do nothing.
type Process struct{}

var errNoSignals = errors.New("fault: this system has no signals")

// Running is false.
func (*Process) Running() bool { return false }

// Start fails.
func (*Process) Start(context.Context) error { return errNoSignals }

// Kill fails.
func (*Process) Kill() error { return errNoSignals }

// Stop fails.
func (*Process) Stop() error { return errNoSignals }

// Cont fails.
func (*Process) Cont() error { return errNoSignals }

// Term fails.
func (*Process) Term(context.Context) error { return errNoSignals }
