// Package desktop is the content of the picture's benchmark: a drawn desktop with windows of text, typing, scrolling
// and window switches, whose frames carry a readable number and can be drawn again.
package desktop

import (
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Scene is how long a window stays in front (SCENE_S in desktop.js): over whole scenes every source carries the same.
const Scene = 3500 * time.Millisecond

// JS defines desktop.draw, desktop.text and desktop.reader in a page.
//
//go:embed desktop.js
var JS string

//go:embed desktop.html
var page string

// Serve serves the desktop's page under that title until the test ends.
func Serve(t testing.TB, title string) Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, body := "text/html", strings.Replace(page, "TITLE", title, 1)
		if r.URL.Path == "/desktop.js" {
			kind, body = "text/javascript", JS
		}
		w.Header().Set("Content-Type", kind+"; charset=utf-8")
		_, _ = io.WriteString(w, body) // the browser may be gone
	}))
	t.Cleanup(s.Close)
	return Server(s.URL)
}

// Server is where the desktop's page is served.
type Server string

// Page is the address of a desktop of that size and rate (frames a second).
func (s Server) Page(width, height, fps int) string {
	return fmt.Sprintf("%s/?w=%d&h=%d&fps=%d", s, width, height, fps)
}
