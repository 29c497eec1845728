package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/e2e/impair"
)

// TestYardstickSharpness: a frame compared with itself has no error; one that is brighter has the error of its brightness,
// which the fit takes out again.
func TestYardstickSharpness(t *testing.T) {
	p := chromium.Profile(t).Open(t, "frame", "about:blank")
	withDesktop(p)
	of := screen{1280, 720, 15}
	for _, c := range []struct {
		name, after string
		luma, ssim  [2]float64 // least and most
		fitted      float64    // least
	}{
		{"itself", "", [2]float64{100, 100}, [2]float64{1, 1}, 100},
		// 20 of 255 everywhere but where it would be more than white: 20 log10(255/20) = 22.1 dB.
		{"brighter", "x.globalCompositeOperation='lighter';x.fillStyle='rgb(20 20 20)';x.fillRect(0,30,1280,690);", [2]float64{22.1, 22.9}, [2]float64{0.5, 0.98}, 40},
		{"blurred", "x.filter='blur(1px)';x.drawImage(x.canvas,0,30,1280,690,0,30,1280,690);", [2]float64{10, 30}, [2]float64{0.3, 0.98}, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			browser.Eval[bool](p, fmt.Sprintf(`(()=>{document.body.innerHTML='<canvas width=1280 height=720></canvas>';
			const x=document.querySelector('canvas').getContext('2d',{alpha:false});desktop.draw(x,10,1280,720,15);%s return true})()`, c.after))
			m, err := sharpness(p, "canvas", of)
			if err != nil {
				t.Fatal(err)
			}
			if m.luma < c.luma[0] || m.luma > c.luma[1] || m.ssim < c.ssim[0]-1e-9 || m.ssim > c.ssim[1]+1e-9 || m.fitted < c.fitted {
				t.Errorf("measured %+v", m)
			}
		})
	}
}

// TestYardstickCells: what can be picked.
func TestYardstickCells(t *testing.T) {
	all, err := cells("", "720,1080", 15)
	if err != nil || len(all) != 2*len(impair.Networks) || all[0].screen != (screen{1280, 720, 15}) {
		t.Errorf("all: %d cells, %v", len(all), err)
	}
	some, err := cells(" 25ms/1%, 2Mbit", "1080", 30)
	if err != nil || len(some) != 2 || some[0].line.Loss != 0.01 || some[1].line.Rate != 2_000_000 || some[1].screen != (screen{1920, 1080, 30}) {
		t.Errorf("some: %+v, %v", some, err)
	}
	for _, wrong := range [][2]string{{"25ms/2%", "720"}, {"", "480"}} {
		if _, err := cells(wrong[0], wrong[1], 15); err == nil {
			t.Errorf("%v was taken", wrong)
		}
	}
}

// TestYardstickTable: ours is set against the best of the others in the same cell, and a cell that failed says so.
func TestYardstickTable(t *testing.T) {
	all := []figures{
		{Network: "25ms", Size: "720", Source: "ours", Age: 70, Luma: 43, RGB: 40, Kbit: 500},
		{Network: "25ms", Size: "720", Source: "AV1", Age: 140, Luma: 41, RGB: 32, Kbit: 500},
		{Network: "25ms", Size: "720", Source: "H264", Age: 100, Luma: 37, RGB: 31, Kbit: 1000},
		{Network: "100ms", Size: "720", Source: "ours", Failed: "no picture was seen"},
		{Network: "100ms", Size: "720", Source: "AV1", Age: 200},
	}
	if got, want := verdicts(all), "720 25ms: age × 0.70 of RTP H264; text +6.0 dB (RGB +9.0) at × 0.50 of its bits\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if rows := table(all); !strings.Contains(rows, "| 720 | 100ms | ours | no picture was seen |") || strings.Count(rows, "\n") != 7 {
		t.Errorf("the table:\n%s", rows)
	}
}

// TestYardstickMedians: of three of one cell and source the middle one counts, figure by figure; a failure only alone.
func TestYardstickMedians(t *testing.T) {
	chat := func(ms float64) *float64 { return &ms }
	first := figures{Network: "25ms", Size: "720", Source: "ours", Codec: "AV1", Age: 300, Kbit: 1, Chat50: chat(50), Chat95: chat(90)}
	got := medians([]figures{
		first,
		{Network: "25ms", Size: "720", Source: "AV1", Failed: "no picture was seen"},
		{Network: "25ms", Size: "720", Source: "ours", Codec: "H.264", Age: 100, Kbit: 3, Chat50: chat(70), Chat95: chat(80)},
		{Network: "25ms", Size: "720", Source: "ours", Failed: "no picture was seen"},
		{Network: "25ms", Size: "720", Source: "ours", Codec: "AV1", Age: 120, Kbit: 2, Chat50: chat(60), Chat95: chat(70)},
	})
	if len(got) != 2 || got[0].Age != 120 || got[0].Kbit != 2 || *got[0].Chat50 != 60 || *got[0].Chat95 != 80 || got[0].Codec != "AV1, H.264" || got[1].Failed == "" {
		t.Errorf("%+v", got)
	}
	two := medians([]figures{{Source: "AV1", Age: 100, Kbit: 5}, {Source: "AV1", Age: 200, Kbit: 4}})
	if len(two) != 1 || two[0].Age != 150 || two[0].Kbit != 4.5 {
		t.Errorf("of two: %+v", two)
	}
	if *first.Chat95 != 90 {
		t.Error("the figures of a single run have changed")
	}
}

// TestYardstick runs the picture's benchmark for a moment: everything that it measures is there, for ours and for the
// reference.
func TestYardstick(t *testing.T) {
	long, warm := *pictureLong, *pictureWarm
	*pictureLong, *pictureWarm = 2, 1
	t.Cleanup(func() { *pictureLong, *pictureWarm = long, warm })
	list, err := cells("25ms/1%", "720", 15)
	if err != nil {
		t.Fatal(err)
	}
	x := newBench(t)
	check := func(f figures, codec string) {
		t.Helper()
		if f.Failed != "" || f.Age <= 0 || f.FPS <= 0 || f.P95 < f.P50 || f.Kbit <= 0 || f.Luma < 15 || f.SSIM <= 0.3 || f.First <= 0 ||
			f.Customer <= 0 || f.Agent <= 0 || f.Viewer <= 0 || !strings.Contains(f.Codec, codec) {
			t.Errorf("measured %+v", f)
		}
	}
	ours := x.ours(list[0])
	check(ours, "")
	if ours.Chat95 == nil || *ours.Chat95 < 50 { // there and back again takes twice 25 ms at least
		t.Errorf("measured for the chat: %+v", ours)
	}
	for _, codec := range []string{"AV1", "H264"} {
		check(x.reference(list[0], codec), codec)
	}
}
