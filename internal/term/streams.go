// Package term is everything that a program knows about its terminal: the three streams with what they are, and
// the safe printing of foreign text (clean.go). Commands receive a Streams value; none touches os.Stdout.
package term

import (
	"bytes"
	"io"
	"os"
	"strings"

	xterm "golang.org/x/term"
)

// Streams holds a program's input and outputs and what they are.
type Streams struct {
	In  io.Reader
	Out io.Writer // the answer
	Err io.Writer // everything else: progress, hints, prompts, logs

	InTTY, OutTTY, ErrTTY bool // whether each is a terminal

	// Width is the terminal's width in columns, at least 20; 80 where it is not known.
	Width int
	// Colour says whether escapes for colour may be written to Out.
	Colour bool
	// CanPrompt says whether a person can be asked: In and Out are terminals.
	CanPrompt bool
}

// System returns the process's own streams. Colour is off with a non-empty NO_COLOR or TERM=dumb.
func System() Streams {
	s := Files(os.Stdin, os.Stdout, os.Stderr)
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		s.Colour = false
	}
	if s.OutTTY || s.ErrTTY {
		enableEscapes()
	}
	return s
}

// Files makes Streams of three files, for instance the ends of a pseudo-terminal.
func Files(in, out, errs *os.File) Streams {
	s := Streams{In: in, Out: out, Err: errs, Width: 80}
	s.InTTY = xterm.IsTerminal(int(in.Fd()))
	s.OutTTY = xterm.IsTerminal(int(out.Fd()))
	s.ErrTTY = xterm.IsTerminal(int(errs.Fd()))
	s.Colour = s.OutTTY
	s.CanPrompt = s.InTTY && s.OutTTY
	if s.OutTTY {
		s.Width, _ = Size(int(out.Fd()))
	}
	return s
}

// Size returns the columns (at least 20) and rows of the terminal with the file descriptor fd, or 80 and 24.
func Size(fd int) (columns, rows int) {
	if c, r, err := xterm.GetSize(fd); err == nil && c > 0 && r > 0 {
		return max(c, 20), r
	}
	return 80, 24
}

// Test returns streams with the given input, and the buffers that they write to. None is a terminal.
func Test(in string) (s Streams, out, errs *bytes.Buffer) {
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	return Streams{In: strings.NewReader(in), Out: out, Err: errs, Width: 80}, out, errs
}
