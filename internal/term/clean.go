package term

// Foreign text on a terminal: names, chat, page titles, addresses and error texts come from strangers, and a
// terminal obeys what it is sent. Whatever prints such a text passes it through Line, Text or Cut first.

import (
	"strings"
	"unicode"

	"github.com/clipperhouse/displaywidth"
	"github.com/rivo/uniseg"
)

const (
	zwnj     = '\u200c'
	zwj      = '\u200d'
	maxMarks = 8 // combining marks and joiners a grapheme cluster; more would paint over the lines above
)

// Line makes a foreign text safe to print inside one line: each rune that is not printable (unicode.IsPrint: C0
// and C1 controls, DEL, line breaks, bidi controls, zero-width characters) becomes U+FFFD. Joiners stay inside a
// grapheme cluster (family emoji, Persian, Indic scripts), at most 8 marks a cluster are kept, invalid UTF-8
// becomes U+FFFD, and every kind of space becomes a plain one.
func Line(s string) string { return clean(s, false) }

// Text is Line, but keeps line breaks (\n, and \r\n as \n).
func Text(s string) string { return clean(s, true) }

// Indent is Text with each line after the first indented by n spaces, for a message below its head.
func Indent(s string, n int) string {
	return strings.ReplaceAll(Text(s), "\n", "\n"+strings.Repeat(" ", n))
}

// Cut is Line, cut to a display width in columns; a cut text ends in "…".
func Cut(s string, width int) string {
	if width <= 0 {
		return ""
	}
	// A cluster takes at most a few dozen bytes here; what is far beyond the width need not be looked at.
	const perColumn = 64
	if limit := (width + 2) * perColumn; len(s) > limit {
		s = s[:limit]
	}
	return displaywidth.TruncateString(Line(s), width, "…")
}

// Pad is Cut, filled with spaces up to the width: one cell of a table.
func Pad(s string, width int) string {
	s = Cut(s, width)
	return s + strings.Repeat(" ", max(0, width-Columns(s)))
}

// Columns is the display width of a text that is already clean.
func Columns(s string) int { return displaywidth.String(s) }

func clean(s string, keepBreaks bool) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	state := -1
	for s != "" {
		var cluster string
		cluster, s, _, state = uniseg.FirstGraphemeClusterInString(s, state)
		if keepBreaks && (cluster == "\n" || cluster == "\r\n") {
			b.WriteByte('\n')
			continue
		}
		writeCluster(&b, cluster)
	}
	return b.String()
}

// writeCluster writes one grapheme cluster without anything that a terminal could obey.
func writeCluster(b *strings.Builder, cluster string) {
	marks := 0
	joinable := false // the rune before can carry a joiner
	for _, r := range cluster {
		switch {
		case (r == zwj || r == zwnj) && joinable:
			joinable = false
			if marks++; marks <= maxMarks {
				b.WriteRune(r)
			}
		case unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
			joinable = false
		case !unicode.IsPrint(r): //guard:T29
			b.WriteRune(unicode.ReplacementChar)
			joinable = false
		case unicode.Is(unicode.M, r):
			if marks++; marks <= maxMarks {
				b.WriteRune(r)
			}
			joinable = true
		default:
			b.WriteRune(r)
			joinable = true
		}
	}
}

// plain reports whether s is printable ASCII, which needs no work.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
