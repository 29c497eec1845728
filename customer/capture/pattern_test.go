package capture

import (
	"errors"
	"testing"

	"github.com/lookalong/lookalong/internal/pattern"
)

func TestPatternCountsAndCloses(t *testing.T) {
	p, err := NewPattern(128, 64)
	if err != nil {
		t.Fatal(err)
	}
	for want := range uint16(3) {
		img, err := p.Grab()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pattern.Read(img); err != nil || got != want {
			t.Errorf("got %d, %v; want %d", got, err, want)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Grab(); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
	if _, err := NewPattern(10, 10); err == nil {
		t.Error("a pattern of 10×10 must be refused")
	}
}
