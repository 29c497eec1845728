package cli

// simulate: customers who are none, for rehearsal, demonstration and load.

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/agent/simulate"
	"github.com/lookalong/lookalong/internal/term"
)

// rehearsalKey is the file of --keep, in the agent's folder: the customers' keys follow from it.
const rehearsalKey = "rehearsal.key"

type simulateOptions struct {
	app *app
	simulate.Options
	size    string
	answer  bool
	keep    bool
	yesLoad string
	json    bool
}

func newSimulateCmd(a *app) *cobra.Command {
	o := &simulateOptions{app: a}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Play customers, to rehearse, to show, or to make load",
		Long: `Customers come one after another with a problem each, wait, answer you and say thanks; take them with
lookalong chat --next. Their pages are titled "Rehearsal". With --rate or --answer they all come at once and make
load. In the end everything that was written is compared with what the server has stored, and the conversations are
closed. What is printed is in docs/rehearsal.md.`,
		Example: `  lookalong simulate                      three customers, one after another
  lookalong simulate --share --pace 2     they show a picture too, and are quick
  lookalong simulate --answer --customers 200 --duration 60s --rate 0.5 --reconnect-every 20s --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Load = o.answer || cmd.Flags().Changed("rate")
			if o.answer && !cmd.Flags().Changed("rate") {
				o.Rate = 0.5
			}
			var own *fail
			if err := o.settle(); errors.As(err, &own) {
				return err
			} else if err != nil {
				return usage(cmd, err)
			}
			return runSimulate(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Server, "server", "", "address of the server (default: the one that you are signed in to)")
	f.IntVar(&o.Customers, "customers", 3, "how many, 1 to 5000")
	f.Float64Var(&o.Rate, "rate", 0, "load: messages a second of each customer, 0 to 5 (0.5 with --answer)")
	f.DurationVar(&o.Duration, "duration", 0, "how long they write (load: 1m; else until all stories are told)")
	f.DurationVar(&o.ReconnectEvery, "reconnect-every", 0, "each customer cuts its own connection so often")
	f.BoolVar(&o.answer, "answer", false, "load: your agent takes them and answers, over a second connection")
	f.BoolVar(&o.Share, "share", false, "they say yes to your request, or show a numbered picture by themselves")
	f.BoolVar(&o.Direct, "direct", false, "they also write directly, past the server")
	f.IntVar(&o.FPS, "fps", 5, "pictures a second, 1 to 60")
	f.StringVar(&o.size, "size", "640x360", "of the picture, in pixels")
	f.StringVar(&o.Image, "image", "", "png or jpeg (default: what the viewer shows)")
	f.StringVar(&o.Language, "language", "", "of the stories: en or zh (default both)")
	f.Float64Var(&o.Pace, "pace", 1, "rehearsal: how many times as fast as people, 0.1 to 100")
	f.BoolVar(&o.keep, "keep", false, "the same customers come back at the next run (keeps a key)")
	f.BoolVar(&o.Leave, "leave", false, "do not close the conversations at the end")
	f.StringVar(&o.yesLoad, "yes-load", "", "the server's host, to play on another machine than this one")
	jsonFlag(cmd, &o.json, "print the report as one JSON object")
	return cmd
}

// settle checks the flags.
func (o *simulateOptions) settle() error {
	w, h, ok := strings.Cut(o.size, "x")
	width, err1 := strconv.Atoi(w)
	height, err2 := strconv.Atoi(h)
	if !ok || err1 != nil || err2 != nil {
		return errors.New("--size is like 640x360")
	}
	o.Width, o.Height = width, height
	if o.FPS == 0 || o.Pace == 0 || o.Width == 0 || o.Height == 0 { // in Options 0 is a default, on a command line a mistake
		return errors.New("--fps, --pace and --size are above 0")
	}
	if o.Server == "" {
		saved, _, err := o.app.load()
		if err != nil {
			return err
		}
		o.Server = saved.Server
	}
	if err := o.Check(); err != nil {
		return err
	}
	return o.allowed()
}

// allowed refuses to play on a server elsewhere that was not named twice.
func (o *simulateOptions) allowed() error {
	u, err := url.Parse(o.Server)
	if err != nil {
		return err
	}
	switch {
	case simulate.IsLoopback(o.Server) && o.yesLoad == "":
		return nil
	case strings.EqualFold(o.yesLoad, u.Hostname()) || strings.EqualFold(o.yesLoad, u.Host):
		return nil
	case o.yesLoad != "":
		return fmt.Errorf("--yes-load names %s, but the server is %s", o.yesLoad, u.Host)
	}
	return &fail{exitUsage, fmt.Sprintf("%s is not this machine: simulated customers would stand in the queue of its real ones", u.Host),
		"if that is meant: --yes-load " + u.Hostname()}
}

func runSimulate(ctx context.Context, o *simulateOptions) error {
	a := o.app
	o.Log = a.log()
	if o.answer {
		saved, key, err := a.load()
		if err != nil {
			return err
		}
		if saved.Server != o.Server {
			return &fail{exitUsage, "you are signed in to " + saved.Server + ", so nobody can answer on " + o.Server, "leave --server or --answer out"}
		}
		o.Answer = ed25519.PrivateKey(key)
	}
	if o.keep {
		seed, err := a.rehearsalSeed()
		if err != nil {
			return err
		}
		o.Seed = ed25519.PrivateKey(seed)
	}
	board := &board{app: a}
	if a.io.ErrTTY {
		o.OnStatus = board.status
	}
	if !o.Load {
		o.OnEvent = board.event
		a.note("Customers to come: %d. lookalong chat --next takes them; Ctrl-C ends the rehearsal.", o.Customers)
	}
	report, err := simulate.Run(ctx, o.Options)
	board.clear()
	if err != nil {
		return err
	}
	if o.json {
		err = printJSON(a.io.Out, report)
	} else {
		err = a.printReport(report)
	}
	if err != nil {
		return err
	}
	if err := verdict(report); err != nil {
		return err
	}
	return context.Cause(ctx) // nil unless it was interrupted
}

// verdict is how the command ends.
func verdict(r simulate.Report) error {
	c := r.Counts
	switch {
	case c.Faulty():
		return &fail{exitFailed, fmt.Sprintf("%d messages lost, %d doubled, %d out of order, %d pictures bad", c.Lost, c.Doubled, c.OutOfOrder, c.PicturesBad), "--verbose shows what happens on the connections"}
	case c.Unchecked > 0:
		return &fail{exitUnreachable, fmt.Sprintf("%d conversations could not be compared with the server, which did not answer", c.Unchecked), ""}
	}
	return nil
}

// rehearsalSeed reads the key that the customers' keys follow from, or makes it.
func (a *app) rehearsalSeed() (deviceKey, error) {
	dir, err := a.makeHome()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, rehearsalKey)
	key, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, fresh, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return deviceKey(fresh), writeKey(path, deviceKey(fresh))
}

// board writes to stderr while a simulation runs: one line that changes on a terminal, and moments of a rehearsal.
type board struct {
	app *app
	mu  sync.Mutex
	on  bool // the line is there
}

func (b *board) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wipe()
}

func (b *board) wipe() {
	if b.on {
		b.on = false
		fmt.Fprint(b.app.io.Err, "\r\x1b[K")
	}
}

func (b *board) status(p simulate.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := p.Counts
	line := fmt.Sprintf("%s  %d online, %d sent, %d stored, %d replies, %d cuts, %d lost", age(p.Elapsed), p.Online, c.Sent, c.Acked, c.Replies, c.Cuts, c.Lost)
	b.on = true
	fmt.Fprint(b.app.io.Err, "\r\x1b[K"+term.Cut(line, b.app.io.Width-1))
}

func (b *board) event(e simulate.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wipe()
	words := map[string]string{
		"arrived": "waits: " + e.Title, "claimed": "is taken by " + e.Text, "showing": "shows a picture", "thanks": "says thanks",
		"left": "has left", "refused": "can't go on: " + e.Text,
	}[e.What]
	b.app.note("Customer %d %s.", e.Customer, strings.TrimSuffix(words, "."))
}

// printReport writes the report for people: what happened, how long it took, what went wrong.
func (a *app) printReport(r simulate.Report) error {
	var b strings.Builder
	c := r.Counts
	came := strconv.Itoa(r.Customers)
	if c.Connected < int64(r.Customers) {
		came = fmt.Sprintf("%d of %d came", c.Connected, r.Customers)
	}
	fmt.Fprintf(&b, "Customers: %s in %s, %d claimed, %d answered", came, time.Duration(r.Seconds*float64(time.Second)).Round(100*time.Millisecond), c.Claimed, c.Answered)
	if r.Mode == "rehearsal" {
		fmt.Fprintf(&b, ", %d stories told to the end", c.Finished)
	}
	fmt.Fprintf(&b, "\nMessages: %d sent, %d stored, %d replies", c.Sent, c.Acked, c.Replies)
	for _, more := range []struct {
		n    int64
		what string
	}{
		{c.Delivered, "seen by the answering agent"}, {c.HeldBack, "held back"}, {c.Cuts, "cuts"}, {c.Reconnects, "reconnects"},
		{c.DirectConfirmed, "direct messages confirmed"}, {c.PicturesShown, "pictures shown"}, {c.PicturesSkipped, "pictures skipped"},
	} {
		if more.n > 0 {
			fmt.Fprintf(&b, ", %d %s", more.n, more.what)
		}
	}
	fmt.Fprintf(&b, "\n%d lost, %d doubled, %d out of order, %d unconfirmed, %d unchecked\n\n", c.Lost, c.Doubled, c.OutOfOrder, c.Unconfirmed, c.Unchecked)
	fmt.Fprintf(&b, "%-22s%9s%12s%12s%12s%12s\n", "", "count", "p50", "p90", "p99", "max")
	t := r.Timings
	for _, row := range []struct {
		what string
		p    simulate.Percentiles
	}{
		{"waited for an agent", t.Waited}, {"answered within", t.Answered}, {"connect", t.Connect}, {"stored (ack)", t.Ack}, {"delivered to agent", t.Delivery},
		{"reconnect", t.Reconnect}, {"caught up", t.CatchUp}, {"direct message", t.Direct}, {"first picture", t.FirstPicture}, {"age of pictures", t.PictureAge},
	} {
		if row.p.Count > 0 {
			fmt.Fprintf(&b, "%-22s%9d%12s%12s%12s%12s\n", row.what, row.p.Count, took(row.p.P50), took(row.p.P90), took(row.p.P99), took(row.p.Max))
		}
	}
	for _, code := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(&b, "%d × %s\n", r.Errors[code], term.Line(code))
	}
	_, err := fmt.Fprint(a.io.Out, b.String())
	return err
}

// took says milliseconds with the precision that they have.
func took(ms float64) string {
	switch {
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.0f s", ms/1000)
}
