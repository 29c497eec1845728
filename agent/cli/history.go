package cli

// history: what was said.

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

type historyOptions struct {
	app   *app
	id    string
	limit int
	json  bool
}

func newHistoryCmd(a *app) *cobra.Command {
	o := &historyOptions{app: a}
	cmd := &cobra.Command{
		Use:   "history [ID]",
		Short: "Show what was said, or without an ID the recent conversations",
		Long:  "Reading a conversation that is somebody else's is recorded and shown to colleagues.",
		Example: `  lookalong history
  lookalong history 4f2a -n 500`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeIDs("mine", "recent"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.id = args[0]
			}
			if o.limit < 1 {
				return usage(cmd, fmt.Errorf("-n is 1 or more"))
			}
			return runHistory(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVarP(&o.limit, "limit", "n", 50, "at most this many, the latest")
	jsonFlag(cmd, &o.json, "print one JSON object; with an ID one message a line")
	return cmd
}

func runHistory(ctx context.Context, o *historyOptions) error {
	a := o.app
	l, err := a.connect(ctx, client.Config{})
	if err != nil {
		return err
	}
	defer l.close()
	if o.id == "" {
		items, err := l.lists(ctx, "recent")
		if err != nil {
			return err
		}
		items = items[:min(len(items), o.limit)]
		if o.json {
			return printJSON(a.io.Out, struct {
				Version       int        `json:"version"`
				Conversations []jsonItem `json:"conversations"`
			}{1, toJSON(items)})
		}
		if len(items) == 0 {
			a.note("There are no conversations yet.")
			return nil
		}
		a.printItems(items, time.Now())
		return nil
	}
	item, err := resolve(ctx, l, o.id)
	if err != nil {
		return err
	}
	messages, err := lastMessages(ctx, l, item.Conversation, o.limit)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if o.json {
			if err := printJSON(a.io.Out, messageJSON(m)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(a.io.Out, a.messageLine(m, time.Now()))
	}
	if len(messages) == 0 && !o.json {
		a.note("Nothing was said yet.")
	}
	return nil
}

// lastMessages reads the last n messages, ascending.
func lastMessages(ctx context.Context, l *link, id protocol.ConversationID, n int) ([]protocol.ChatMessage, error) {
	var out []protocol.ChatMessage // descending pages, each ascending
	before := int64(1) << 52       // beyond any number, exact in JSON
	for len(out) < n {
		page, err := ask[protocol.ChatPage](ctx, l, protocol.ChatHistory{Conversation: id, Before: before, Limit: min(n-len(out), 100)})
		if err != nil {
			return nil, err
		}
		if len(page.Messages) == 0 {
			break
		}
		for _, m := range slices.Backward(page.Messages) {
			out = append(out, m)
		}
		if before = page.Messages[0].Seq; before <= 1 {
			break
		}
	}
	slices.Reverse(out)
	return out, nil
}
