package cli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestHelp compares every visible command's --help with its golden file. Each fits one screen.
func TestHelp(t *testing.T) {
	var walk func(cmd *cobra.Command, path []string)
	walk = func(cmd *cobra.Command, path []string) {
		for _, sub := range cmd.Commands() {
			if !sub.Hidden && sub.Name() != "completion" {
				walk(sub, append(path[:len(path):len(path)], sub.Name()))
			}
		}
		s, out, errs := term.Test("")
		args := append(path[:len(path):len(path)], "--help")
		if cmd.Name() == "exit-codes" || cmd.Name() == "help" {
			args = append([]string{"help"}, path...)
		}
		if code := Main(context.Background(), args, s); code != 0 || errs.Len() > 0 {
			t.Errorf("%v: exit code %d, stderr %q", args, code, errs)
		}
		file := filepath.Join("testdata", "help", strings.Join(append([]string{"lookalong"}, path...), "_")+".golden")
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(want, out.Bytes()) {
			t.Errorf("%v differs from %s (%v); go test -update rewrites it:\n%s", args, file, err, out)
		}
		if n := strings.Count(out.String(), "\n"); n > 48 {
			t.Errorf("%v: %d lines do not fit one screen", args, n)
		}
	}
	root := (&app{}).root()
	walk(root, nil)
}

func TestPick(t *testing.T) {
	items := []protocol.QueueItem{{Conversation: "abcdef123"}, {Conversation: "abcdxyz99"}, {Conversation: "abcd"}, {Conversation: "zzzzz"}}
	for _, c := range []struct {
		prefix, want string
		code         int
	}{
		{"abcde", "abcdef123", 0}, {"abcd", "abcd", 0}, {"zzzz", "zzzzz", 0}, {"abc", "", exitUsage}, {"none", "", exitFailed},
	} {
		got, err := pick(items, c.prefix)
		var f *fail
		if string(got.Conversation) != c.want || (err == nil) != (c.code == 0) || errors.As(err, &f) && f.code != c.code {
			t.Errorf("%s: got %s, %v", c.prefix, got.Conversation, err)
		}
	}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{nil, 0, ""},
		{context.Canceled, 130, ""},
		{protocol.Userf(protocol.CodeTaken, "Taken by \x1b[31mAna."), 3, "lookalong: taken by \ufffd[31mAna\nhint: lookalong queue shows who else waits\n"},
		{&client.StopError{Code: protocol.CloseRevoked, Text: "This device was removed."}, 4, "lookalong: this device was removed\nhint: ask for an invite, then: lookalong login URL < invite\n"},
		{&client.StopError{Code: protocol.CloseVersion, Text: "Update."}, 1, "lookalong: Update\nhint: lookalong version shows this one\n"},
		{fmt.Errorf("%w http://x: refused", client.ErrUnreachable), 6, "lookalong: cannot reach the server http://x: refused\nhint: check the address and your network; the server may be down\n"},
		{&client.LostError{Text: "the server restarts"}, 6, "lookalong: the connection to the server was lost: the server restarts\nhint: try again\n"},
		{context.DeadlineExceeded, 6, "lookalong: the server did not answer in time\nhint: try again; --verbose shows what happens on the connection\n"},
		{errors.New("odd"), 1, "lookalong: odd\n"},
	} {
		s, _, errs := term.Test("")
		a := &app{io: s}
		if code := a.explain(c.err); code != c.code || errs.String() != c.text {
			t.Errorf("%v: %d %q, want %d %q", c.err, code, errs, c.code, c.text)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	key := deviceKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte("S"), 32)))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", key)
	for _, s := range []string{fmt.Sprint(key), fmt.Sprintf("%+v", struct{ K deviceKey }{key}), fmt.Sprintf("%#v", key), log.String()} {
		if !strings.Contains(s, "[redacted]") || strings.Contains(s, "83") {
			t.Errorf("got %s", s)
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m", 125 * time.Minute: "2h 5m", 50 * time.Hour: "2d"} {
		if got := age(d); got != want {
			t.Errorf("age(%s) = %s, want %s", d, got, want)
		}
	}
}

func TestJSONIsSafeOnATerminal(t *testing.T) {
	var b bytes.Buffer
	in := "\x1b]52\a\u009b\u202e\x7f😀\U000e0041 ok 你"
	if err := printJSON(&b, map[string]string{"text": in}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), `{"text":"\u001b]52\u0007\u009b\u202e\u007f😀\udb40\udc41 ok 你"}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRowFitsTheTerminal(t *testing.T) {
	for _, width := range []int{20, 40, 80, 200} {
		line := row("abcdef", "非常に長い名前です", "2h 5m", "offline", "12", strings.Repeat("長い\x1b[2J", 100), width)
		if strings.Contains(line, "\x1b") || term.Columns(line) > max(width, 65) {
			t.Errorf("width %d: %d columns: %q", width, term.Columns(line), line)
		}
	}
}

func TestCompleteCommand(t *testing.T) {
	for _, c := range []struct{ in, want string }{{"/sh", "/share "}, {"/s", "/s"}, {"hello", "hello"}, {"/q", "/quit "}, {"/share x", "/share x"}} {
		if got, pos, ok := completeCommand(c.in, len(c.in)); got != c.want || pos != len(c.want) || !ok {
			t.Errorf("%q: %q, %d", c.in, got, pos)
		}
	}
}

func TestForeignKeyIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	t.Setenv("LOOKALONG_HOME", filepath.Join(t.TempDir(), "home"))
	a := &app{getenv: os.Getenv}
	if err := a.save(config{Server: "http://x"}, deviceKey(ed25519.NewKeyFromSeed(make([]byte, 32)))); err != nil {
		t.Fatal(err)
	}
	dir, _ := a.home()
	if err := os.Chown(filepath.Join(dir, keyFile), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.load(); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("got %v", err)
	}
}
