// Package capture is where a native customer's picture comes from. A source is used by one goroutine, and only
// while the customer's consent is on; the caller asks the consent before each Grab.
package capture

import (
	"errors"
	"image"
)

// ErrClosed is wrapped by Grab once the source is gone: the window was closed, the screen unplugged.
var ErrClosed = errors.New("capture: the source is closed")

// Source is one thing that can be shown. Not safe for concurrent use.
type Source interface {
	// Surface is a value of protocol.ScreenConfig.Surface.
	Surface() string
	// Grab takes a picture. It is valid until the next call. Errors wrap ErrClosed when there will be no more.
	Grab() (image.Image, error)
	// Close frees the source. Grab fails afterwards.
	Close() error
}
