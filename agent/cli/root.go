// Package cli is the agent's program: one file a command, one exit code a kind of end (exit.go). Commands write
// the answer to Out and everything else to Err; none touches the process's own streams.
package cli

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"

	"github.com/pion/transport/v5"
	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/internal/term"
)

// app is what every command gets.
type app struct {
	io      term.Streams
	noInput bool
	colour  string // auto, always, never
	verbose bool
	getenv  func(string) string
	net     transport.Net // of Config
}

// Config is what a program around the commands may change. The zero value is the product's.
type Config struct {
	Net transport.Net // what peer connections open their sockets through; nil: the machine's network
}

// Main runs one command line and returns its exit code (see exit.go). When ctx ends, the command ends politely.
func Main(ctx context.Context, args []string, s term.Streams) int {
	return Config{}.Main(ctx, args, s)
}

// Main is the function of the same name with this configuration.
func (c Config) Main(ctx context.Context, args []string, s term.Streams) int {
	a := &app{io: s, getenv: os.Getenv, net: c.Net}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return a.explain(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "lookalong COMMAND",
		Short: "See a customer's problem with them, from your terminal",
		Example: `  lookalong login https://help.example.com < invite.txt
  lookalong chat --next          take the customer who waits longest
  lookalong queue                who waits, how long, from which page
  lookalong share 4f2a           ask to see the screen`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.settle()
		},
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&a.noInput, "no-input", false, "never ask a question; a needed answer becomes an error")
	flags.StringVar(&a.colour, "color", "auto", "colour on the terminal: auto, always or never")
	flags.BoolVar(&a.verbose, "verbose", false, "log to stderr what happens on the connection")
	root.AddGroup(
		&cobra.Group{ID: "talk", Title: "Helping:"},
		&cobra.Group{ID: "look", Title: "Looking:"},
		&cobra.Group{ID: "self", Title: "Yourself:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("talk", newChatCmd(a), newShareCmd(a), newSnapshotCmd(a), newRecordCmd(a), newClaimCmd(a), newSendCmd(a), newReleaseCmd(a), newCloseCmd(a))
	add("look", newQueueCmd(a), newTailCmd(a), newHistoryCmd(a), newAgentsCmd(a))
	add("self", newLoginCmd(a), newLogoutCmd(a), newWhoamiCmd(a), newStatusCmd(a), newSimulateCmd(a), newVersionCmd(a))
	root.AddCommand(newExitCodesTopic())
	root.SetHelpCommandGroupID("self")
	root.SetCompletionCommandGroupID("self")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Args != nil {
			args := c.Args
			c.Args = func(cmd *cobra.Command, list []string) error { return usage(cmd, args(cmd, list)) }
		}
	}
	args := root.Args
	root.Args = func(cmd *cobra.Command, list []string) error { return usage(cmd, args(cmd, list)) }
	return root
}

// settle applies the global flags.
func (a *app) settle() error {
	switch a.colour {
	case "auto":
	case "always":
		a.io.Colour = true
	case "never":
		a.io.Colour = false
	default:
		return &fail{code: exitUsage, text: "--color is auto, always or never"}
	}
	if a.noInput {
		a.io.CanPrompt = false
	}
	return nil
}

// log is where the connection's log goes: nowhere, or to stderr with --verbose.
func (a *app) log() *slog.Logger {
	if !a.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return logTo(a.io.Err, a.io.ErrTTY)
}

func logTo(w io.Writer, tty bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelDebug}
	if tty {
		return slog.New(slog.NewTextHandler(crlf{w}, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// crlf ends lines also for a terminal in raw mode (chat).
type crlf struct{ w io.Writer }

func (c crlf) Write(b []byte) (int, error) {
	if _, err := c.w.Write(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(b), nil
}
