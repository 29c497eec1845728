package simulate

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/lookalong/lookalong/internal/pattern"
)

// The bounds of a simulation.
const (
	MaxCustomers  = 5000             // of one run
	MaxPerAddress = 1000             // sockets that a server takes from one address (security.md 4)
	MaxSessions   = 50               // customers with --share or --direct: each is a WebRTC connection, perhaps an encoder
	MaxRate       = 5                // messages a second of one customer: what a server allows in the long run
	MaxMessages   = 5_000_000        // of one run, as all that was sent is compared with what is stored
	MaxDuration   = 24 * time.Hour   // of one run
	MinReconnect  = time.Second      // between two cuts of one customer
	MaxPace       = 100              // times as fast as people
	newPerSecond  = 15               // connections from one address; a server takes 200 in 10 s
	newBurst      = 40               // of them at once
	perAddress    = 25               // customers of one address where there are many; a server opens 30 conversations an hour for one
	endWithin     = 60 * time.Second // for the last checks and the goodbyes of a whole run
	settleWithin  = 15 * time.Second // for what is under way when the writing ends
)

// Options describe a run. Customers and Server are required; see Check for the ranges.
type Options struct {
	Server    string // http(s)://host[:port]
	Customers int    // 1 to MaxCustomers

	// Load: all customers at once, each writing Rate messages a second for Duration. Else it is a rehearsal: they
	// come one after another, each with a story, and the run is over when all stories are (or after Duration).
	Load     bool
	Rate     float64       // messages a second of each customer, jittered by half; 0 (they only stay) to MaxRate
	Duration time.Duration // 0: in a rehearsal until all stories are over; in a load run 1 minute
	Pace     float64       // rehearsal: how many times as fast as people; 0 means 1; 0.1 to MaxPace

	ReconnectEvery time.Duration // each customer cuts its own connection so often, jittered by half; 0: never
	Direct         bool          // direct messages, peer to peer
	Share          bool          // a test pattern instead of a screen
	FPS            int           // of the pattern, 1 to 60; 0 means 5
	Width, Height  int           // of the pattern in pixels; 0 means 640 × 360
	Image          string        // png or jpeg; "" is what the viewer shows, png first
	Language       string        // of the stories: en, zh, or "" for both

	Answer ed25519.PrivateKey // of the signed-in agent, who then takes the customers and answers; nil: people do
	Seed   ed25519.PrivateKey // the customers' keys follow from it; nil: new ones that are forgotten
	Leave  bool               // keep the conversations open at the end
	Log    *slog.Logger       // nil: no log

	OnEvent  func(Event)    // what a person at the rehearsal wants to know; on any goroutine, must not block
	OnStatus func(Progress) // each second
}

// Event is a moment of a customer: arrived, claimed, thanks, left, or gone with an Err.
type Event struct {
	Customer int    // from 1
	What     string // arrived, claimed, showing, thanks, left, refused
	Title    string // of the customer's page
	Text     string // why, for refused
}

// Check says what is wrong with the options, and fills defaults in.
func (o *Options) Check() error {
	u, err := url.Parse(o.Server)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is not a server address like http://localhost:8080", o.Server)
	}
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.FPS, 5)
	def(&o.Width, 640)
	def(&o.Height, 360)
	if o.Pace == 0 {
		o.Pace = 1
	}
	if o.Load && o.Duration == 0 {
		o.Duration = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if _, err := pattern.New(o.Width, o.Height); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "pattern: "))
	}
	switch {
	case o.Customers < 1 || o.Customers > MaxCustomers:
		return fmt.Errorf("customers are 1 to %d", MaxCustomers)
	case !(o.Rate >= 0 && o.Rate <= MaxRate):
		return fmt.Errorf("the rate is 0 to %d messages a second of each customer: a server allows no more", MaxRate)
	case o.Duration < 0 || o.Duration > MaxDuration:
		return fmt.Errorf("the duration is at most %s", MaxDuration)
	case o.ReconnectEvery != 0 && o.ReconnectEvery < MinReconnect:
		return fmt.Errorf("reconnects are at least %s apart", MinReconnect)
	case o.FPS < 1 || o.FPS > 60:
		return errors.New("pictures are 1 to 60 a second")
	case !(o.Pace >= 0.1 && o.Pace <= MaxPace):
		return fmt.Errorf("the pace is 0.1 to %d", MaxPace)
	case o.Image != "" && o.Image != "png" && o.Image != "jpeg":
		return errors.New("the image format is png or jpeg")
	case o.Language != "" && o.Language != "en" && o.Language != "zh":
		return errors.New("the language is en or zh")
	case (o.Share || o.Direct) && o.Customers > MaxSessions:
		return fmt.Errorf("at most %d customers can share or talk directly: each needs a connection of its own to the agent", MaxSessions)
	case float64(o.Customers)*o.Rate*o.Duration.Seconds() > MaxMessages:
		return fmt.Errorf("that is more than %d messages in one run", MaxMessages)
	case o.Customers > MaxPerAddress && !o.spread():
		return fmt.Errorf("a server takes at most %d connections from one address; more customers need a server on this machine at 127.0.0.1 or localhost, and Linux, where they come from many of its addresses", MaxPerAddress)
	}
	return nil
}

// IsLoopback reports whether a server's address names this machine. Names are not looked up.
func IsLoopback(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// spread reports whether customers can come from many addresses of this machine.
func (o *Options) spread() bool {
	u, err := url.Parse(o.Server)
	if err != nil || !manyLoopbacks || !IsLoopback(o.Server) {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip == nil || ip.To4() != nil
}

// crowd is how many customers come from one address, so that neither their number nor their coming back meets the
// server's limits of an address.
func (o *Options) crowd() int {
	if !o.spread() {
		return MaxPerAddress
	}
	n := perAddress
	if o.ReconnectEvery > 0 {
		n = min(n, max(1, int(newPerSecond*o.ReconnectEvery.Seconds()/2)))
	}
	return n
}
