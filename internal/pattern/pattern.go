// Package pattern is the test pattern: a picture with a number that can be read back, also after lossy compression.
// Rehearsals, tests and measurements show it instead of a screen.
package pattern

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
)

// The pattern's layout, in parts of the picture's size (integer division):
//
//	rows 0 … h/8-1      sixteen equal columns, the frame number's bits, highest first: white is 1, black is 0
//	rows h/8 … h-1      one of Colours, by frame number modulo 8
//	in its middle       the number in decimal, black on a white plate
const (
	bits    = 16
	MinSide = 64   // of a pattern, in pixels
	MaxSide = 4096 // of a pattern, in pixels
)

// Colours are the field's colours, in the order in which they come.
var Colours = [8]color.RGBA{
	{0xc0, 0x20, 0x20, 0xff}, {0xd0, 0x80, 0x10, 0xff}, {0xc0, 0xc0, 0x20, 0xff}, {0x20, 0xa0, 0x30, 0xff},
	{0x20, 0xa0, 0xa0, 0xff}, {0x20, 0x50, 0xc0, 0xff}, {0x80, 0x30, 0xb0, 0xff}, {0xc0, 0x40, 0x90, 0xff},
}

var (
	black = color.RGBA{0, 0, 0, 0xff}
	white = color.RGBA{0xff, 0xff, 0xff, 0xff}
)

// Pattern draws numbered pictures. Not safe for concurrent use.
type Pattern struct {
	img  *image.RGBA
	next uint16
}

// New makes a pattern of this size in pixels, from MinSide to MaxSide a side.
func New(width, height int) (*Pattern, error) {
	if width < MinSide || height < MinSide || width > MaxSide || height > MaxSide {
		return nil, fmt.Errorf("pattern: %d×%d pixels; each side must be %d to %d", width, height, MinSide, MaxSide)
	}
	return &Pattern{img: image.NewRGBA(image.Rect(0, 0, width, height))}, nil
}

// Next draws the next picture; the first has number 0, and after 65535 they begin anew. It is valid until the next
// call.
func (p *Pattern) Next() image.Image {
	n := p.next
	p.next++
	paint(p.img, n)
	return p.img
}

func fill(img *image.RGBA, r image.Rectangle, c color.RGBA) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
}

func paint(img *image.RGBA, n uint16) {
	b := img.Bounds()
	top := b.Dy() / 8
	fill(img, image.Rect(0, top, b.Dx(), b.Dy()), Colours[n%8])
	for i := range bits {
		c := black
		if n&(1<<(bits-1-i)) != 0 {
			c = white
		}
		fill(img, image.Rect(i*b.Dx()/bits, 0, (i+1)*b.Dx()/bits, top), c)
	}
	text := fmt.Sprintf("%05d", n)
	unit := max(1, b.Dx()/80) // a digit is 4 × 7 units, with one between
	plate := image.Rect(0, 0, (5*len(text)+1)*unit, 9*unit).Add(image.Pt((b.Dx()-(5*len(text)+1)*unit)/2, top+(b.Dy()-top-9*unit)/2))
	fill(img, plate, white)
	for i := range text {
		drawDigit(img, int(text[i]-'0'), plate.Min.Add(image.Pt((1+5*i)*unit, unit)), unit)
	}
}

// segments of the digits 0 to 9, as on a clock: bit 0 top, then clockwise, bit 6 the middle.
var segments = [10]byte{0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f}

func drawDigit(img *image.RGBA, digit int, at image.Point, unit int) {
	for i, r := range [7]image.Rectangle{
		image.Rect(0, 0, 4, 1), image.Rect(3, 0, 4, 4), image.Rect(3, 3, 4, 7), image.Rect(0, 6, 4, 7),
		image.Rect(0, 3, 1, 7), image.Rect(0, 0, 1, 4), image.Rect(0, 3, 4, 4),
	} {
		if segments[digit]&(1<<i) != 0 {
			fill(img, image.Rectangle{r.Min.Mul(unit), r.Max.Mul(unit)}.Add(at), black)
		}
	}
}

// ErrNone says that a picture is not a pattern, or too damaged to read.
var ErrNone = errors.New("pattern: the picture has no readable number")

// Read reads the number of a pattern of any size back, also after lossy compression.
func Read(img image.Image) (uint16, error) {
	b := img.Bounds()
	if b.Dx() < MinSide/2 || b.Dy() < MinSide/2 {
		return 0, ErrNone
	}
	var n uint16
	for i := range bits {
		x, y := b.Min.X+(2*i+1)*b.Dx()/(2*bits), b.Min.Y+b.Dy()/16
		grey := color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y
		if grey > 64 && grey < 192 {
			return 0, ErrNone
		}
		n <<= 1
		if grey >= 192 {
			n |= 1
		}
	}
	return n, nil
}
