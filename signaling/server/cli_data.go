package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/signaling/store"
)

// dataCmds are the commands for what is in the data folder.
func dataCmds(s term.Streams) []*cobra.Command {
	return []*cobra.Command{newBackupCmd(s), newRestoreCmd(s), newCheckCmd(s), newEraseCmd(s), newConfigCheckCmd(s)}
}

// oneArg wants exactly one argument, and names it when it is missing.
func oneArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return usageError{fmt.Errorf("%s takes one argument, %s", cmd.CommandPath(), name)}
		}
		return nil
	}
}

// dataFlag is --data of a command that uses a folder which is there.
func dataFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("data", "data", "the server's data folder")
}

func needFolder(data string) error {
	if _, err := os.Stat(data); err != nil {
		return hint{fmt.Errorf("the data folder %s does not exist", data), "name the server's folder with --data"}
	}
	return nil
}

func newBackupCmd(s term.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Copy all data into one new file, also while the server runs", Args: oneArg("FILE"),
		Long: `Copy all data into one new file, also while the server runs. The copy is checked before it gets its name,
and a file that is there is never replaced. The data are not changed, also not when they are of an older version:
make a backup before an update, with either program. Keep backups for 7 days at most: what was erased is in them until then.`,
		Example: `  lookalong-signaling backup --data ./data /backup/lookalong-$(date +%F).db`,
	}
	data := dataFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needFolder(*data); err != nil {
			return err
		}
		if insideFolder(args[0], *data) {
			return hint{usageError{fmt.Errorf("%s is inside the data folder: a copy there would be lost together with the data, and keep what is erased later", args[0])},
				"name a file on another disk"}
		}
		c, err := store.BackupFolder(cmd.Context(), *data, args[0])
		if err != nil {
			return readError(*data, err)
		}
		fmt.Fprintln(s.Out, args[0])
		fmt.Fprintf(s.Err, "%d conversations, %d messages, %d bytes; checked.\n", c.Conversations, c.Messages, c.Bytes)
		return nil
	}
	return cmd
}

func newRestoreCmd(s term.Streams) *cobra.Command {
	var o store.RestoreOptions
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Make a backup the data; the server must be stopped", Args: oneArg("FILE"),
		Long: `Make a backup the data of a folder where no server runs. The backup is checked, and what was erased since it was
made (erasures.log in the data folder) is erased again before it takes the place of the data.`,
		Example: `  lookalong-signaling restore --data ./data /backup/lookalong-2026-03-01.db
  lookalong-signaling restore --data /var/lib/lookalong --erase-list old/erasures.log backup.db    # on a new machine`,
	}
	data := dataFlag(cmd)
	cmd.Flags().BoolVar(&o.Force, "force", false, "move data that is there aside, into a new folder replaced-… inside the data folder")
	cmd.Flags().StringVar(&o.EraseList, "erase-list", "", "an erasures.log kept from another data folder")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkEraseList(o.EraseList); err != nil {
			return err
		}
		r, err := store.Restore(cmd.Context(), *data, args[0], o)
		if err != nil {
			return dataError(err)
		}
		fmt.Fprintf(s.Err, "%d conversations, %d messages are in %s.\n", r.Conversations, r.Messages, *data)
		if r.Unlisted {
			fmt.Fprintf(s.Err, "warning: there is no erasures.log in %s: what was erased after the backup was made is back; if a copy was kept, restore again with --force --erase-list\n", *data)
		}
		if r.Erased > 0 {
			fmt.Fprintf(s.Err, "%d conversations of the backup were erased again.\n", r.Erased)
		}
		if r.Aside != "" {
			fmt.Fprintf(s.Err, "The data from before are in %s; remove it once it is not needed: erasures do not reach it.\n", r.Aside)
		}
		return nil
	}
	return cmd
}

// checkResult is the answer of check --json.
type checkResult struct {
	Version       int            `json:"version"`
	Whole         bool           `json:"whole"`
	Conversations int64          `json:"conversations"`
	Messages      int64          `json:"messages"`
	Damage        []store.Damage `json:"damage"`
	More          bool           `json:"more"` // not all of it is listed
}

