package viewer

// Opening the viewer in the agent's browser, and what to do where there is none.

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

const openWithin = 3 * time.Second // after this the browser is taken to be there

// Open asks the system to open url in the person's browser. An error says that it could not; the caller then
// prints the address.
func Open(ctx context.Context, url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	default:
		if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
			return fmt.Errorf("viewer: no desktop here (DISPLAY and WAYLAND_DISPLAY are not set)")
		}
	}
	cmd := exec.Command(name, args...)
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("viewer: cannot open the browser: %w", err)
	}
	ended := make(chan error, 1) // one result; some systems run the browser itself here, which then outlives us
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("viewer: %s could not open the browser: %w", name, err)
		}
	case <-time.After(openWithin):
	case <-ctx.Done():
	}
	return nil
}

// SSHHint is the line that makes a viewer on this machine reachable from the person's own, or "" when this is not
// an SSH session.
func SSHHint(port int, getenv func(string) string) string {
	if getenv("SSH_CONNECTION") == "" {
		return ""
	}
	host, err := os.Hostname()
	if err != nil {
		host = "THIS-HOST"
	}
	return fmt.Sprintf("ssh -N -L %d:127.0.0.1:%d %s", port, port, host)
}
