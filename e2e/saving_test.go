package e2e

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// saved reports whether a text is in the data folder.
func (s *site) saved(text string) bool { return holds(s.t, s.dir+"/data", text) > 0 }

// TestFullDiskIsSaidAndOver: what is written while nothing can be saved waits on the page, which says so, and is sent
// once there is room.
func TestFullDiskIsSaidAndOver(t *testing.T) {
	s := newSite(t)
	_, c := s.customer()
	write(c, "while there is room")
	s.until("the first message on disk", func() bool { return s.saved("while there is room") })
	s.stop()
	enough := slices.Clone(s.args)
	s.args = append(s.args, "--disk-read-only", "1000000GiB") // more than any disk of today: it counts as full
	s.up()
	c.WaitText("status", "Connection", "Connected")
	write(c, "while it is full")
	c.WaitPage("Messages can't be saved right now. Yours is kept here and will be sent.")
	if s.saved("while it is full") {
		t.Error("a server that only reads has written")
	}
	s.stop()
	s.args = enough
	s.up()
	s.until("the message on disk", func() bool { return s.saved("while it is full") })
	c.WaitPage("Sent")
}

// TestSlowDiskIsSaid: a save that takes seconds is told to the person who waits for it.
func TestSlowDiskIsSaid(t *testing.T) {
	path := filepath.Join(programs, "faultserver")
	if out, err := exec.Command("go", "build", "-o", path, "../internal/fault/faultserver").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := newSite(t)
	_, c := s.customer()
	write(c, "quick")
	s.until("the first message on disk", func() bool { return s.saved("quick") })
	s.stop()
	s.program = start(t, []string{"FAULT_SYNC_DELAY=3s"}, "faultserver", s.args...)
	c.WaitText("status", "Connection", "Connected")
	write(c, "slow")
	c.WaitPage("The server is slow to save. Your message is kept here until it has.")
	c.Until("the sentence to go", func() bool { return !strings.Contains(c.Body(), "slow to save") })
	s.until("the message on disk", func() bool { return s.saved("slow") })
}
