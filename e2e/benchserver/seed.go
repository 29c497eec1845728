package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lookalong/lookalong/e2e/loadgen/cast"
	"github.com/lookalong/lookalong/signaling/store"
)

// Big transactions: what is seeded is not measured.
const (
	seedQueue = 1 << 15
	seedBatch = 1 << 13
	seedTasks = 2000 // customers at a time
)

// seed fills a data folder through the store alone, as nothing may be faster or stricter than the store itself: agents
// with a device each, and customers with one conversation each, which agent i mod N has claimed for a day.
func seed(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("benchserver seed", flag.ContinueOnError)
	data := f.String("data", "", "data folder")
	customers := f.Int("customers", 400, "customers, each with a conversation")
	agents := f.Int("agents", 1, "agents")
	messages := f.Int("messages", 0, "messages in each conversation, the customer's and the agent's in turn")
	alg := f.String("keys", string(cast.Ed25519), "kind of the customers' keys: ed25519 or p256")
	live := f.Int("live", -1, "conversations that stay claimed, the last ones; the others are closed. -1: all")
	bare := f.Bool("bare", false, "customers without a conversation")
	if err := f.Parse(args); err != nil {
		return err
	}
	st, err := store.Open(ctx, store.Options{Dir: *data, QueueLen: seedQueue, BatchMax: seedBatch})
	if err != nil {
		return err
	}
	ended := make(chan error, 1) // one result
	go func() { ended <- st.Run(ctx) }()
	s := seeder{st: st, messages: *messages, bare: *bare, text: strings.Repeat("x", 200)}
	err = s.fill(ctx, *agents, *customers, *live, cast.Alg(*alg))
	st.Close()
	return errors.Join(err, <-ended)
}

type seeder struct {
	st       *store.Store
	messages int
	bare     bool
	text     string
	agents   []store.Agent
}

func (s *seeder) fill(ctx context.Context, agents, customers, live int, alg cast.Alg) error {
	for i := range agents {
		token, err := store.Sync(ctx, func(done func(string, error)) error {
			return s.st.CreateInvite(fmt.Sprintf("Agent %d", i), store.RoleAgent, time.Hour, done)
		})
		if err != nil {
			return err
		}
		r, err := store.Sync(ctx, func(done func(store.Redeemed, error)) error {
			return s.st.RedeemInvite(token, cast.Agent(i).Pub, "bench", done)
		})
		if err != nil {
			return err
		}
		s.agents = append(s.agents, r.Agent)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(seedTasks)
	for i := range customers {
		g.Go(func() error { return s.customer(ctx, i, alg, live >= 0 && i < customers-live) })
	}
	return g.Wait()
}

func (s *seeder) customer(ctx context.Context, i int, alg cast.Alg, closed bool) error {
	key := cast.Customer(i, alg)
	who, err := store.Sync(ctx, func(done func(store.Customer, error)) error {
		return s.st.EnsureCustomer(key.Thumbprint(), string(alg), key.Pub, done)
	})
	if err != nil || s.bare {
		return err
	}
	conv, err := store.Sync(ctx, func(done func(store.Opened, error)) error { return s.st.OpenConversation(who.ID, done) })
	if err != nil {
		return err
	}
	agent := s.agents[i%len(s.agents)]
	lapses := time.Now().Add(24 * time.Hour)
	_, err = store.Sync(ctx, func(done func(store.Conversation, error)) error {
		return s.st.Claim(conv.ID, agent.ID, &lapses, done)
	})
	if err != nil {
		return err
	}
	for n := range s.messages {
		m := store.Append{Conversation: conv.ID, ID: fmt.Sprintf("seed-%d-%d", i, n), SenderKind: store.KindCustomer, SenderID: who.ID, Text: s.text}
		if n%2 == 1 {
			m.SenderKind, m.SenderID, m.SenderName = store.KindAgent, agent.ID, agent.Name
		}
		if _, err := store.Sync(ctx, func(done func(store.Appended, error)) error { return s.st.Append(m, done) }); err != nil {
			return err
		}
	}
	if closed {
		_, err = store.Sync(ctx, func(done func(store.Conversation, error)) error {
			return s.st.CloseConversation(conv.ID, store.Actor{Kind: store.KindSystem}, done)
		})
	}
	return err
}
