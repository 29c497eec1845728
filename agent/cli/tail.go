package cli

// tail: a conversation as it goes on, for reading along and for scripts.

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

type tailOptions struct {
	oneOptions
	limit int
	json  bool
}

func newTailCmd(a *app) *cobra.Command {
	o := &tailOptions{oneOptions: oneOptions{app: a}}
	cmd := &cobra.Command{
		Use:   "tail ID",
		Short: "Print a conversation as it goes on",
		Long:  "Keeps your own claim while it runs. Following somebody else's conversation is recorded and shown to colleagues.",
		Example: `  lookalong tail 4f2a
  lookalong tail 4f2a --json | jq -r .text`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeIDs("mine", "waiting", "recent"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			if o.limit < 0 {
				return usage(cmd, fmt.Errorf("-n is 0 or more"))
			}
			return runTail(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVarP(&o.limit, "limit", "n", 10, "begin with this many of the last messages")
	jsonFlag(cmd, &o.json, "print one JSON object a line for each message")
	return cmd
}

func runTail(ctx context.Context, o *tailOptions) error {
	a := o.app
	r, item, err := o.room(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	me := r.link.Welcome().Agent
	mine := item.State == "claimed" && item.Agent != nil && me != nil && item.Agent.ID == me.ID
	if err := r.join(ctx, item.Conversation, mine); err != nil {
		return err
	}
	var failed error
	r.onMessage = func(m protocol.ChatMessage) {
		if o.json {
			failed = printJSON(a.io.Out, messageJSON(m))
		} else {
			_, failed = fmt.Fprintln(a.io.Out, a.messageLine(m, time.Now()))
		}
		if failed != nil {
			r.finish(failed) // for instance a closed pipe
		}
		r.mark(m.Seq)
	}
	r.onLink = func(s client.State, err error) {
		if s == client.Waiting {
			a.note("Connection lost (%v). Reconnecting…", err)
		}
	}
	r.onState = func(before, now protocol.ConversationState) {
		if before.State != now.State {
			a.note("%s is %s now.", short(r.id), now.State)
		}
	}
	if err := r.begin(ctx, o.limit); err != nil {
		return err
	}
	return r.run(ctx)
}

// begin shows the last n messages; what comes after them follows live.
func (r *room) begin(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	last, err := lastMessages(ctx, r.link, r.id, n)
	if err != nil {
		return err
	}
	for _, m := range last {
		if m.Seq <= r.follow.Last()+1 {
			r.follow.Seen(m.Seq)
			r.onMessage(m)
		}
	}
	return nil
}
