package cli

// share: ask to see the screen, show it, and end with it.

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/agent/support"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

type shareOptions struct {
	oneOptions
	viewerOptions
}

func newShareCmd(a *app) *cobra.Command {
	o := &shareOptions{oneOptions: oneOptions{app: a}}
	cmd := &cobra.Command{
		Use:   "share ID",
		Short: "Ask to see the customer's screen; runs until the share ends",
		Long:  "The customer chooses what to show, or says no. The picture goes from computer to computer into a page on this\nmachine that only you can open. Over SSH, or with --no-open, its address is printed.",
		Example: `  lookalong share 4f2a
  lookalong share 4f2a --no-open --viewer-port 8899`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeIDs("mine", "waiting"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			return runShare(cmd.Context(), o)
		},
	}
	o.flags(cmd)
	return cmd
}

func runShare(ctx context.Context, o *shareOptions) error {
	a := o.app
	r, err := o.claimed(ctx, o.viewerPort)
	if err != nil {
		return err
	}
	defer r.close()
	view := &viewing{room: r, noOpen: o.noOpen, note: a.note, wanted: true}
	if o.noOpen {
		view.print = func(url string) { fmt.Fprintln(a.io.Out, url) }
	}
	shown, said := false, ""
	r.onStatus = func(s support.Status) {
		shown = shown || s.View == "on"
		var end error
		over := true
		switch {
		case s.State == "ended":
			end = endOf(s, shown)
		case s.View == "off" && s.Cause != "": // no picture any more: this command has nothing left to do
			end = noPicture(s, shown)
		default:
			over = false
		}
		if words := s.Sentence(); end == nil && words != "" && words != said {
			said = words
			a.note("%s", words)
		}
		if over {
			r.finish(end)
			return
		}
		view.follow(s)
	}
	r.onLink = func(s client.State, err error) {
		if s == client.Waiting {
			a.note("Connection to the server lost (%v). The picture goes on while the direct connection holds.", err)
		}
	}
	r.onState = func(_, now protocol.ConversationState) {
		if !r.mine() {
			r.finish(&fail{exitFailed, "the conversation is not yours any more", ""})
		}
	}
	r.onTick = view.tick
	r.ctl.Share(func(err error) {
		r.post(func() {
			if err != nil {
				r.finish(err)
			} else if o.noOpen {
				view.show() // the page can be opened before the customer answers
			}
		})
	})
	return r.run(ctx)
}

// noPicture is how share ends when the customer's picture does.
func noPicture(s support.Status, shown bool) error {
	cause := s.Cause
	if s.Reason == "refused" || s.Reason == "declined" {
		cause = s.Reason
	}
	switch cause {
	case "declined", "dismissed", "refused":
		if !shown {
			return &fail{exitDeclined, "the customer said no, or chose nothing to show", ""}
		}
	case "timeout":
		return &fail{exitUnreachable, "the customer did not answer", "ask in the chat, then try again"}
	case "failed", "not_possible":
		return &fail{exitFailed, "the customer's device or browser can't show its screen", ""}
	}
	return nil
}