func newCheckCmd(s term.Streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "check", Short: "Look for damage in the data, also while the server runs; exit code 1 if there is any", Args: noArgs,
		Example: `  lookalong-signaling check --data ./data
  lookalong-signaling check --data ./data --json | jq .damage`,
	}
	data := dataFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := needFolder(*data); err != nil {
			return err
		}
		r, err := store.CheckFolder(cmd.Context(), *data)
		if err != nil {
			return readError(*data, err)
		}
		if asJSON {
			out := checkResult{1, r.Err() == nil, r.Conversations, r.Messages, append([]store.Damage{}, r.Damage...), r.More}
			if err := json.NewEncoder(s.Out).Encode(out); err != nil {
				return err
			}
		} else {
			for _, d := range r.Damage {
				fmt.Fprintln(s.Out, term.Line(d.String()))
			}
			if r.More {
				fmt.Fprintln(s.Out, "…and more")
			}
			fmt.Fprintf(s.Err, "%d conversations and %d messages were looked at.\n", r.Conversations, r.Messages)
		}
		if err := r.Err(); err != nil {
			return dataError(err)
		}
		return nil
	}
	return cmd
}

func newEraseCmd(s term.Streams) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "erase ID", Short: "Erase a conversation from every file, for ever, also while the server runs", Args: oneArg("ID, of a conversation"),
		Long: `Erase a conversation from every file of the data folder, for ever, also while the server runs: its messages, notes,
tags and sessions, its part of the search, and its customer if nothing else of theirs is left. Backups that are kept
elsewhere hold it until they expire; restoring one erases it again.`,
		Example: `  lookalong-signaling erase --data ./data k7qyn2mfe6h4zt5c3rxw9bdaju
  lookalong-signaling erase --data ./data --yes k7qyn2mfe6h4zt5c3rxw9bdaju    # in a script`,
	}
	data := dataFlag(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needFolder(*data); err != nil {
			return err
		}
		if !yes && !s.CanPrompt {
			return usageError{errors.New("erasing can't be undone: pass --yes, or run in a terminal")}
		}
		return store.Use(cmd.Context(), store.Options{Dir: *data}, func(ctx context.Context, st *store.Store) error {
			if !yes {
				c, err := st.Conversation(ctx, args[0])
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					return dataError(err)
				}
				if err == nil && !confirmed(s, fmt.Sprintf("Erase %s (%d messages) for ever?", term.Line(c.ID), c.LastSeq)) {
					return errors.New("nothing was erased")
				}
			}
			e, err := st.Erase(ctx, args[0], store.Actor{Kind: store.KindSystem})
			for _, aside := range e.Aside {
				fmt.Fprintf(s.Err, "It is still in %s, where a restore put the data from before. Remove that folder once it is not needed.\n", aside)
			}
			if err != nil {
				return dataError(err)
			}
			if e.Before {
				fmt.Fprintln(s.Err, "It had been erased before; nothing is left of it in the data.")
				return nil
			}
			fmt.Fprintf(s.Err, "Erased, with %d messages. Backups kept elsewhere hold it until they expire.\n", e.Messages)
			return nil
		})
	}
	return cmd
}

// confirmed asks on the terminal; anything but yes is no.
func confirmed(s term.Streams, question string) bool {
	fmt.Fprintf(s.Err, "%s Type yes: ", question)
	line, err := bufio.NewReader(io.LimitReader(s.In, 100)).ReadString('\n')
	return err == nil && strings.EqualFold(strings.TrimSpace(line), "yes")
}

// dataError adds what to do about an error of the store.
func dataError(err error) error {
	switch {
	case errors.Is(err, store.ErrLocked):
		return hint{err, "stop the server first"}
	case errors.Is(err, store.ErrNewer):
		return hint{err, "install the newer version"}
	case errors.Is(err, store.ErrRemains):
		return hint{err, "the running server goes on by itself; without one, run the command again"}
	case errors.Is(err, store.ErrDamaged):
		return hint{err, "stop the server, keep a copy of the folder, and restore the last whole backup"}
	case errors.Is(err, store.ErrNotFound):
		return hint{errors.New("there is no such conversation"), "take the whole id, as in lookalong queue --json or lookalong history --json"}
	}
	return err
}
