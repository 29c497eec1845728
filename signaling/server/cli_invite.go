package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/signaling/store"
)

// newInviteCmd makes invites on the server's machine, also while the server runs.
func newInviteCmd(s term.Streams) *cobra.Command {
	var name, role, data string
	cmd := &cobra.Command{
		Use: "invite", Short: "Make an invite for an agent; prints one line", Args: noArgs,
		Example: `  lookalong-signaling invite --name "Ana" --role agent --data ./data
  lookalong-signaling invite --name "Ana" | ssh ana@laptop lookalong login https://help.example.com`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(name) == "" || len([]rune(name)) > 40 || term.Line(name) != name {
				return usageError{errors.New("--name is needed: what customers see, at most 40 printable characters")}
			}
			if role != "agent" && role != "lead" && role != "admin" {
				return usageError{fmt.Errorf("--role %q is not agent, lead or admin", role)}
			}
			if _, err := os.Stat(data); err != nil {
				return folderError(fmt.Errorf("the data folder %s does not exist", data))
			}
			err := store.Use(cmd.Context(), anyRoom(data), func(ctx context.Context, st *store.Store) error {
				token, err := store.Sync(ctx, func(done func(string, error)) error {
					return st.CreateInvite(name, store.Role(role), store.InviteTTL, done)
				})
				if err != nil {
					return err
				}
				fmt.Fprintln(s.Out, token)
				fmt.Fprintln(s.Err, "Good for 24 hours and one login; give it to the agent on a private way.")
				return nil
			})
			if trouble(err) != nil { // of the disk: the hint says what to do
				return folderError(err)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the agent's name, as customers see it")
	cmd.Flags().StringVar(&role, "role", "agent", "agent, lead or admin")
	cmd.Flags().StringVar(&data, "data", "data", "the server's data folder")
	return cmd
}
