package server

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/internal/fault/disk"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/signaling/store"
)

// TestAFullDiskIsNoReasonNotToStart: the first invite is missing then, and the banner says so and what to do.
func TestAFullDiskIsNoReasonNotToStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d := disk.New(disk.Options{Dir: dir})
	defer d.Close()
	st, err := store.Open(context.Background(), anyRoom(dir)) // the folder is there, as after a first start
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	banner := func(i invitation) string {
		io, out, _ := term.Test("")
		(&ServeOptions{streams: io, Data: dir}).banner(Config{Listener: l}, i)
		return out.String()
	}
	d.Fill(true)
	i, err := prepareInvite(context.Background(), dir)
	if err != nil || i.path != "" || !errors.Is(i.missing, store.ErrFull) {
		t.Fatalf("%+v %v", i, err)
	}
	if text := banner(i); !strings.Contains(text, "no invite could be written: disk full") || !strings.Contains(text, "invite --name Admin --role admin --data "+dir) || strings.Contains(text, "chat --next") {
		t.Errorf("the banner says %s", text)
	}
	d.Fill(false)
	i, err = prepareInvite(context.Background(), dir)
	if err != nil || i.path == "" || i.missing != nil {
		t.Fatalf("with room: %+v %v", i, err)
	}
	if token, err := os.ReadFile(i.path); err != nil || len(token) < 20 {
		t.Errorf("the invite is %q, %v", token, err)
	}
	if text := banner(i); !strings.Contains(text, "< "+i.path) {
		t.Errorf("the banner says %s", text)
	}
}
