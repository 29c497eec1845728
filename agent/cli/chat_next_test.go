package cli

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// A customer comes while chat --next asks for the queue: the push ends the waiting, and the answer to the question,
// which comes later, must not end the chat that has begun by then.
func TestLateAnswerAboutTheQueueEndsNothing(t *testing.T) {
	s := servertest.New(t)
	signedIn(t, s, "Ana")
	ctx, cancel := context.WithTimeout(context.Background(), servertest.Patience)
	defer cancel()
	streams, _, _ := term.Test("")
	r, err := newRoom(ctx, &app{io: streams, getenv: os.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	s.Customer(servertest.NewCustomerKey()).Conversation() // who waits is in the answer

	release := make(chan struct{})
	r.link.Ask(protocol.Ping{}, func(any, error) { <-release }) // what follows this answer is read later
	r.post(func() { r.push(protocol.QueueState{Total: 1}) })
	if err := r.waitForQueue(ctx); err != nil {
		t.Fatal(err)
	}
	close(release)
	if _, err := r.link.Request(ctx, protocol.Ping{}); err != nil { // the late answer is in the mailbox now
		t.Fatal(err)
	}
	over := errors.New("the chat is over")
	r.post(func() { r.finish(over) })
	if err := r.run(ctx); !errors.Is(err, over) {
		t.Errorf("the chat ended by itself: %v", err)
	}
}
