package cli

// whoami, agents and status: who is here, and in what mood.

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

type whoamiOptions struct {
	app  *app
	json bool
}

func newWhoamiCmd(a *app) *cobra.Command {
	o := &whoamiOptions{app: a}
	cmd := &cobra.Command{
		Use:               "whoami",
		Short:             "Show who you are signed in as",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return runWhoami(cmd.Context(), o) },
	}
	jsonFlag(cmd, &o.json, "print one JSON object")
	return cmd
}

func runWhoami(ctx context.Context, o *whoamiOptions) error {
	a := o.app
	cfg, _, err := a.load()
	if err != nil {
		return err
	}
	l, err := a.connect(ctx, client.Config{})
	if err != nil {
		return err
	}
	defer l.close()
	w := l.Welcome()
	if o.json {
		var id protocol.AgentID
		if w.Agent != nil {
			id = w.Agent.ID
		}
		return printJSON(a.io.Out, struct {
			Version int               `json:"version"`
			Server  string            `json:"server"`
			Site    string            `json:"site"`
			ID      protocol.AgentID  `json:"id"`
			Name    string            `json:"name"`
			Role    string            `json:"role"`
			Device  protocol.DeviceID `json:"device"`
		}{1, cfg.Server, w.SiteName, id, agentName(w), w.Role, w.Device})
	}
	fmt.Fprintf(a.io.Out, "%s (%s) at %s, %s\n", term.Line(agentName(w)), term.Line(w.Role), term.Line(w.SiteName), term.Line(cfg.Server))
	return nil
}

// agents asks for the team.
func agents(ctx context.Context, l *link) ([]protocol.AgentInfo, error) {
	list, err := ask[protocol.PresenceAgents](ctx, l, protocol.PresenceList{})
	return list.Agents, err
}

func newAgentsCmd(a *app) *cobra.Command {
	o := &whoamiOptions{app: a}
	cmd := &cobra.Command{
		Use:               "agents",
		Short:             "Show who of the team is there",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return runAgents(cmd.Context(), o) },
	}
	jsonFlag(cmd, &o.json, "print one JSON object")
	return cmd
}

func runAgents(ctx context.Context, o *whoamiOptions) error {
	a := o.app
	l, err := a.connect(ctx, client.Config{})
	if err != nil {
		return err
	}
	defer l.close()
	list, err := agents(ctx, l)
	if err != nil {
		return err
	}
	if o.json {
		if list == nil {
			list = []protocol.AgentInfo{}
		}
		return printJSON(a.io.Out, struct {
			Version int                  `json:"version"`
			Agents  []protocol.AgentInfo `json:"agents"`
		}{1, list})
	}
	me := l.Welcome().Agent
	for _, one := range list {
		you := ""
		if me != nil && me.ID == one.ID {
			you = " (you)"
		}
		fmt.Fprintf(a.io.Out, "%s%s%s\n", term.Pad(one.Status, 11), term.Line(one.Name), you)
	}
	return nil
}

type statusOptions struct {
	app   *app
	set   string
	short bool
	json  bool
}

func newStatusCmd(a *app) *cobra.Command {
	o := &statusOptions{app: a}
	cmd := &cobra.Command{
		Use:   "status [available|busy|away]",
		Short: "Show or set whether you are there for customers",
		Long:  "You count as there while a chat, tail, share or queue --watch of yours is open; the status says what colleagues and customers see then.",
		Example: `  lookalong status away
  lookalong status --short       one line for prompts and status bars`,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"available", "busy", "away"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.set = args[0]
			}
			return runStatus(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.short, "short", false, "print one short line: status, waiting, unread")
	jsonFlag(cmd, &o.json, "print one JSON object")
	return cmd
}

func runStatus(ctx context.Context, o *statusOptions) error {
	a := o.app
	l, err := a.connect(ctx, client.Config{})
	if err != nil {
		return err
	}
	defer l.close()
	if o.set != "" {
		if _, err := ask[protocol.Ack](ctx, l, protocol.PresenceStatus{Status: o.set}); err != nil {
			return err
		}
	}
	list, err := agents(ctx, l)
	if err != nil {
		return err
	}
	me := protocol.AgentInfo{Status: "offline"}
	for _, one := range list {
		if w := l.Welcome().Agent; w != nil && w.ID == one.ID {
			me = one
		}
	}
	mine, err := l.lists(ctx, "mine")
	if err != nil {
		return err
	}
	queue, err := ask[protocol.QueueState](ctx, l, protocol.QueueList{})
	if err != nil {
		return err
	}
	var unread int64
	for _, item := range mine {
		unread += item.Unread
	}
	switch {
	case o.json:
		return printJSON(a.io.Out, struct {
			Version int    `json:"version"`
			Name    string `json:"name"`
			Status  string `json:"status"` // as others see it: offline without a standing connection
			Set     string `json:"set,omitempty"`
			Mine    int    `json:"mine"`
			Waiting int    `json:"waiting"`
			Unread  int64  `json:"unread"`
		}{1, me.Name, me.Status, o.set, len(mine), queue.Total, unread})
	case o.short:
		fmt.Fprintf(a.io.Out, "%s %d waiting %d unread\n", term.Line(me.Status), queue.Total, unread)
	case o.set != "":
		a.note("You are %s now.", o.set)
		if me.Status == "offline" {
			a.note("Others see it as soon as you open a chat or lookalong queue --watch.")
		}
	default:
		fmt.Fprintf(a.io.Out, "%s: %s, %d of your own, %d waiting, %d unread\n", term.Line(me.Name), term.Line(me.Status), len(mine), queue.Total, unread)
	}
	return nil
}
