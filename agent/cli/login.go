package cli

// login and logout: from an invite to a device key, and back.

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	xterm "golang.org/x/term"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

type loginOptions struct {
	app    *app
	server string
}

func newLoginCmd(a *app) *cobra.Command {
	o := &loginOptions{app: a}
	return &cobra.Command{
		Use:   "login URL",
		Short: "Sign this device in with an invite",
		Long:  "Reads the invite, one line, from standard input (on a terminal it asks for it), makes a key for this device and stores it.\nThe invite is good once. It is never given as an argument: other programs could read it there.",
		Example: `  lookalong login https://help.example.com < invite.txt
  lookalong login https://help.example.com          asks for the invite`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.server = args[0]
			return runLogin(cmd.Context(), o)
		},
	}
}

func runLogin(ctx context.Context, o *loginOptions) error {
	a := o.app
	server := strings.TrimRight(o.server, "/")
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	pending := deviceKey(key)
	if _, err := client.New(client.Config{URL: server, Role: "agent", Key: key}); err != nil {
		return &fail{exitUsage, "“" + o.server + "” is not a server address", "it looks like https://help.example.com"}
	}
	dir, err := a.makeHome() // a place that can't take the key must be known before the invite is spent
	if err != nil {
		return err
	}
	_, err = os.Stat(filepath.Join(dir, keyFile))
	again := err == nil
	invite, err := a.readInvite()
	if err != nil {
		return err
	}
	if pending, err = a.savePending(pending); err != nil {
		return err
	}
	device, _ := os.Hostname()
	l, err := a.start(ctx, client.Config{URL: server, Key: ed25519.PrivateKey(pending), Invite: invite, Device: clip(device, 64), FailFast: true})
	if err != nil {
		return err
	}
	if err := l.ready(ctx); err != nil {
		if stop := (*client.StopError)(nil); errors.As(err, &stop) {
			return errors.Join(err, a.dropPending()) // the server has not taken the key
		}
		return err
	}
	defer l.close()
	if err := a.save(config{Server: server}, pending); err != nil {
		return err
	}
	if err := a.dropPending(); err != nil {
		return err
	}
	w := l.Welcome()
	a.note("Signed in to %s as %s (%s).", server, agentName(w), w.Role)
	if again {
		a.note("The sign-in that this device had before is replaced.")
	}
	a.note("lookalong chat --next takes the next customer; lookalong --help shows the rest.")
	return nil
}

func agentName(w protocol.HelloWelcome) string {
	if w.Agent == nil {
		return "?"
	}
	return w.Agent.Name
}

func clip(s string, n int) string {
	r := []rune(s)
	return string(r[:min(len(r), n)])
}

// readInvite reads one line of stdin: without an echo on a terminal.
func (a *app) readInvite() (string, error) {
	need := &fail{exitUsage, "no invite on standard input", "lookalong login URL < invite.txt, or run it in a terminal"}
	var line string
	if f, ok := a.io.In.(*os.File); ok && a.io.InTTY {
		if !a.io.CanPrompt {
			return "", need
		}
		_, _ = io.WriteString(a.io.Err, "Invite (it is not shown): ")
		data, err := xterm.ReadPassword(int(f.Fd()))
		_, _ = io.WriteString(a.io.Err, "\n")
		if err != nil {
			return "", err
		}
		line = string(data)
	} else {
		r := bufio.NewReader(io.LimitReader(a.io.In, 4096))
		var err error
		if line, err = r.ReadString('\n'); err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
	}
	line = strings.TrimSpace(line)
	switch {
	case line == "":
		return "", need
	case len(line) > 128 || line != term.Line(line) || strings.ContainsAny(line, " \t"):
		return "", &fail{exitUsage, "this is not an invite", "an invite is one word on one line, as lookalong-signaling invite prints it"}
	}
	return line, nil
}

func newLogoutCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "logout",
		Short:             "Forget this device's key",
		Long:              "Removes the key and the configuration from this device. To sign in again you need a new invite.",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if err := a.forget(); err != nil {
				return err
			}
			a.note("Signed out. The key was removed from this device.")
			return nil
		},
	}
}
