package term

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

func TestLine(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "Hello, world", "Hello, world"},
		{"chinese", "你好，世界", "你好，世界"},
		{"escape", "\x1b[31mred\x1b[0m", "\ufffd[31mred\ufffd[0m"},
		{"osc 52 by bel", "\x1b]52;c;cm0gLXJm\x07x", "\ufffd]52;c;cm0gLXJm\ufffdx"},
		{"osc 8 by st", "\x1b]8;;http://e\x1b\\link", "\ufffd]8;;http://e\ufffd\\link"},
		{"dcs", "\x1bP$q\x1b\\", "\ufffdP$q\ufffd\\"},
		{"c1 csi", "a\u009b31m", "a\ufffd31m"},
		{"raw c1 byte", "a\x9b31m", "a\ufffd31m"},
		{"c1 osc", "\u009d0;title\u009c", "\ufffd0;title\ufffd"},
		{"delete and backspace", "a\x7fb\bc", "a\ufffdb\ufffdc"},
		{"line break", "a\nb\r\nc", "a\ufffdb\ufffd\ufffdc"},
		{"bidi override", "user\u202egnp.exe", "user\ufffdgnp.exe"},
		{"bidi isolate", "\u2066a\u2069", "\ufffda\ufffd"},
		{"arabic mark", "\u061ca", "\ufffda"},
		{"zero width space", "a\u200bb\ufeffc", "a\ufffdb\ufffdc"},
		{"stray joiner", "\u200dabc", "\ufffdabc"},
		{"joiners in a row", "ab\u200d\u200d\u200dc", "ab\u200d\ufffd\ufffdc"},
		{"family emoji", "👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"},
		{"flag emoji", "🏳\ufe0f\u200d🌈", "🏳\ufe0f\u200d🌈"},
		{"persian", "می\u200cخواهم", "می\u200cخواهم"},
		{"no-break space", "10\u00a0€\u3000x", "10 € x"},
		{"zalgo", "a" + strings.Repeat("\u0301", 50) + "b", "a" + strings.Repeat("\u0301", 8) + "b"},
		{"invalid utf-8", "a\xff\xfeb", "a\ufffd\ufffdb"},
		{"line separator", "a\u2028b", "a\ufffdb"},
	} {
		if got := Line(c.in); got != c.want {
			t.Errorf("%s: Line(%q) = %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestTextKeepsLineBreaks(t *testing.T) {
	if got, want := Text("a\r\nb\n\x1b[2Jc\rd"), "a\nb\n\ufffd[2Jc\ufffdd"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := Indent("a\nb", 3), "a\n   b"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{
		{"hello", 5, "hello"}, {"hello!", 5, "hell…"}, {"你好世界", 5, "你好…"}, {"你好", 4, "你好"},
		{"a\x1bb", 3, "a\ufffdb"}, {"x", 0, ""}, {strings.Repeat("y", 10_000), 3, "yy…"},
	} {
		if got := Cut(c.in, c.width); got != c.want {
			t.Errorf("Cut(%.20q, %d) = %q, want %q", c.in, c.width, got, c.want)
		}
	}
	if got := Pad("你", 4) + "|"; got != "你  |" {
		t.Errorf("Pad: got %q", got)
	}
}

func TestTestStreamsAreNoTerminal(t *testing.T) {
	s, out, _ := Test("in")
	if s.InTTY || s.OutTTY || s.ErrTTY || s.Colour || s.CanPrompt || out.Len() != 0 {
		t.Errorf("got %+v", s)
	}
}

// FuzzTermClean: whatever comes in, nothing comes out that a terminal obeys (security.md T29).
func FuzzTermClean(f *testing.F) {
	for _, s := range []string{
		"", "hello", "\x1b]52;c;AAAA\x07", "\x1bP0;0|17/\x1b\\", "\u009b2J", "\x9b2J", "a\u0301\u0301", "👩\u200d👧",
		"\u202eabc", "\u200d", "क्\u200dष", "\r\n\r\n", "\U000e0041", strings.Repeat("\u0489", 40),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, out := range []string{Line(in), Text(in), Cut(in, 20)} {
			if !utf8.ValidString(out) {
				t.Fatalf("%q: not UTF-8: %q", in, out)
			}
			prev := rune(-1)
			for _, r := range out {
				switch {
				case r == '\n' && out == Text(in):
				case r < 0x20 || r >= 0x7f && r <= 0x9f:
					t.Fatalf("%q: control %U in %q", in, r, out)
				case unicode.Is(unicode.Bidi_Control, r):
					t.Fatalf("%q: bidi control %U in %q", in, r, out)
				case r == zwj || r == zwnj:
					if prev < 0 || prev == ' ' || prev == zwj || prev == zwnj || prev == '\n' {
						t.Fatalf("%q: stray joiner in %q", in, out)
					}
				case !unicode.IsPrint(r):
					t.Fatalf("%q: %U in %q", in, r, out)
				}
				prev = r
			}
			for g := uniseg.NewGraphemes(out); g.Next(); {
				marks := 0
				for _, r := range g.Runes() {
					if unicode.Is(unicode.M, r) {
						marks++
					}
				}
				if marks > 2*maxMarks {
					t.Fatalf("%q: %d marks in one cluster of %q", in, marks, out)
				}
			}
		}
		if again := Text(Text(in)); strings.Count(again, "\n") != strings.Count(Text(in), "\n") {
			t.Fatalf("%q: cleaning twice changed the lines", in)
		}
	})
}
