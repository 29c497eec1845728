package cli

// record: the picture into a file, with the customer's leave.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/agent/record"
	"github.com/lookalong/lookalong/agent/support"
	"github.com/lookalong/lookalong/protocol"
)

type recordOptions struct {
	oneOptions
	viewerOptions
	file   string // empty: a name of our own
	view   bool
	max    string // bytes, as in "4GB"
	force  bool
	asJSON bool
}

// recordMax is how large a recording may be where nobody has said otherwise: ten hours of a busy screen.
const recordMax = "4GB"

func newRecordCmd(a *app) *cobra.Command {
	o := &recordOptions{oneOptions: oneOptions{app: a}}
	cmd := &cobra.Command{
		Use:   "record ID [FILE.webm]",
		Short: "Record what the customer shows, if they allow it",
		Long: "Asks to see the screen where nothing is shown, then asks for leave to record it. The customer sees a mark all the\n" +
			"time and can stop at any moment; so can you, with Ctrl-C. The file is a WebM, or an MP4 where the picture comes as\n" +
			"H.264; it plays also after a crash. A change of the codec, and each further screen, begins another file: FILE-2.webm.\n" +
			"In a chat that shows the picture: /record.",
		Example: `  lookalong record 4f2a printer.webm
  lookalong record 4f2a --view`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeIDs("mine", "waiting"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			if len(args) > 1 {
				o.file = args[1]
			}
			if o.file == "-" {
				return usage(cmd, errors.New("a recording needs a file"))
			}
			most, err := humanize.ParseBytes(o.max)
			if err != nil || most < 1_000_000 || most > math.MaxInt64 {
				return usage(cmd, fmt.Errorf("--max is %q: a size of at least 1MB, such as 500MB or 4GB", o.max))
			}
			return runRecord(cmd.Context(), o, int64(most))
		},
	}
	cmd.Flags().BoolVar(&o.view, "view", false, "show the picture too, as share does")
	cmd.Flags().StringVar(&o.max, "max", recordMax, "end when the files have this size together")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace FILE")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print one JSON object about the files")
	o.flags(cmd)
	return cmd
}

func runRecord(ctx context.Context, o *recordOptions, most int64) error {
	a := o.app
	if err := free(o.file, o.force); err != nil {
		return err
	}
	r, err := o.claimed(ctx, o.viewerPort)
	if err != nil {
		return err
	}
	defer r.close()
	view := &viewing{room: r, noOpen: o.noOpen, note: a.note, wanted: o.view}
	var rec *recorded
	picture(r, func(s support.Status) {
		if o.view {
			view.follow(s)
		}
		if rec != nil {
			return
		}
		rec = startRecording(r, record.Config{Name: o.file, Force: o.force, Max: most}, a.note, func(err error) {
			if err == nil && o.view && r.status.View == "on" {
				a.note("The picture goes on. Ctrl-C ends it.")
				return
			}
			r.finish(err)
		})
	})
	if o.view {
		r.onTick = view.tick
	}
	err = r.run(ctx)
	if rec == nil {
		return err
	}
	r.ctl.StopRecord()
	result, failed := rec.wait()
	if len(result.Files) == 0 {
		switch {
		case failed != nil:
			return taken(o.file, failed)
		case err == nil:
			return &fail{exitFailed, "nothing was recorded: no video came", "single pictures can't be recorded; lookalong snapshot keeps one"}
		}
		return err
	}
	if printed := a.printRecording(r.id, result, o.asJSON); printed != nil {
		return printed
	}
	if failed == nil && errors.Is(err, context.Canceled) {
		return nil // Ctrl-C is how a recording is ended
	}
	return errors.Join(failed, err)
}

// recorded is a recording that is asked for, or runs.
type recorded struct {
	done   chan struct{}
	result record.Result
	err    error // why it did not begin, or what the disk said
}

// startRecording asks the customer and records. over is called on the room's goroutine when it has ended, with an error
// where it did not begin, or the disk failed.
func startRecording(r *room, cfg record.Config, note func(string, ...any), over func(error)) *recorded {
	if cfg.Name == "" {
		cfg.Name = madeName(r.id, time.Now()) + ".webm"
	}
	cfg.Note = func(text string) { r.post(func() { note("%s", text) }) }
	cfg.AskKey = r.ctl.AskKey
	rec := &recorded{done: make(chan struct{})}
	r.rec = rec
	to := record.New(cfg)
	var refusal error // set before to.Stop
	go func() {       // ends with Stop, which the end of the session calls too
		result, err := to.Run(context.Background())
		if rec.result, rec.err = result, refusal; refusal == nil {
			rec.err = err
		}
		r.ctl.StopRecord() // the disk may have failed
		close(rec.done)
		r.post(func() {
			r.rec = nil
			over(rec.err)
		})
	}()
	r.ctl.Record(to, func(err error) {
		var refused support.RecordRefused
		switch {
		case err == nil:
			return
		case errors.As(err, &refused) && refused == "declined":
			refusal = &fail{exitDeclined, err.Error(), ""}
		case errors.As(err, &refused) && refused == "timeout":
			refusal = &fail{exitUnreachable, err.Error(), "ask in the chat, then try again"}
		default:
			refusal = err
		}
		to.Stop(nil)
	})
	return rec
}

// wait returns when everything is on the disk.
func (r *recorded) wait() (record.Result, error) {
	<-r.done
	return r.result, r.err
}

// printRecording prints the files.
func (a *app) printRecording(id protocol.ConversationID, result record.Result, asJSON bool) error {
	if result.Images > 0 {
		a.note("%d single pictures are not in the recording.", result.Images)
	}
	if !asJSON {
		for _, f := range result.Files {
			fmt.Fprintln(a.io.Out, f.Name)
			a.note("%s: %s, %d frames, %s.", f.Name, f.Codec, f.Frames, f.Duration.Round(100*time.Millisecond))
		}
		return nil
	}
	type file struct {
		Name       string `json:"name"`
		Stream     int    `json:"stream"` // 1 is the first screen
		Codec      string `json:"codec"`
		Frames     int    `json:"frames"`
		DurationMs int64  `json:"durationMs"`
	}
	files := []file{}
	for _, f := range result.Files {
		files = append(files, file{f.Name, f.Stream + 1, f.Codec, f.Frames, f.Duration.Milliseconds()})
	}
	return printJSON(a.io.Out, struct {
		Version      int                     `json:"version"`
		Conversation protocol.ConversationID `json:"conversation"`
		Files        []file                  `json:"files"`
		Images       int                     `json:"images"` // single pictures that no file holds
	}{1, id, files, result.Images})
}

// record is /record: it asks, or ends what runs.
func (c *chat) record(name string) {
	if c.rec != nil {
		c.ctl.StopRecord()
		return
	}
	if err := free(name, false); err != nil || name == "-" {
		c.note("%s is no new file. Choose another name.", name)
		return
	}
	var rec *recorded
	most, _ := humanize.ParseBytes(recordMax) // it can be read
	rec = startRecording(c.room, record.Config{Name: name, Max: int64(most)}, c.note, func(err error) {
		if err != nil {
			_, words, _ := c.app.meaning(err)
			c.note("Not recorded: %s.", words)
		}
		for _, f := range rec.result.Files {
			c.note("Recorded: %s, %d frames, %s.", f.Name, f.Frames, f.Duration.Round(100*time.Millisecond))
		}
	})
}
