package cli

// Exit codes and error texts: the one place where an error becomes a sentence, a hint and a number.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// The exit codes; exitTable is their documentation.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRace        = 3
	exitSignIn      = 4
	exitDeclined    = 5
	exitUnreachable = 6
	exitInterrupted = 130
)

var exitTable = []struct {
	code    int
	meaning string
}{
	{exitDone, "done (also: nothing in the queue)"},
	{exitFailed, "failed"},
	{exitUsage, "wrong usage"},
	{exitRace, "lost a race: somebody else took the conversation"},
	{exitSignIn, "sign-in needed: lookalong login URL"},
	{exitDeclined, "the customer declined"},
	{exitUnreachable, "the server or the customer could not be reached"},
	{exitInterrupted, "interrupted (Ctrl-C)"},
}

func newExitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("Each command ends with one of these exit codes:\n")
	for _, row := range exitTable {
		fmt.Fprintf(&b, "\n%5d  %s", row.code, row.meaning)
	}
	return &cobra.Command{Use: "exit-codes", Short: "What each exit code means", Long: b.String()}
}

// fail is an error with its own exit code and hint.
type fail struct {
	code int
	text string
	hint string
}

func (f *fail) Error() string { return f.text }

// usage makes an error of cobra one about wrong usage; nil stays nil.
func usage(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return &fail{code: exitUsage, text: err.Error(), hint: cmd.CommandPath() + " --help shows how it is used"}
}

// explain prints an error as one line and a hint, and returns its exit code. Error texts come from strangers too
// (the server), so they pass term.Line.
func (a *app) explain(err error) int {
	code, text, hint := a.meaning(err)
	if text != "" {
		fmt.Fprintf(a.io.Err, "lookalong: %s\n", term.Line(text))
	}
	if hint != "" {
		fmt.Fprintf(a.io.Err, "hint: %s\n", term.Line(hint))
	}
	return code
}

// meaning maps an error to exit code, sentence and hint.
func (a *app) meaning(err error) (code int, text, hint string) {
	var (
		own     *fail
		refused *protocol.UserError
		stop    *client.StopError
		path    *fs.PathError
	)
	switch {
	case err == nil:
		return exitDone, "", ""
	case errors.As(err, &own):
		return own.code, own.text, own.hint
	case errors.Is(err, context.Canceled):
		return exitInterrupted, "", ""
	case errors.Is(err, context.DeadlineExceeded):
		return exitUnreachable, "the server did not answer in time", "try again; --verbose shows what happens on the connection"
	case errors.As(err, &refused):
		code, hint = refusal(refused.Code)
		return code, sentenceCase(refused.Text), hint
	case errors.As(err, &stop):
		switch stop.Code {
		case protocol.CloseAuth, protocol.CloseRevoked:
			return exitSignIn, sentenceCase(stop.Text), "ask for an invite, then: lookalong login URL < invite"
		case protocol.CloseVersion, protocol.CloseBadMessage:
			return exitFailed, sentenceCase(stop.Text), "lookalong version shows this one"
		}
		return exitFailed, sentenceCase(stop.Text), ""
	case errors.Is(err, client.ErrUnreachable):
		return exitUnreachable, strings.TrimPrefix(err.Error(), "client: "), "check the address and your network; the server may be down"
	case errors.Is(err, client.ErrOffline):
		return exitUnreachable, "the connection to the server was lost: " + strings.TrimPrefix(err.Error(), "client: "), "try again"
	case errors.As(err, &path):
		return exitFailed, err.Error(), ""
	case strings.HasPrefix(err.Error(), "unknown command"):
		first, _, _ := strings.Cut(err.Error(), "\n")
		return exitUsage, first, "lookalong --help lists the commands"
	}
	return exitFailed, err.Error(), ""
}

// refusal maps the server's error codes.
func refusal(c protocol.Code) (code int, hint string) {
	switch c {
	case protocol.CodeTaken:
		return exitRace, "lookalong queue shows who else waits"
	case protocol.CodeAuth, protocol.CodeInvite, protocol.CodeRevoked:
		return exitSignIn, "ask for an invite, then: lookalong login URL < invite"
	case protocol.CodeNotOwner:
		return exitFailed, "lookalong claim ID takes it, if nobody else has it"
	case protocol.CodeTooMany, protocol.CodeIPLimit:
		return exitFailed, "close other lookalong programs that are still running"
	case protocol.CodeOffline:
		return exitUnreachable, ""
	case protocol.CodeBusy, protocol.CodeRate, protocol.CodeRetry, protocol.CodeReadOnly:
		return exitFailed, "try again in a moment"
	}
	return exitFailed, ""
}

// sentenceCase fits a sentence of the server behind "lookalong: ": no capital of an ordinary word, no full stop.
func sentenceCase(s string) string {
	s = strings.TrimSuffix(s, ".")
	first, rest, _ := strings.Cut(s, " ")
	for _, word := range []string{"The", "This", "There", "Taken", "Nobody", "You", "A", "Too", "Somebody", "Messages", "That", "Something"} {
		if first == word {
			return strings.ToLower(first) + " " + rest
		}
	}
	return s
}
