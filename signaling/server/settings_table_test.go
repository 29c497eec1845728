package server

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/lookalong/lookalong/internal/term"
)

// TestSettingsTable compares the table of docs/operations.md with the flags of serve: every setting has a row, with
// its default, and every row is a setting.
func TestSettingsTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| flag | default | meaning |\n")
	if !ok {
		t.Fatal("docs/operations.md has no table of settings")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	defaults := map[string]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			t.Fatalf("a row without three cells: %s", line)
		}
		for _, flag := range regexp.MustCompile("`--([a-z-]+)`").FindAllStringSubmatch(cells[1], -1) {
			defaults[flag[1]] = strings.TrimSpace(cells[2])
		}
	}
	flags := configured(newServeCmd(term.Streams{}, nil))[0].Flags()
	flags.VisitAll(func(f *pflag.Flag) {
		cell, ok := defaults[f.Name]
		switch zero := f.DefValue == "" || f.DefValue == "0" || f.DefValue == "false" || f.DefValue == "[]"; {
		case !ok:
			t.Errorf("--%s has no row in docs/operations.md", f.Name)
		case !zero && cell != "`"+f.DefValue+"`":
			t.Errorf("--%s: the table says %s, the default is %s", f.Name, cell, f.DefValue)
		case zero && strings.HasPrefix(cell, "`"):
			t.Errorf("--%s: the table says %s, and there is no default", f.Name, cell)
		}
		delete(defaults, f.Name)
	})
	for name := range defaults {
		t.Errorf("docs/operations.md has a row for --%s, which is no setting", name)
	}
}
