package fault

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Space is a small file system of its own (tmpfs in a user and mount namespace), which can be filled to the last byte
// without harm to anybody. It needs util-linux's unshare and nsenter, and a kernel that lets users make namespaces.
type Space struct {
	// Dir is where the file system is, for processes inside.
	Dir    string
	keeper *exec.Cmd // holds the namespace; ends when its input closes
	input  io.Closer
}

// NewSpace makes one of size bytes over the folder dir, which must exist.
func NewSpace(dir string, size int64) (*Space, error) {
	const script = `mount -t tmpfs -o "size=$1,mode=0700" tmpfs "$2" && echo ready && exec cat`
	k := exec.Command("unshare", "-rm", "sh", "-c", script, "sh", strconv.FormatInt(size, 10), dir)
	var errs strings.Builder
	k.Stderr = &errs
	in, err1 := k.StdinPipe()
	out, err2 := k.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("fault: space: %w", err)
	}
	if err := k.Start(); err != nil {
		return nil, fmt.Errorf("fault: space: %w", err)
	}
	s := &Space{Dir: dir, keeper: k, input: in}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		s.Close()
		return nil, fmt.Errorf("fault: space: no file system in a namespace of our own (unshare -rm): %s", strings.TrimSpace(errs.String()))
	}
	return s, nil
}

// Close takes the file system away. What runs inside keeps it until it ends.
func (s *Space) Close() {
	_ = s.input.Close()
	_ = s.keeper.Wait() // nothing to learn from its end
}

// Command is how a program runs inside: the path and arguments for Process.
func (s *Space) Command(path string, args ...string) (string, []string) {
	return "nsenter", append([]string{"-U", "-m", "--preserve-credentials", "-t", strconv.Itoa(s.keeper.Process.Pid), "--", path}, args...)
}

// Outside is where this process sees a file of the space.
func (s *Space) Outside(name string) string {
	return filepath.Join("/proc", strconv.Itoa(s.keeper.Process.Pid), "root", s.Dir, name)
}

// ballast is the file that takes the room.
const ballast = "ballast"

// Fill takes room until only left bytes remain.
func (s *Space) Fill(left int64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.Outside("."), &fs); err != nil {
		return fmt.Errorf("fault: fill: %w", err)
	}
	more := int64(fs.Bavail)*int64(fs.Bsize) - left
	if more <= 0 {
		return nil
	}
	f, err := os.OpenFile(s.Outside(ballast), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("fault: fill: %w", err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for more > 0 {
		n, err := f.Write(block[:min(more, int64(len(block)))])
		more -= int64(n)
		if errors.Is(err, syscall.ENOSPC) {
			return nil // somebody else took the rest: it is full, which was wanted
		}
		if err != nil {
			return fmt.Errorf("fault: fill: %w", err)
		}
	}
	return nil
}

// Free gives the room back.
func (s *Space) Free() error {
	if err := os.Remove(s.Outside(ballast)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("fault: free: %w", err)
	}
	return nil
}
