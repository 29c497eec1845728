package cli

// Showing the viewer: when there is a picture to come, open the page or print where it is.

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/agent/support"
	"github.com/lookalong/lookalong/agent/viewer"
)

// codeLife is how long a viewer's address is good (the guard's 60 s, less the time to click).
const codeLife = 55 * time.Second

// viewerOptions are those of every command that shows a picture.
type viewerOptions struct {
	noOpen     bool
	viewerPort int // of 127.0.0.1; 0: any free one
}

func (o *viewerOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.noOpen, "no-open", false, "print the viewer's address instead of opening a browser")
	cmd.Flags().IntVar(&o.viewerPort, "viewer-port", 0, "port of 127.0.0.1 for the viewer (default: any free one)")
}

// viewing decides when the viewer is opened. It belongs to the room's goroutine.
type viewing struct {
	room   *room
	noOpen bool
	note   func(format string, args ...any)
	print  func(url string) // where the address goes with --no-open; nil: note

	wanted  bool      // asked for here
	opened  bool      // for the live session
	shownAt time.Time // when an address was printed last
}

// follow opens the viewer when a picture is agreed: asked for here, or shared by the customer.
func (v *viewing) follow(s support.Status) {
	if !s.Live() {
		v.opened, v.shownAt = false, time.Time{}
		return
	}
	picture := s.Picture || v.wanted || s.View == "picking" || s.View == "on"
	if picture && s.State != "requested" && !v.opened {
		v.show()
	}
}

// show opens the viewer, unless a page is open already.
func (v *viewing) show() {
	v.opened = true
	if v.room.ctl.Watched() > 0 {
		return
	}
	url, port, err := v.room.ctl.OpenViewer()
	if err != nil {
		v.note("The viewer can't be shown: %v.", err)
		return
	}
	hint := viewer.SSHHint(port, os.Getenv)
	if v.noOpen || hint != "" {
		v.shownAt = time.Now()
		if hint != "" {
			v.note("On your own computer run: %s", hint)
		}
		if v.print != nil {
			v.print(url)
		} else {
			v.note("The viewer, good once and for a minute: %s", url)
		}
		return
	}
	room := v.room
	go func() { // ends within seconds; posting to a room that has ended is harmless
		err := viewer.Open(context.Background(), url)
		room.post(func() {
			if err != nil {
				v.shownAt = time.Now()
				v.note("The browser could not be opened. The viewer, good once and for a minute: %s", url)
			} else {
				v.note("The viewer is opened in your browser.")
			}
		})
	}()
}

// tick prints a new address when the last one lapsed unused while there is something to see.
func (v *viewing) tick(now time.Time) {
	if v.shownAt.IsZero() || now.Sub(v.shownAt) < codeLife || !v.room.status.Live() {
		return
	}
	v.shownAt = time.Time{}
	if v.room.ctl.Watched() == 0 {
		v.show()
	}
}
