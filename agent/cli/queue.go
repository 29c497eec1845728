package cli

// queue: who waits.

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/agent/mailbox"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

type queueOptions struct {
	app   *app
	watch bool
	json  bool
}

func newQueueCmd(a *app) *cobra.Command {
	o := &queueOptions{app: a}
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Show who waits, how long, and on which page",
		Example: `  lookalong queue
  lookalong queue --watch        stays, and says when somebody comes or goes
  lookalong queue --json | jq '.conversations | length'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return runQueue(cmd.Context(), o) },
	}
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "stay, and print each change; you count as there meanwhile")
	jsonFlag(cmd, &o.json, "print one JSON object; with --watch one a line at each change")
	return cmd
}

func runQueue(ctx context.Context, o *queueOptions) error {
	if o.watch {
		return watchQueue(ctx, o)
	}
	l, err := o.app.connect(ctx, client.Config{})
	if err != nil {
		return err
	}
	defer l.close()
	state, err := ask[protocol.QueueState](ctx, l, protocol.QueueList{})
	if err != nil {
		return err
	}
	return o.print(state)
}

func (o *queueOptions) print(q protocol.QueueState) error {
	a := o.app
	if o.json {
		return printJSON(a.io.Out, struct {
			Version       int        `json:"version"`
			Total         int        `json:"total"` // may be more than are listed (100)
			Conversations []jsonItem `json:"conversations"`
		}{1, q.Total, toJSON(q.Items)})
	}
	if len(q.Items) == 0 {
		a.note("Nobody is waiting.")
		return nil
	}
	a.printItems(q.Items, time.Now())
	if more := q.Total - len(q.Items); more > 0 {
		a.note("%d more are waiting.", more)
	}
	return nil
}

// watchQueue prints the queue, then each change, until interrupted. It comes back after a lost connection.
func watchQueue(ctx context.Context, o *queueOptions) error {
	a := o.app
	box := mailbox.New[any]()
	type offline struct{ err error }
	var l *link
	set := make(chan struct{}) // l is set
	l, err := a.dial(ctx, client.Config{
		OnMessage: box.Post,
		OnState: func(s client.State, err error) {
			switch s {
			case client.Online:
				<-set
				l.Ask(protocol.QueueList{Watch: true}, func(reply any, err error) {
					if err == nil {
						box.Post(reply)
					}
				})
			case client.Waiting:
				box.Post(offline{err})
			}
		},
	})
	if err != nil {
		return err
	}
	close(set)
	defer l.close()
	if err := l.ready(ctx); err != nil {
		return err
	}
	var known map[protocol.ConversationID]protocol.QueueItem
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.ended:
			return l.err
		case <-box.Wake:
		}
		items, _ := box.Take()
		for _, msg := range items {
			switch m := msg.(type) {
			case offline:
				a.note("Connection lost (%v). Reconnecting…", m.err)
			case protocol.QueueState:
				switch {
				case o.json:
					if err := o.print(m); err != nil {
						return err
					}
				case known == nil:
					_ = o.print(m)
				default:
					a.queueChanges(known, m)
				}
				known = map[protocol.ConversationID]protocol.QueueItem{}
				for _, item := range m.Items {
					known[item.Conversation] = item
				}
			}
		}
	}
}

// queueChanges prints who came and who is gone. The bell rings on a terminal for who came.
func (a *app) queueChanges(known map[protocol.ConversationID]protocol.QueueItem, q protocol.QueueState) {
	now := map[protocol.ConversationID]bool{}
	for _, item := range q.Items {
		now[item.Conversation] = true
		if _, ok := known[item.Conversation]; !ok {
			bell := ""
			if a.io.OutTTY {
				bell = "\a"
			}
			fmt.Fprintf(a.io.Out, "%s+ %s %s\n", bell, short(item.Conversation), term.Cut(pageOf(item.Page)+" "+item.LastText, max(20, a.io.Width-10)))
		}
	}
	for id := range known {
		if !now[id] {
			fmt.Fprintf(a.io.Out, "- %s\n", short(id))
		}
	}
}
