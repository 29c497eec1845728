// The small parts: the log's order, the key's file.

package share

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lookalong/lookalong/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestChatLogKeepsOrder(t *testing.T) {
	var l chatLog
	var got []int64
	gaps := 0
	for _, seq := range []int64{1, 3, 2, 2, 1, 6, 5, 4, 7} {
		ready, gap := l.add(protocol.ChatMessage{Seq: seq})
		for _, r := range ready {
			got = append(got, r.Seq)
		}
		if gap {
			gaps++
		}
	}
	if want := []int64{1, 2, 3, 4, 5, 6, 7}; len(got) != len(want) || l.last != 7 || gaps != 3 {
		t.Errorf("got %v with %d gaps and last %d, want %v with 3", got, gaps, l.last, want)
	}
}

func TestKeyFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	key, err := loadKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, keyFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode is %v, %v; want 0600", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v; want the key alone", entries, err)
	}
	again, err := loadKey(dir)
	if err != nil || !bytes.Equal(key, again) {
		t.Errorf("the key is another one the second time: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := loadKey(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: got %v", err)
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadKey(dir); err == nil || !strings.Contains(err.Error(), "not a key") {
		t.Errorf("a broken key: got %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", path); err != nil {
		t.Fatal(err)
	}
	if _, err := loadKey(dir); err == nil || !strings.Contains(err.Error(), "file of its own") {
		t.Errorf("a link: got %v", err)
	}
}
