// The encoder: it takes a picture, leaves one out that has not changed, and makes it as small as the path needs.

package share

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"slices"
	"time"

	"github.com/lookalong/lookalong/customer/capture"
	"github.com/lookalong/lookalong/protocol"
)

const (
	formatPNG  = "image/png"
	formatJPEG = "image/jpeg"
	pngAgain   = 30 // pictures after which PNG, which was too large, is tried again
)

// qualities of a JPEG, best first. Below the last, text can't be read.
var qualities = []int{80, 65, 50, 40}

// job asks the encoder for one picture; still: for a lossless one beside the others.
type job struct {
	formats []string // that the viewer shows and the customer allows
	budget  int      // of the picture, in bytes; the smallest that text can be read in may be larger
	must    bool     // also when nothing has changed: the viewer has none
	still   *protocol.ScreenStill
}

// encoded is the encoder's answer.
type encoded struct {
	job
	codec         string
	width, height int
	captureMs     uint32
	took          time.Duration
	data          []byte
	same          bool   // as the last: nothing was encoded
	refused       string // why a still was not made; a value of protocol.ScreenRefused.Why
	err           error
}

// encoder belongs to its goroutine.
type encoder struct {
	src    capture.Source
	last   []byte // the pixels that were encoded last; nil: they can't be compared
	level  int    // of qualities
	wait   int    // pictures until PNG is tried again
	buffer bytes.Buffer
}

func newEncoder(src capture.Source) *encoder { return &encoder{src: src, level: len(qualities) / 2} }

func (c *encoder) encode(j job) encoded {
	began := time.Now()
	out := encoded{job: j, captureMs: uint32(began.UnixMilli())}
	img, err := c.src.Grab()
	if err != nil {
		out.err = err
		return out
	}
	out.width, out.height = img.Bounds().Dx(), img.Bounds().Dy()
	pixels := pixelsOf(img)
	same := pixels != nil && bytes.Equal(pixels, c.last)
	switch {
	case j.still != nil:
		if j.still.Auto && !same {
			out.refused = "motion"
			return out
		}
		out.codec = formatPNG
		out.data, out.err = c.png(img)
	case same && !j.must:
		out.same = true
		return out
	default:
		c.last = append(c.last[:0], pixels...)
		out.codec, out.data, out.err = c.picture(img, j)
	}
	out.took = time.Since(began)
	return out
}

// picture makes a PNG where it fits, and otherwise a JPEG of the best quality that does.
func (c *encoder) picture(img image.Image, j job) (codec string, data []byte, err error) {
	lossy := slices.Contains(j.formats, formatJPEG)
	if slices.Contains(j.formats, formatPNG) {
		if c.wait--; c.wait <= 0 || !lossy {
			data, err := c.png(img)
			if err != nil || !lossy || len(data) <= j.budget {
				c.wait = 0
				return formatPNG, data, err
			}
			c.wait = pngAgain
		}
	}
	c.buffer.Reset()
	err = jpeg.Encode(&c.buffer, img, &jpeg.Options{Quality: qualities[c.level]})
	switch size := c.buffer.Len(); {
	case size > j.budget && c.level < len(qualities)-1:
		c.level++
	case size*13/10 < j.budget && c.level > 0: // a better one is larger by up to that
		c.level--
	}
	return formatJPEG, bytes.Clone(c.buffer.Bytes()), err
}

func (c *encoder) png(img image.Image) ([]byte, error) {
	c.buffer.Reset()
	err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&c.buffer, img)
	return bytes.Clone(c.buffer.Bytes()), err
}

// pixelsOf is what a picture can be compared by; nil where it is not of the usual kind, or a part of another.
func pixelsOf(img image.Image) []byte {
	if rgba, ok := img.(*image.RGBA); ok && rgba.Stride == 4*rgba.Rect.Dx() {
		return rgba.Pix[:4*rgba.Rect.Dx()*rgba.Rect.Dy()]
	}
	return nil
}
