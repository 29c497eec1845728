package cli

// snapshot: a lossless still of what the customer shows.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/agent/record"
	"github.com/lookalong/lookalong/agent/support"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
)

type snapshotOptions struct {
	oneOptions
	file   string // "-": to Out; empty: a name of our own
	stream int
	force  bool
	asJSON bool
}

func newSnapshotCmd(a *app) *cobra.Command {
	o := &snapshotOptions{oneOptions: oneOptions{app: a}}
	cmd := &cobra.Command{
		Use:   "snapshot ID [FILE.png]",
		Short: "Keep a lossless still of what the customer shows",
		Long: "Needs the customer's yes to be seen, which is asked for where nothing is shown, and nothing more. Without FILE the\n" +
			"name is made of the conversation and the time; - writes to the output. In a chat that shows the picture: /snapshot.",
		Example: `  lookalong snapshot 4f2a
  lookalong snapshot 4f2a error.png
  lookalong snapshot 4f2a - | ocr`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeIDs("mine", "waiting"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			if len(args) > 1 {
				o.file = args[1]
			}
			if o.stream < 1 || o.stream > protocol.MaxStreams {
				return usage(cmd, fmt.Errorf("--stream is 1 to %d", protocol.MaxStreams))
			}
			if o.asJSON && o.file == "-" {
				return usage(cmd, errors.New("--json and - both write to the output"))
			}
			return runSnapshot(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.stream, "stream", 1, "which of several screens")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace FILE")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print one JSON object about the file")
	return cmd
}

func runSnapshot(ctx context.Context, o *snapshotOptions) error {
	a := o.app
	if err := free(o.file, o.force); err != nil {
		return err
	}
	r, err := o.claimed(ctx, 0)
	if err != nil {
		return err
	}
	defer r.close()
	asked := false
	picture(r, func(s support.Status) {
		if asked {
			return
		}
		asked = true
		r.ctl.AskStill(uint8(o.stream-1), false, func(f *protocol.Frame, err error) {
			r.post(func() {
				if err == nil {
					err = a.keepStill(o, r.id, f)
				}
				r.finish(err)
			})
		})
	})
	return r.run(ctx)
}

// picture asks to see the screen where nothing is shown, says what happens, and calls ready at each status with a picture.
// Without one the room finishes.
func picture(r *room, ready func(support.Status)) {
	shown, said, recorded := false, "", ""
	r.onStatus = func(s support.Status) {
		shown = shown || s.View == "on"
		switch {
		case s.State == "ended":
			r.finish(endOf(s, shown))
		case s.View == "off" && s.Cause != "":
			err := noPicture(s, shown)
			if err == nil {
				r.app.note("%s", s.Sentence())
			}
			r.finish(err)
		default:
			if words := s.Sentence(); words != "" && words != said {
				said = words
				r.app.note("%s", words)
			}
			if words := s.RecordSentence(); words != "" && words != recorded {
				recorded = words
				r.app.note("%s", words)
			}
			if s.State == "connected" && s.View == "on" {
				ready(s)
			}
		}
	}
	r.onState = func(_, now protocol.ConversationState) {
		if !r.mine() {
			r.finish(&fail{exitFailed, "the conversation is not yours any more", ""})
		}
	}
	r.ctl.Share(func(err error) {
		r.post(func() {
			if err != nil {
				r.finish(elsewhere(err))
			}
		})
	})
}

// elsewhere says what to do where another program of this agent has the session.
func elsewhere(err error) error {
	var refused *protocol.UserError
	if errors.As(err, &refused) && refused.Code == protocol.CodeSession {
		return &fail{exitFailed, "another program shows this customer's screen", "use /snapshot FILE or /record FILE in that chat, or end it there with /stop"}
	}
	return err
}

// keepStill writes a still where it was asked for, and prints where.
func (a *app) keepStill(o *snapshotOptions, id protocol.ConversationID, f *protocol.Frame) error {
	if o.file == "-" {
		_, err := a.io.Out.Write(f.Data)
		return err
	}
	name, err := a.saveStill(o.file, o.force, id, f)
	if err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(a.io.Out, struct {
			Version      int                     `json:"version"`
			Conversation protocol.ConversationID `json:"conversation"`
			File         string                  `json:"file"`
			Bytes        int                     `json:"bytes"`
			Format       string                  `json:"format"` // png, or jpeg where a PNG is larger than a frame may be
		}{1, id, name, len(f.Data), map[bool]string{true: "png", false: "jpeg"}[isPNG(f)]})
	}
	fmt.Fprintln(a.io.Out, name)
	return nil
}

func isPNG(f *protocol.Frame) bool {
	return strings.HasPrefix(string(f.Data[:min(len(f.Data), 4)]), "\x89PNG")
}

// saveStill writes a still into a new file and returns its name. A picture that came as JPEG gets its ending.
func (a *app) saveStill(name string, force bool, id protocol.ConversationID, f *protocol.Frame) (string, error) {
	if name == "" {
		name = madeName(id, time.Now()) + ".png"
	}
	if !isPNG(f) {
		if filepath.Ext(name) == ".png" {
			name = strings.TrimSuffix(name, ".png") + ".jpg"
		}
		a.note("As PNG it would be too large to send; this is a JPEG of high quality, not exact in each pixel.")
	}
	out, err := record.Create(name, force)
	if err != nil {
		return "", taken(name, err)
	}
	_, err = out.Write(f.Data)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(name) // half a picture
		return "", fmt.Errorf("cannot write %s: %w", name, err)
	}
	return name, nil
}

// madeName is a name for what is kept of a conversation now, without an ending.
func madeName(id protocol.ConversationID, now time.Time) string {
	return term.Line(short(id)) + now.Format("-20060102-150405")
}

// free refuses a file that is there, before anybody is asked for anything.
func free(name string, force bool) error {
	if name == "" || name == "-" || force {
		return nil
	}
	if _, err := os.Lstat(name); err == nil {
		return taken(name, fs.ErrExist)
	}
	return nil
}

// taken is the error for a file that could not be made.
func taken(name string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return &fail{exitFailed, name + " exists", "choose another name; --force replaces it"}
	}
	return err
}

// snapshot is /snapshot.
func (c *chat) snapshot(name string) {
	if err := free(name, false); err != nil || name == "-" {
		c.note("%s is no new file. Choose another name.", name)
		return
	}
	c.ctl.AskStill(0, false, func(f *protocol.Frame, err error) {
		c.post(func() {
			if err == nil {
				name, err = c.app.saveStill(name, false, c.id, f)
			}
			if err != nil {
				_, words, _ := c.app.meaning(err)
				c.note("%s.", strings.ToUpper(words[:1])+words[1:])
				return
			}
			c.note("Kept in %s.", name)
		})
	})
}
