package cli

// Conversation ids: people type and read a few characters, programs the whole.

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

const (
	shownID = 6 // characters that are printed
	leastID = 4 // characters that are enough, when they are unique
)

// short is how an id is printed for people.
func short(id protocol.ConversationID) string { return string(id[:min(len(id), shownID)]) }

// resolve finds the conversation that a prefix of at least four characters names: among my own, those who wait,
// and the recent ones.
func resolve(ctx context.Context, l *link, prefix string) (protocol.QueueItem, error) {
	prefix = strings.ToLower(strings.TrimSpace(prefix))
	if len(prefix) < leastID {
		return protocol.QueueItem{}, &fail{exitUsage, fmt.Sprintf("%q is too short for a conversation", prefix), fmt.Sprintf("give at least the first %d characters", leastID)}
	}
	items, err := l.lists(ctx, "mine", "waiting", "recent")
	if err != nil {
		return protocol.QueueItem{}, err
	}
	return pick(items, prefix)
}

// pick finds the one item whose id begins with prefix.
func pick(items []protocol.QueueItem, prefix string) (protocol.QueueItem, error) {
	var found []protocol.QueueItem
	for _, item := range items {
		if string(item.Conversation) == prefix {
			return item, nil
		}
		if strings.HasPrefix(string(item.Conversation), prefix) {
			found = append(found, item)
		}
	}
	switch len(found) {
	case 0:
		return protocol.QueueItem{}, &fail{exitFailed, fmt.Sprintf("there is no conversation %q", prefix), "lookalong queue and lookalong history list them"}
	case 1:
		return found[0], nil
	}
	return protocol.QueueItem{}, &fail{exitUsage, fmt.Sprintf("%q is the beginning of %d conversations", prefix, len(found)), "give more characters"}
}

// completeIDs completes conversation ids in shells; it stays silent when the server can't be asked.
func (a *app) completeIDs(scopes ...string) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		const nothing = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 {
			return nil, nothing
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
		defer cancel()
		l, err := a.connect(ctx, client.Config{})
		if err != nil {
			return nil, nothing
		}
		defer l.close()
		items, err := l.lists(ctx, scopes...)
		if err != nil {
			return nil, nothing
		}
		var out []string
		for _, item := range items {
			if strings.HasPrefix(string(item.Conversation), strings.ToLower(prefix)) {
				out = append(out, short(item.Conversation)+"\t"+term.Cut(item.State+" "+pageOf(item.Page), 60))
			}
		}
		return out, nothing
	}
}
