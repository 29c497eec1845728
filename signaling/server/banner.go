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

	"github.com/lookalong/lookalong/signaling/store"
)

// firstInvite is the file in the data folder that holds the first agent's invite until somebody used it.
const firstInvite = "first-invite"

// prepareInvite writes the first agent's invite into the data folder while there is no agent, and removes it once
// there is one. It returns the file's path, or nothing when it isn't needed any more.
func prepareInvite(ctx context.Context, data string) (string, error) {
	path := filepath.Join(data, firstInvite)
	needed := false
	err := store.Use(ctx, store.Options{Dir: data}, func(ctx context.Context, s *store.Store) error {
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
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.WriteFile(path, []byte(token+"\n"), 0o600)
	})
	if err != nil {
		return "", folderError(fmt.Errorf("the first invite could not be written: %w", err))
	}
	if !needed {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", folderError(err)
		}
		return "", nil
	}
	return path, nil
}

// banner says in a few lines what to do next; what was done already is left out.
func (o *ServeOptions) banner(cfg Config, invite string) {
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
	if invite != "" {
		fmt.Fprintf(o.streams.Out, "  Agent, in a second terminal:       %s login %s < %s && %s chat --next\n\n", program, address, invite, program)
		return
	}
	fmt.Fprintf(o.streams.Out, "  Agent, in a second terminal:       %s chat --next\n\n", program)
}
