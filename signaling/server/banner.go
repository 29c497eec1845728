package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/signaling/store"
)

// firstInvite is the file in the data folder that holds the first agent's invite until somebody used it.
const firstInvite = "first-invite"

// invitation is what the first agent logs in with.
type invitation struct {
	path    string // of the file; empty: none is needed, or
	missing error  // why none could be written
}

// prepareInvite writes the first agent's invite into the data folder while there is no agent, and removes it once
// there is one. What the disk refuses is no reason not to start: customers may be served, and there may be room later.
func prepareInvite(ctx context.Context, data string) (invitation, error) {
	path := filepath.Join(data, firstInvite)
	needed := false
	err := store.Use(ctx, anyRoom(data), func(ctx context.Context, s *store.Store) error {
		known, err := s.HasAgents(ctx)
		if err != nil || known {
			return err
		}
		needed = true
		token, err := store.Sync(ctx, func(done func(string, error)) error {
			return s.CreateInvite("Admin", store.RoleAdmin, store.InviteTTL, done)
		})
		if err != nil {
			return err
		}
		return replaceFile(path, token+"\n")
	})
	switch {
	case trouble(err) != nil || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return invitation{missing: err}, nil
	case err != nil:
		return invitation{}, folderError(fmt.Errorf("the first invite could not be written: %w", err))
	case needed:
		return invitation{path: path}, nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return invitation{}, folderError(err)
	}
	return invitation{}, nil
}

// replaceFile writes a private file anew, or leaves none: half of an invite is none.
func replaceFile(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		_ = os.Remove(path) // err says more
		return err
	}
	return nil
}

// anyRoom opens the data for a write that an operator asked for: it is tried however little space is left.
func anyRoom(data string) store.Options {
	return store.Options{Dir: data, StopNewBelow: -1, ReadOnlyBelow: -1}
}

// banner says in a few lines what to do next; what was done already is left out.
func (o *ServeOptions) banner(cfg Config, invite invitation) {
	address := o.URL
	if address == "" {
		_, port, _ := net.SplitHostPort(cfg.Listener.Addr().String())
		address = "http://localhost:" + port
	}
	program := "lookalong"
	if beside := filepath.Join(filepath.Dir(os.Args[0]), "lookalong"); strings.ContainsRune(os.Args[0], filepath.Separator) {
		if _, err := os.Stat(beside); err == nil {
			program = beside
		}
	}
	fmt.Fprintf(o.streams.Out, "Lookalong is running. Stop it with Ctrl-C; everything it keeps is in %s.\n\n", o.Data)
	fmt.Fprintf(o.streams.Out, "  Customer, in a browser:            %s\n", address)
	switch {
	case invite.missing != nil:
		fmt.Fprintf(o.streams.Out, "  There may be no agent yet, and no invite could be written: %s.\n", term.Line(strings.TrimPrefix(invite.missing.Error(), "store: ")))
		fmt.Fprintf(o.streams.Out, "  When the disk has room, restart the server, or make one:\n  lookalong-signaling invite --name Admin --role admin --data %s\n\n", o.Data)
	case invite.path != "":
		fmt.Fprintf(o.streams.Out, "  Agent, in a second terminal:       %s login %s < %s && %s chat --next\n\n", program, address, invite.path, program)
	default:
		fmt.Fprintf(o.streams.Out, "  Agent, in a second terminal:       %s chat --next\n\n", program)
	}
}
