package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/agent/record"
	"github.com/lookalong/lookalong/agent/record/recordtest"
	"github.com/lookalong/lookalong/e2e/browser"
	"github.com/lookalong/lookalong/internal/pattern"
	"github.com/lookalong/lookalong/protocol"
)

// player opens a file in Chromium's own player, beside a canvas on which the picture can be read.
func player(t *testing.T, path string) *browser.Page {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/file" {
			http.ServeFile(w, r, path)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><video muted preload=auto src=/file></video><canvas></canvas><script>
const v=document.querySelector('video'),c=document.querySelector('canvas');
window.sought=-1;
window.shot=()=>{c.width=v.videoWidth;c.height=v.videoHeight;c.getContext('2d').drawImage(v,0,0);return c.toDataURL('image/png')};
v.onseeked=()=>{window.shot();window.sought=v.currentTime};
window.seek=(s)=>{window.sought=-1;v.currentTime=s;return true}</script>`) // the browser may be gone
	}))
	t.Cleanup(srv.Close)
	p := chromium.Profile(t).Open(t, "player", srv.URL)
	p.Until("the file to be opened", func() bool {
		if code := browser.Eval[int](p, "v.error===null?0:v.error.code"); code != 0 {
			t.Fatalf("%s: the player fails with %d: %s", path, code, browser.Eval[string](p, "v.error.message"))
		}
		return browser.Eval[bool](p, "v.readyState>=2")
	})
	return p
}

// jump seeks to a time in seconds.
func jump(p *browser.Page, seconds float64) {
	browser.Eval[bool](p, fmt.Sprintf("seek(%f)", seconds))
	p.Until(fmt.Sprintf("the picture at %.3f s", seconds), func() bool { return browser.Eval[float64](p, "sought") >= 0 })
}

// lasts checks the duration that the player shows.
func lasts(t *testing.T, p *browser.Page, wantMs int64) {
	t.Helper()
	if got := browser.Eval[float64](p, "v.duration"); math.Abs(got*1000-float64(wantMs)) > 1 {
		t.Errorf("the player shows %.3f s, want %d ms", got, wantMs)
	}
}

// TestRecordingsPlay: Chromium opens every codec's file, knows how long it is, and jumps to the picture of a moment.
func TestRecordingsPlay(t *testing.T) {
	codecs := slices.DeleteFunc(recordtest.Codecs(), func(codec string) bool {
		return strings.HasPrefix(codec, "av01.1") // 4:4:4: drawn in 4:2:0 here, which Chromium takes for damage
	})
	for _, codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			source, err := pattern.New(640, 360)
			if err != nil {
				t.Fatal(err)
			}
			s := recordtest.Encode(t, codec, 640, 360, 60, 20, func(int) *image.RGBA { return source.Next().(*image.RGBA) })
			path := filepath.Join(t.TempDir(), "share.webm")
			if strings.HasPrefix(codec, "avc1") {
				path = filepath.Join(t.TempDir(), "share.mp4")
			}
			r := record.New(record.Config{Name: path, Note: func(string) {}, AskKey: func(uint8) {}})
			for i, data := range s.Frames {
				kind := protocol.FrameDelta
				if i%20 == 0 {
					kind = protocol.FrameKey
				}
				r.Frame(&protocol.Frame{Kind: kind, Frame: uint32(i), CaptureMs: uint32(i * 100), Data: data}, protocol.ScreenConfig{Codec: codec, Width: 640, Height: 360})
			}
			end := uint32(6000)
			r.Stop(&end)
			if _, err := r.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			p := player(t, path)
			lasts(t, p, 6000)
			for _, n := range []int{30, 59, 7} {
				jump(p, float64(n)/10+0.05)
				p.Until(fmt.Sprintf("picture %d", n), func() bool { // a busy player says that it is there before it shows it
					data, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(browser.Eval[string](p, "shot()"), "data:image/png;base64,"))
					if err != nil {
						t.Fatal(err)
					}
					img, err := png.Decode(bytes.NewReader(data))
					if err != nil {
						t.Fatal(err)
					}
					got, err := pattern.Read(img)
					return err == nil && int(got) == n
				})
			}
		})
	}
}

var recordedLine = regexp.MustCompile(`Recorded: (\S+), (\d+) frames, `)

// recorded waits for the nth recording's end and returns its file, and how many frames it has.
func (p *program) recorded(n int) (path string, frames int) {
	p.t.Helper()
	p.until("the end of a recording", func() bool { return len(recordedLine.FindAllString(p.err.String(), -1)) >= n })
	m := recordedLine.FindAllStringSubmatch(p.err.String(), -1)[n-1]
	frames, err := strconv.Atoi(m[2])
	if err != nil {
		p.t.Fatal(err)
	}
	return m[1], frames
}

// opens checks a file with ffprobe: every frame can be decoded, and the times only grow.
func opens(t *testing.T, path string, frames int) recordtest.Probed {
	t.Helper()
	p := recordtest.Probe(t, path)
	if p.Decoded() != frames || len(p.Packets) != frames || !slices.IsSorted(p.Times()) || p.DurationMs() < p.Times()[frames-1] {
		t.Errorf("%s: %d of %d frames decoded, %d ms, want %d frames", path, p.Decoded(), len(p.Packets), p.DurationMs(), frames)
	}
	return p
}

// TestRecording: the customer says no, then yes, sees a mark, stops the recording and goes on; the end of the share is
// the end of another one.
func TestRecording(t *testing.T) {
	x := newShared(t)
	v := x.share()
	dir := t.TempDir()
	x.chat.say("/record " + dir + "/no.webm")
	x.c.WaitPage("asks to record what you show")
	x.c.Click("button", "Don't allow")
	x.chat.wants("the customer does not want it recorded")
	x.c.Gone("button", "Stop recording")

	x.chat.say("/record " + dir + "/one.webm")
	x.c.WaitPage("The recording stays with the agent")
	x.c.Click("button", "Allow")
	x.c.Wait("button", "Stop recording")
	x.c.WaitPage("REC")
	x.c.WaitPage("Ana records this.")
	x.chat.wants("ecording to " + dir + "/one") // its ending follows from the codec
	from := pictures(v, "pictures while it is recorded", 10).N
	x.c.Click("button", "Stop recording")
	x.c.Gone("button", "Stop recording")
	x.c.WaitPage("You go on sharing")
	x.chat.wants("The customer stopped the recording.")
	path, frames := x.chat.recorded(1)
	p := opens(t, path, frames)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	size := fileSize(t, path)
	after := pictures(v, "pictures after the recording", 5).N
	if fileSize(t, path) != size {
		t.Error("the file grows after the end")
	}
	screen := player(t, path)
	lasts(t, screen, p.DurationMs())
	for _, part := range []float64{0.5, 0.9, 0.1} {
		at := p.Times()[int(part*float64(frames))]
		jump(screen, float64(at)/1000+0.001)
		got := browser.Eval[*browser.Pattern](screen, browser.ReadPattern)
		if got == nil || !got.Whole() || got.N < from-100 || got.N > after {
			t.Errorf("at %d ms: %v; %d to %d were shown", at, got, from, after)
		}
	}

	// Stop sharing ends a recording too.
	x.chat.say("/record " + dir + "/two.webm")
	x.c.Click("button", "Allow")
	x.c.Wait("button", "Stop recording")
	pictures(v, "more pictures", 5)
	before := x.chat.err.String()
	x.c.Click("button", "Stop sharing")
	x.c.WaitPage("Stopped. Nothing is shared now.")
	x.c.Gone("button", "Stop recording")
	x.chat.wants("The recording has ended with the picture.")
	path, frames = x.chat.recorded(len(recordedLine.FindAllString(before, -1)) + 1)
	opens(t, path, frames)

	for _, left := range files(t, dir) {
		if strings.HasPrefix(filepath.Base(left), "no") {
			t.Errorf("%s was written without the customer's yes", left)
		}
	}
}

// files are those in a folder, by name.
func files(t *testing.T, dir string) (out []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		out = append(out, filepath.Join(dir, f.Name()))
	}
	return out
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestRecordingOfADeadProgram: the agent's program is killed in the middle. What it wrote plays, and the customer's mark
// goes away with the session.
func TestRecordingOfADeadProgram(t *testing.T) {
	x := newShared(t)
	v := x.share()
	dir := t.TempDir()
	x.chat.say("/record " + dir + "/crash.webm")
	x.c.Click("button", "Allow")
	x.c.Wait("button", "Stop recording")
	x.chat.wants("ecording to " + dir)
	pictures(v, "recorded pictures", 12)
	x.chat.kill()
	decoded := 0
	for _, path := range files(t, dir) {
		p := recordtest.Probe(t, path)
		if decoded += p.Decoded(); p.Decoded() != len(p.Packets) {
			t.Errorf("%s: %d frames can be decoded, %d are there", path, p.Decoded(), len(p.Packets))
		}
	}
	if decoded < 5 {
		t.Errorf("%d frames were recorded", decoded)
	}
	x.c.WaitPage("Nothing is shared")
	x.c.Gone("button", "Stop recording")
}

// TestRecordCommand: record by itself, without a viewer.
func TestRecordCommand(t *testing.T) {
	x := newShared(t)
	x.chat.say("/quit")
	x.chat.wait()
	dir := t.TempDir()
	rec := x.ana.start("record", conversation(t, x.ana), dir+"/alone.webm", "--json")
	x.c.Click("button", "Choose what to show")
	x.c.WaitPage("asks to record what you show")
	x.c.Click("button", "Allow")
	rec.wants("ecording to " + dir)
	rec.until("some video", func() bool { return fileSize(t, files(t, dir)[0]) > 50_000 })
	if code := rec.stop(); code != 0 { // Ctrl-C is how a recording is ended
		t.Errorf("exit code %d: %s", code, rec.err)
	}
	if out := rec.out.String(); !strings.Contains(out, `"version":1`) || !strings.Contains(out, dir+"/alone") {
		t.Errorf("printed %s", out)
	}
	x.c.WaitPage("Nothing is shared")
	for _, path := range files(t, dir) {
		opens(t, path, len(recordtest.Probe(t, path).Packets))
	}
}

// readStill reads the number of the pattern in a still, and checks its colour.
func readStill(t *testing.T, path string) browser.Pattern {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	b := img.Bounds()
	scale := float64(b.Dx()) / 1280
	at := func(x, y float64) (out [3]int) {
		r, g, b, _ := img.At(int(x*scale), int(y*scale)).RGBA()
		return [3]int{int(r >> 8), int(g >> 8), int(b >> 8)}
	}
	p := browser.Pattern{Width: b.Dx(), Height: b.Dy(), Colour: at(100, 300)}
	for i := range 16 {
		c := at(float64(i)*80+40, 40)
		if c[0] > 5 && c[0] < 250 { // lossless: nothing is blurred
			t.Errorf("bit %d is %v", i, c)
		}
		if c[0] > 127 {
			p.N |= 1 << i
		}
	}
	if !p.Whole() {
		t.Errorf("%v is not whole", p)
	}
	return p
}

// TestSnapshot: in the chat that shows the picture, by itself, and beside a chat that has the session.
func TestSnapshot(t *testing.T) {
	x := newShared(t)
	v := x.share()
	dir := t.TempDir()
	from := pictures(v, "pictures", 3).N
	x.chat.say("/snapshot " + dir + "/chat.png")
	x.chat.wants("Kept in " + dir + "/chat.png")
	if p := readStill(t, dir+"/chat.png"); p.N < from || p.N > from+1000 {
		t.Errorf("%v, want a number from %d on", p, from)
	}
	if info, err := os.Stat(dir + "/chat.png"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	x.chat.say("/snapshot " + dir + "/chat.png")
	x.chat.wants("is no new file")

	// The chat has the session: another program says what to do.
	other := x.ana.start("snapshot", conversation(t, x.ana), dir+"/other.png")
	if code := other.wait(); code != 1 || !strings.Contains(other.err.String(), "use /snapshot FILE") {
		t.Errorf("exit code %d: %s", code, other.err)
	}

	// Alone: the customer is asked to show, and nothing else.
	x.chat.say("/quit")
	x.chat.wait()
	alone := x.ana.start("snapshot", conversation(t, x.ana), dir+"/alone.png", "--json")
	x.c.Click("button", "Choose what to show")
	if code := alone.wait(); code != 0 {
		t.Fatalf("exit code %d: %s", code, alone.err)
	}
	readStill(t, dir+"/alone.png")
	if out := alone.out.String(); !strings.Contains(out, `"format":"png"`) {
		t.Errorf("printed %s", out)
	}
	again := x.ana.start("snapshot", conversation(t, x.ana), dir+"/alone.png")
	if code := again.wait(); code != 1 || !strings.Contains(again.err.String(), "--force") {
		t.Errorf("exit code %d: %s", code, again.err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
}
