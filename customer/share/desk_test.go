package share

import (
	"image"
	"image/color"
	"image/draw"
	"math/rand/v2"
	"sync/atomic"
)

// desk is a desktop that somebody works at, like e2e/desktop's for browsers: windows of coloured text with soft edges, in
// one of which somebody types for 60 % of the time and scrolls for 25 %; every 3.5 seconds another comes to the front. Each
// picture has a number of its own. At 1280×720 it has about 190 KB as a PNG and 140 KB as a JPEG of quality 80.
type desk struct {
	img    *image.RGBA
	n      int
	still  atomic.Bool   // the last picture again
	taken  chan struct{} // tells whoever waits that a picture was taken; nil: nobody
	glyphs [96]*image.Alpha
	front  int
	at     [4]int // what each window has been typed into and scrolled by
}

const (
	glyphWidth, glyphHeight = 8, 14
	lineHeight              = 19
	sceneFrames             = 52 // 3.5 s at 15 pictures a second
)

var deskColours = [4][4]color.RGBA{
	{{0x1e, 0x1e, 0x2e, 255}, {0xf3, 0x8b, 0xa8, 255}, {0xa6, 0xe3, 0xa1, 255}, {0xcd, 0xd6, 0xf4, 255}},
	{{255, 255, 255, 255}, {0x0b, 0x57, 0xd0, 255}, {0xc5, 0x22, 0x1f, 255}, {0x20, 0x20, 0x20, 255}},
	{{0x10, 0x10, 0x10, 255}, {0xe0, 0x50, 0x50, 255}, {0x50, 0xc0, 0x50, 255}, {0xd0, 0xd0, 0xd0, 255}},
	{{0xf6, 0xf3, 0xea, 255}, {0x8a, 0x3f, 0xfc, 255}, {0x00, 0x5d, 0x5d, 255}, {0x33, 0x33, 0x33, 255}},
}

func newDesk(width, height int) *desk {
	d := &desk{img: image.NewRGBA(image.Rect(0, 0, width, height))}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range d.glyphs {
		g := image.NewAlpha(image.Rect(0, 0, glyphWidth, glyphHeight))
		for range 4 { // strokes, dark in the middle and soft at the sides
			x, y := 1+r.IntN(glyphWidth-3), 2+r.IntN(glyphHeight-5)
			across := r.IntN(2) == 0
			for k := range 3 + r.IntN(4) {
				px, py := x, y+k
				if across {
					px, py = x+k, y
				}
				g.SetAlpha(px, py, color.Alpha{uint8(200 + r.IntN(56))})
				if !across {
					px++
				} else {
					py++
				}
				if r.IntN(2) == 0 {
					g.SetAlpha(px, py, color.Alpha{uint8(40 + r.IntN(120))})
				}
			}
		}
		d.glyphs[i] = g
	}
	draw.Draw(d.img, d.img.Bounds(), image.NewUniform(color.RGBA{0x3a, 0x5a, 0x78, 255}), image.Point{}, draw.Src)
	for i := range d.at {
		d.window(i)
	}
	return d
}

func (d *desk) Surface() string { return "monitor" }
func (d *desk) Close() error    { return nil }

func (d *desk) Grab() (image.Image, error) {
	select {
	case d.taken <- struct{}{}:
	default:
	}
	if d.still.Load() {
		return d.img, nil
	}
	k := d.n % sceneFrames
	if k == 0 {
		d.front = d.n / sceneFrames % len(d.at)
	}
	switch {
	case k < sceneFrames*6/10:
		d.at[d.front] += 1
	case k < sceneFrames*85/100:
		d.at[d.front] += 100
	}
	d.window(d.front)
	for i := range 16 { // the picture's number, lowest bit first
		c := color.RGBA{0, 0, 0, 255}
		if d.n>>i&1 == 1 {
			c = color.RGBA{255, 255, 255, 255}
		}
		draw.Draw(d.img, image.Rect(24*i, 0, 24*i+24, 24), image.NewUniform(c), image.Point{}, draw.Src)
	}
	d.n++
	return d.img, nil
}

// window draws one window with its text: lines of words, scrolled by 1 pixel for each 4 of the hundreds of at, and a last
// line that has as many letters as its units.
func (d *desk) window(i int) {
	b := d.img.Bounds()
	r := image.Rect(b.Dx()*(2+6*i)/100, b.Dy()*(8+3*i)/100, b.Dx()*(76+6*i)/100, b.Dy()*(88+3*i)/100)
	pane := d.img.SubImage(r).(*image.RGBA)
	draw.Draw(pane, r, image.NewUniform(deskColours[i][0]), image.Point{}, draw.Src)
	scrolled, typed := d.at[i]/100*24, d.at[i]%100
	columns := (r.Dx() - 24) / glyphWidth
	for row := scrolled / lineHeight; ; row++ {
		y := r.Min.Y + row*lineHeight - scrolled
		if y > r.Max.Y-2*lineHeight {
			break
		}
		line := rand.New(rand.NewPCG(uint64(i), uint64(row)))
		d.text(pane, r.Min.X+12, y, i, line, 10+line.IntN(columns-10))
	}
	d.text(pane, r.Min.X+12, r.Max.Y-lineHeight, i, rand.New(rand.NewPCG(uint64(i), 1<<40)), typed)
}

func (d *desk) text(pane *image.RGBA, x, y, window int, r *rand.Rand, letters int) {
	ink := image.NewUniform(deskColours[window][3])
	for n := range letters {
		g := r.IntN(len(d.glyphs) + 16)
		if g >= len(d.glyphs) { // a space, and a word of another colour perhaps
			ink = image.NewUniform(deskColours[window][1+r.IntN(3)])
			continue
		}
		at := image.Rect(0, 0, glyphWidth, glyphHeight).Add(image.Pt(x+n*glyphWidth, y))
		draw.DrawMask(pane, at, ink, image.Point{}, d.glyphs[g], image.Point{}, draw.Over)
	}
}
