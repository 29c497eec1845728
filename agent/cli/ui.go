package cli

// How chat talks with the person: line by line, or on a terminal with an input line that stays below what arrives.

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	xterm "golang.org/x/term"

	"github.com/lookalong/lookalong/internal/term"
)

// ui is the person's side of chat. Everything but its own reading goroutine is called from the room's goroutine.
type ui interface {
	say(line string)          // part of the conversation: already safe to print
	note(line string)         // beside it: already safe to print
	prompt(p string)          // shown before the input, where there is one
	alert()                   // a sound
	entered(line string)      // the room has this line now
	resize()                  // the window may have another size
	redraw()                  // a key was pressed that edits
	start(events inputEvents) // begins reading
	close()                   // gives the terminal back; idempotent
}

// inputEvents are called from the reading goroutine; they must not block, except line.
type inputEvents struct {
	line      func(s string) // one line; returns when the next may be read
	typing    func(s string) // what the input line holds so far
	edit      func()         // a key that is not text
	interrupt func()         // Ctrl-C
	end       func()         // no more input
}

// newUI takes the terminal where in and out are one, else plain lines.
func newUI(a *app) (ui, error) {
	in, inOK := a.io.In.(*os.File)
	out, outOK := a.io.Out.(*os.File)
	if !a.io.CanPrompt || !inOK || !outOK {
		return &plainUI{app: a}, nil
	}
	return newTTY(in, out)
}

// plainUI reads and writes lines: conversation on stdout, notes on stderr.
type plainUI struct{ app *app }

func (u *plainUI) say(line string)  { fmt.Fprintln(u.app.io.Out, line) }
func (u *plainUI) note(line string) { fmt.Fprintln(u.app.io.Err, line) }
func (u *plainUI) prompt(string)    {}
func (u *plainUI) entered(string)   {}
func (u *plainUI) resize()          {}
func (u *plainUI) redraw()          {}
func (u *plainUI) close()           {}
func (u *plainUI) alert() {
	if u.app.io.ErrTTY {
		fmt.Fprint(u.app.io.Err, "\a")
	}
}

func (u *plainUI) start(ev inputEvents) {
	go func() { // a read of stdin can't be interrupted: it ends with the input, or with the process
		defer ev.end()
		scan := bufio.NewScanner(u.app.io.In)
		scan.Buffer(nil, 256<<10)
		for scan.Scan() {
			ev.line(strings.TrimRight(scan.Text(), "\r"))
		}
	}()
}

// ttyUI edits the input line in raw mode; what is written meanwhile appears above it.
type ttyUI struct {
	in, out *os.File
	inFD    int // read once: File.Fd must not be called while the file is read
	outFD   int
	saved   *xterm.State
	term    *xterm.Terminal
	shown   string // the prompt
	width   int
	wide    atomic.Bool // the input line holds more than ASCII; set by the reading goroutine
	closed  bool
}

func newTTY(in, out *os.File) (*ttyUI, error) {
	inFD, outFD := int(in.Fd()), int(out.Fd())
	saved, err := xterm.MakeRaw(inFD)
	if err != nil {
		return nil, fmt.Errorf("cannot use the terminal: %w", err)
	}
	return &ttyUI{in: in, out: out, inFD: inFD, outFD: outFD, saved: saved}, nil
}

func (u *ttyUI) start(ev inputEvents) {
	keys := &keys{from: u.in, interrupt: ev.interrupt, edit: ev.edit}
	u.term = xterm.NewTerminal(struct {
		io.Reader
		io.Writer
	}{keys, u.out}, u.shown)
	u.resize()
	u.term.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key == '\t' {
			return completeCommand(line, pos)
		}
		u.wide.Store(key > unicode.MaxASCII || strings.IndexFunc(line, func(r rune) bool { return r > unicode.MaxASCII }) >= 0)
		ev.typing(line)
		return "", 0, false
	}
	go func() { // a read of the terminal can't be interrupted: it ends with the terminal, or with the process
		defer ev.end()
		for {
			line, err := u.term.ReadLine()
			if err != nil && err != xterm.ErrPasteIndicator {
				return
			}
			u.wide.Store(false)
			ev.line(line)
		}
	}()
}

func (u *ttyUI) say(line string)  { u.write(line + "\n") }
func (u *ttyUI) note(line string) { u.write(line + "\n") }

// write puts a text above the input line. xterm counts each rune as one column, so after wide characters only a
// carriage return finds the beginning of the line.
func (u *ttyUI) write(text string) {
	if u.wide.Load() {
		_, _ = u.out.WriteString("\r")
	}
	_, _ = u.term.Write([]byte(text))
}

func (u *ttyUI) redraw() {
	if u.wide.Load() {
		u.write("")
	}
}
func (u *ttyUI) alert() { _, _ = u.out.WriteString("\a") }

func (u *ttyUI) prompt(p string) {
	if p == u.shown {
		return
	}
	u.shown = p
	if u.term == nil {
		return // not started
	}
	u.term.SetPrompt(p)
	u.write("") // draws the input line again
}

// entered removes the line as it was typed; the conversation shows it in its own form.
func (u *ttyUI) entered(line string) {
	rows := (term.Columns(u.shown)+term.Columns(line))/max(u.width, 1) + 1
	_, _ = u.term.Write([]byte(strings.Repeat("\x1b[A\x1b[2K", rows)))
}

func (u *ttyUI) resize() {
	columns, rows := term.Size(u.outFD)
	if columns != u.width {
		u.width = columns
		_ = u.term.SetSize(columns, rows)
	}
}

func (u *ttyUI) close() {
	if u.closed {
		return
	}
	u.closed = true
	if u.term != nil {
		u.term.SetPrompt("")
		_, _ = u.term.Write([]byte("\x1b[2K"))
		_, _ = u.out.WriteString("\r")
	}
	_ = xterm.Restore(u.inFD, u.saved)
}

// keys passes the terminal's bytes on, except Ctrl-C, which raw mode makes an ordinary byte.
type keys struct {
	from      *os.File
	interrupt func()
	edit      func()
}

const ctrlC = 3

func (k *keys) Read(b []byte) (int, error) {
	for {
		n, err := k.from.Read(b)
		out, edit := b[:0], false
		for _, c := range b[:n] {
			if c == ctrlC {
				k.interrupt()
				continue
			}
			edit = edit || c < ' ' || c == 0x7f
			out = append(out, c)
		}
		if edit {
			k.edit()
		}
		if len(out) > 0 || err != nil {
			return len(out), err
		}
	}
}

// completeCommand completes the name of a /command at the cursor.
func completeCommand(line string, pos int) (string, int, bool) {
	if pos != len(line) || !strings.HasPrefix(line, "/") || strings.Contains(line, " ") {
		return line, pos, true
	}
	var found []string
	for _, c := range chatCommands {
		if strings.HasPrefix(c.name, line[1:]) {
			found = append(found, c.name)
		}
	}
	if len(found) != 1 {
		return line, pos, true
	}
	done := "/" + found[0] + " "
	return done, len(done), true
}

// typingGap is the least time between two chat.typing messages; the other side forgets after 6 s.
const typingGap = 3 * time.Second
