// The command line of lookalong-customer.

package share

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/customer/capture"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// The exit codes of the program (a part of those of lookalong).
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitSignIn      = 4 // the server does not accept this customer's key
	exitUnreachable = 6
	exitInterrupted = 130
)

// usageError is a wrong flag or argument.
type usageError struct{ error }

// Main runs the program and returns its exit code. When ctx ends, the session ends with a goodbye.
func Main(ctx context.Context, args []string, s term.Streams) int {
	root := newRootCmd(s)
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	err := root.ExecuteContext(ctx)
	var usage usageError
	var stop *client.StopError
	switch {
	case err == nil, errors.Is(err, errDone):
		return exitDone
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return exitInterrupted
	case errors.As(err, &usage):
		complain(s, err, "lookalong-customer chat --help shows the flags")
		return exitUsage
	case errors.As(err, &stop):
		complain(s, err, "")
		if stop.Code == protocol.CloseAuth || stop.Code == protocol.CloseRevoked {
			return exitSignIn
		}
		return exitFailed
	case errors.Is(err, errUnreachable), errors.Is(err, client.ErrUnreachable):
		complain(s, err, "check the address and that the server runs")
		return exitUnreachable
	}
	complain(s, err, "")
	return exitFailed
}

func complain(s term.Streams, err error, hint string) {
	fmt.Fprintf(s.Err, "lookalong-customer: %s\n", term.Line(err.Error()))
	if hint != "" {
		fmt.Fprintf(s.Err, "hint: %s\n", hint)
	}
}

func newRootCmd(s term.Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "lookalong-customer COMMAND",
		Short: "Ask for help from a terminal, and show a picture",
		Example: `  lookalong-customer chat --server https://help.example.com
  echo "The printer is on fire" | lookalong-customer chat --server https://help.example.com --once
  lookalong-customer chat --server http://localhost:8080 --accept view,direct --json`,
		Args: cobra.NoArgs, SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newChatCmd(s, run))
	return root
}

// chatFlags are the flags of chat as they were written.
type chatFlags struct {
	server, home, image, size string
	accept                    []string
	verbose                   bool
}

func newChatCmd(s term.Streams, run func(context.Context, Options, term.Streams) error) *cobra.Command {
	var o Options
	var f chatFlags
	cmd := &cobra.Command{
		Use:   "chat --server URL",
		Short: "Chat with the team; agents may ask to see a picture",
		Long: `Lines of the input go to the team; what others write goes to the output. Nothing is shown to anybody unless
you say so: by --share, by --accept view, or by an answer at the terminal. What is shown is a test pattern.

Lines that start with a slash are commands: /share /stop /allow /deny /norecord /direct TEXT
/hangup /quit. /norecord ends a recording by the agent.

With --json each line of the output is an object with version 1, an event and a time. The events are online,
offline, conversation, message, sent, refused, asked, session, consent, recording, picture, direct, direct_sent, direct_ack
and error.

Exit codes: 0 done, 1 failed, 2 wrong usage, 4 the key is not accepted, 6 the server can't be reached, 130 interrupted.`,
		Example: `  lookalong-customer chat --server http://localhost:8080 --share --for 1m
  echo "Hello" | lookalong-customer chat --server http://localhost:8080 --once`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("%q is not expected here", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.fill(&o, s); err != nil {
				return err
			}
			return run(cmd.Context(), o, s)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.server, "server", os.Getenv("LOOKALONG_SERVER"), "address of the server (or LOOKALONG_SERVER)")
	flags.StringVar(&f.home, "home", "", "folder of the customer's key (default LOOKALONG_HOME, else the system's)")
	flags.StringSliceVar(&f.accept, "accept", nil, "say yes when an agent asks: view, direct, record")
	flags.BoolVar(&o.Share, "share", false, "share the picture as soon as an agent is there")
	flags.BoolVar(&o.KeepSharing, "keep-sharing", false, "go on after 30 minutes without being asked")
	flags.StringVar(&f.size, "size", "1280x720", "size of the test pattern in pixels")
	flags.IntVar(&o.FPS, "fps", 15, "pictures a second, 1 to 60")
	flags.StringVar(&f.image, "image", "auto", "image format: auto, png or jpeg")
	flags.BoolVar(&o.JSON, "json", false, "print events as JSON Lines")
	flags.BoolVar(&o.Once, "once", false, "send the input and leave when it is stored")
	flags.DurationVar(&o.For, "for", 0, "leave after this time, like 30s")
	flags.BoolVar(&f.verbose, "verbose", false, "log to stderr what happens on the connection")
	return cmd
}

// fill checks the flags and turns them into options.
func (f *chatFlags) fill(o *Options, s term.Streams) error {
	bad := func(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
	if f.server == "" {
		return bad("which server? Pass --server URL")
	}
	o.Server = f.server
	for _, a := range f.accept {
		switch strings.TrimSpace(a) {
		case "view":
			o.AcceptView, o.AcceptPeer = true, true // the picture needs the connection
		case "direct":
			o.AcceptPeer = true
		case "record":
			o.AcceptRecord = true
		default:
			return bad("--accept knows view, direct and record, not %q", a)
		}
	}
	if o.FPS < 1 || o.FPS > 60 {
		return bad("--fps must be 1 to 60")
	}
	if o.For < 0 {
		return bad("--for must not be negative")
	}
	if f.image != "auto" && f.image != "png" && f.image != "jpeg" {
		return bad("--image must be auto, png or jpeg")
	}
	o.Image = f.image
	w, h, ok := strings.Cut(f.size, "x")
	width, err1 := strconv.Atoi(w)
	height, err2 := strconv.Atoi(h)
	if !ok || err1 != nil || err2 != nil {
		return bad("--size must be like 1280x720")
	}
	if _, err := capture.NewPattern(width, height); err != nil {
		return usageError{err}
	}
	o.NewSource = func() (capture.Source, error) { return capture.NewPattern(width, height) }
	level := slog.LevelError
	if f.verbose {
		level = slog.LevelDebug
	}
	options := &slog.HandlerOptions{Level: level}
	o.Log = slog.New(slog.NewJSONHandler(s.Err, options))
	if s.ErrTTY {
		o.Log = slog.New(slog.NewTextHandler(s.Err, options))
	}
	home := f.home
	if home == "" {
		var err error
		if home, err = homeDir(os.Getenv); err != nil {
			return err
		}
	}
	key, err := loadKey(home)
	o.Key = key
	return err
}
