package server

import (
	"os"
	"path/filepath"
	"testing"
)

// TestGroupMemory: the least limit of the group and of those above it counts.
func TestGroupMemory(t *testing.T) {
	for name, c := range map[string]struct {
		group string            // /proc/self/cgroup
		max   map[string]string // memory.max by group
		want  int64
	}{
		"none":              {"0::/\n", nil, 0},
		"no limit":          {"0::/a.slice/b.service\n", map[string]string{"a.slice": "max\n", "a.slice/b.service": "max\n"}, 0},
		"own":               {"0::/a.slice/b.service\n", map[string]string{"a.slice": "max\n", "a.slice/b.service": "1073741824\n"}, 1 << 30},
		"the one above":     {"0::/a.slice/b.service\n", map[string]string{"a.slice": "536870912\n", "a.slice/b.service": "1073741824\n"}, 512 << 20},
		"a container's top": {"0::/\n", map[string]string{"": "268435456\n"}, 256 << 20},
		"version 1":         {"5:memory:/x\n1:name=systemd:/x\n", map[string]string{"x": "1\n"}, 0},
		"garbage":           {"0::/../..//x\n", map[string]string{"x": "a lot\n"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write := func(path, text string) {
				t.Helper()
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("proc/self/cgroup", c.group)
			for group, text := range c.max {
				write(filepath.Join("sys/fs/cgroup", group, "memory.max"), text)
			}
			if got := groupMemory(root); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
	if groupMemory(t.TempDir()) != 0 {
		t.Error("a limit without a system")
	}
}
