// The test pattern as a source.

package capture

import (
	"fmt"
	"image"

	"github.com/lookalong/lookalong/internal/pattern"
)

// Pattern shows the numbered pictures of package pattern; see Source.
type Pattern struct{ drawing *pattern.Pattern } // nil once closed

// NewPattern makes a pattern of this size in pixels; see pattern.New.
func NewPattern(width, height int) (*Pattern, error) {
	p, err := pattern.New(width, height)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return &Pattern{p}, nil
}

// Surface implements Source.
func (p *Pattern) Surface() string { return "pattern" }

// Grab implements Source: the first picture has number 0.
func (p *Pattern) Grab() (image.Image, error) {
	if p.drawing == nil {
		return nil, fmt.Errorf("%w (pattern)", ErrClosed)
	}
	return p.drawing.Next(), nil
}

// Close implements Source.
func (p *Pattern) Close() error {
	p.drawing = nil
	return nil
}
