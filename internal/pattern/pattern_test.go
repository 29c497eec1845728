// What the pattern says can be read back, also through a lossy codec.

package pattern

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"testing"
)

func TestNumberSurvivesCodecs(t *testing.T) {
	for _, size := range []image.Point{{640, 360}, {64, 64}, {333, 217}} {
		img := image.NewRGBA(image.Rectangle{Max: size})
		for _, n := range []uint16{0, 1, 0x5555, 12345, 65535} {
			paint(img, n)
			var p, j bytes.Buffer
			if err := png.Encode(&p, img); err != nil {
				t.Fatal(err)
			}
			if err := jpeg.Encode(&j, img, &jpeg.Options{Quality: 60}); err != nil {
				t.Fatal(err)
			}
			for name, buf := range map[string]*bytes.Buffer{"png": &p, "jpeg": &j} {
				back, _, err := image.Decode(buf)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := Read(back); err != nil || got != n {
					t.Errorf("%v %s: got %d, %v; want %d", size, name, got, err, n)
				}
			}
			r, g, b, _ := img.At(3, size.Y-3).RGBA()
			want := Colours[n%8]
			if byte(r>>8) != want.R || byte(g>>8) != want.G || byte(b>>8) != want.B {
				t.Errorf("%v number %d has the wrong field colour", size, n)
			}
		}
	}
}

func TestPatternCounts(t *testing.T) {
	p, err := New(128, 64)
	if err != nil {
		t.Fatal(err)
	}
	for want := range uint16(3) {
		if got, err := Read(p.Next()); err != nil || got != want {
			t.Errorf("got %d, %v; want %d", got, err, want)
		}
	}
	p.next = 65535
	p.Next()
	if got, err := Read(p.Next()); err != nil || got != 0 {
		t.Errorf("after 65535 came %d, %v", got, err)
	}
}

func TestNotAPattern(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 200, 200))
	for i := range grey.Pix {
		grey.Pix[i] = 128
	}
	for name, img := range map[string]image.Image{"grey": grey, "tiny": image.NewGray(image.Rect(0, 0, 3, 3))} {
		if _, err := Read(img); !errors.Is(err, ErrNone) {
			t.Errorf("%s: got %v, want ErrNone", name, err)
		}
	}
	for _, size := range []image.Point{{MinSide - 1, 100}, {100, MinSide - 1}, {MaxSide + 1, 100}, {100, 10 * MaxSide}} {
		if _, err := New(size.X, size.Y); err == nil {
			t.Errorf("a pattern of %v must be refused", size)
		}
	}
}
