package cli

// send: one message, through the server or past it.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/agent/support"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

const (
	storeWithin  = time.Minute           // how long send tries to get a message stored, over lost connections
	directWithin = 2 * time.Minute       // the customer's answer (60 s), connecting, and the customer's receipt
	maxStdin     = protocol.MaxTextBytes // of a text on stdin
)

type sendOptions struct {
	oneOptions
	text   string
	direct bool
	json   bool
}

func newSendCmd(a *app) *cobra.Command {
	o := &sendOptions{oneOptions: oneOptions{app: a}}
	cmd := &cobra.Command{
		Use:   "send ID TEXT…",
		Short: "Send one message; ends when it is stored",
		Long:  "With - as TEXT the message is read from standard input. With --direct it goes from computer to computer, past the\nserver, which can't read it; the customer is asked first. It is then not part of the history.",
		Example: `  lookalong send 4f2a Try it again now, please.
  lookalong send 4f2a - < steps.txt
  lookalong send 4f2a --direct "The code is 1234"`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completeIDs("mine"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id, o.text = args[0], strings.Join(args[1:], " ")
			return runSend(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.direct, "direct", false, "computer to computer; the server can't read it")
	jsonFlag(cmd, &o.json, "print one JSON object with the message's number")
	return cmd
}

func runSend(ctx context.Context, o *sendOptions) error {
	a := o.app
	if o.text == "-" {
		data, err := io.ReadAll(io.LimitReader(a.io.In, maxStdin+1))
		if err != nil {
			return err
		}
		o.text = strings.TrimRight(string(data), "\r\n")
	}
	o.text = strings.ToValidUTF8(o.text, "\ufffd")
	if err := protocol.CheckText(o.text); err != nil {
		var refused *protocol.UserError
		errors.As(err, &refused)
		return &fail{exitUsage, sentenceCase(refused.Text), ""}
	}
	if o.direct {
		return sendDirect(ctx, o)
	}
	said := "" // the client's reading goroutine only
	l, err := a.dial(ctx, client.Config{OnDelay: func(why *protocol.UserError) {
		if words := delay(why); words != said {
			said = words
			a.note("%s", words)
		}
	}})
	if err != nil {
		return err
	}
	if err := l.ready(ctx); err != nil {
		return err
	}
	defer l.close()
	item, err := resolve(ctx, l, o.id)
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	ack, err := l.Send(wait, item.Conversation, o.text)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return &fail{exitUnreachable, "the server has not saved the message within a minute", "lookalong history ID shows whether it arrived; then send it again"}
	}
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(a.io.Out, struct {
			Version      int                     `json:"version"`
			Conversation protocol.ConversationID `json:"conversation"`
			Seq          int64                   `json:"seq"`
			At           *time.Time              `json:"at"`
		}{1, item.Conversation, ack.Seq, ack.At})
	}
	return nil
}

// sendDirect asks the customer for a direct connection, sends the text over it and hangs up.
func sendDirect(ctx context.Context, o *sendOptions) error {
	a := o.app
	ctx, cancel := context.WithTimeoutCause(ctx, directWithin, &fail{exitUnreachable, "the customer could not be reached directly", "try again, or send it through the server"})
	defer cancel()
	r, item, err := o.room(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.claim(ctx, item.Conversation); err != nil {
		return err
	}
	r.withSessions(ctx, 0)
	id := client.NewID()
	sent, said := false, ""
	r.onStatus = func(s support.Status) {
		if words := s.Sentence(); s.State != "ended" && words != said {
			said = words
			a.note("%s", words)
		}
		switch s.State {
		case "connected":
			if !sent {
				sent = true
				r.ctl.SendDirect(id, o.text, func(err error) {
					if err != nil {
						r.post(func() { r.finish(err) })
					}
				})
			}
		case "ended":
			r.finish(endOf(s, false))
		}
	}
	r.onAck = func(got protocol.RequestID) {
		if got == id {
			r.finish(nil)
		}
	}
	r.ctl.Connect(func(err error) {
		if err != nil {
			r.post(func() { r.finish(err) })
		}
	})
	if err := r.run(ctx); err != nil {
		return err
	}
	if o.json {
		return printJSON(a.io.Out, struct {
			Version      int                     `json:"version"`
			Conversation protocol.ConversationID `json:"conversation"`
			Direct       bool                    `json:"direct"`
		}{1, item.Conversation, true})
	}
	a.note("Delivered directly.")
	return nil
}

// endOf is the error, or nil, with which a command ends when its session does. shown: there was a picture.
func endOf(s support.Status, shown bool) error {
	text := fmt.Sprint(strings.ToLower(s.Sentence()[:1]), strings.TrimSuffix(s.Sentence()[1:], "."))
	switch s.Reason {
	case "declined", "refused":
		return &fail{exitDeclined, text, ""}
	case "expired", "failed", "lost":
		return &fail{exitUnreachable, text, "ask in the chat, then try again"}
	case "stopped", "left", "agent_ended":
		if shown {
			return nil
		}
	}
	return &fail{exitFailed, text, ""}
}
