//go:build !unix

package viewer

// Elsewhere the system's opener returns at once and the browser is not its child.

import "os/exec"

func detach(*exec.Cmd) {}
