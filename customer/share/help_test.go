// What --help says, as a golden file.

package share

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/lookalong/lookalong/internal/term"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestHelp(t *testing.T) {
	t.Setenv("LOOKALONG_SERVER", "")
	for name, args := range map[string][]string{"help.golden": {"--help"}, "help_chat.golden": {"chat", "--help"}} {
		s, out, errs := term.Test("")
		if code := Main(context.Background(), args, s); code != exitDone || errs.Len() > 0 {
			t.Fatalf("%v: exit code %d, stderr %q", args, code, errs)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("%v: got\n%s\nwant\n%s", args, out, want)
		}
	}
}
