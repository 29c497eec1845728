package cli

// claim, release and close: whose a conversation is.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

type claimOptions struct {
	app  *app
	id   string
	next bool
	hold time.Duration
	json bool
}

func newClaimCmd(a *app) *cobra.Command {
	o := &claimOptions{app: a}
	cmd := &cobra.Command{
		Use:   "claim [ID|--next]",
		Short: "Take a waiting customer; exactly one agent gets each",
		Long:  "The claim lasts for the time of --hold, or for as long as a chat, tail or share of it is open and a minute more.",
		Example: `  lookalong claim --next         the one who waits longest
  lookalong claim 4f2a --hold 1h`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeIDs("waiting"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.id = args[0]
			}
			if (o.id == "") != o.next {
				return usage(cmd, errors.New("give a conversation, or --next"))
			}
			if o.hold < time.Second || o.hold > 24*time.Hour {
				return usage(cmd, errors.New("--hold is from 1s to 24h"))
			}
			return runClaim(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.next, "next", false, "the conversation that waits longest")
	cmd.Flags().DurationVar(&o.hold, "hold", 15*time.Minute, "how long the claim lasts without an open chat")
	jsonFlag(cmd, &o.json, "print one JSON object; conversation is null when nobody waits")
	return cmd
}

func runClaim(ctx context.Context, o *claimOptions) error {
	a := o.app
	l, err := a.connect(ctx, client.Config{})
	if err != nil {
		return err
	}
	defer l.close()
	claim := protocol.QueueClaim{HoldMs: o.hold.Milliseconds()}
	if !o.next {
		item, err := resolve(ctx, l, o.id)
		if err != nil {
			return err
		}
		claim.Conversation = item.Conversation
	}
	type answer struct {
		Version      int                      `json:"version"`
		Conversation *protocol.ConversationID `json:"conversation"`
		LapsesAt     *time.Time               `json:"lapsesAt"`
	}
	state, err := ask[protocol.ConversationState](ctx, l, claim)
	var refused *protocol.UserError
	if o.next && errors.As(err, &refused) && refused.Code == protocol.CodeNotFound {
		if o.json {
			return printJSON(a.io.Out, answer{Version: 1})
		}
		a.note("Nobody is waiting.")
		return nil
	}
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(a.io.Out, answer{1, &state.Conversation, state.LapsesAt})
	}
	fmt.Fprintln(a.io.Out, short(state.Conversation))
	if page := pageOf(state.Page); page != "" {
		a.note("%s, on “%s”", state.Presence, page)
	}
	a.note("lookalong chat %s opens it.", short(state.Conversation))
	return nil
}

// newIDCmd is a command that does one thing to one conversation.
func newIDCmd(a *app, use, what, long, done string, request func(protocol.ConversationID) any) *cobra.Command {
	return &cobra.Command{
		Use:               use + " ID",
		Short:             what,
		Long:              long,
		Example:           "  lookalong " + use + " 4f2a",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeIDs("mine"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := a.connect(cmd.Context(), client.Config{})
			if err != nil {
				return err
			}
			defer l.close()
			item, err := resolve(cmd.Context(), l, args[0])
			if err != nil {
				return err
			}
			if _, err := ask[protocol.Ack](cmd.Context(), l, request(item.Conversation)); err != nil {
				return err
			}
			a.note(done, short(item.Conversation))
			return nil
		},
	}
}

func newReleaseCmd(a *app) *cobra.Command {
	return newIDCmd(a, "release", "Put a customer back into the queue, at the old place", "",
		"%s waits again.", func(id protocol.ConversationID) any { return protocol.QueueRelease{Conversation: id} })
}

func newCloseCmd(a *app) *cobra.Command {
	return newIDCmd(a, "close", "Close a conversation; the customer can reopen it for 7 days", "",
		"%s is closed.", func(id protocol.ConversationID) any { return protocol.ConversationClose{Conversation: id} })
}
