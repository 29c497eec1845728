//go:build unix

package viewer

// A browser that was started from here must not get the Ctrl-C that is meant for this program.

import (
	"os/exec"
	"syscall"
)

func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
