// Package recordtest makes encoded frames for tests, and opens what was recorded, with ffmpeg. For tests only.
package recordtest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Source is an encoded stream: its frames, and the file that ffmpeg wrote them into.
type Source struct {
	Codec  string // of WebCodecs
	Path   string
	Frames [][]byte
}

// Codecs are the WebCodecs names that Encode knows.
func Codecs() (out []string) {
	for _, e := range encoders {
		out = append(out, e.codec)
	}
	return out
}

var encoders = []struct{ codec, ext, args string }{
	{"vp8", "ivf", "-c:v libvpx -deadline realtime -cpu-used 8 -auto-alt-ref 0"},
	{"vp09.00.51.08", "ivf", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -auto-alt-ref 0"},
	{"av01.0.08M.08", "ivf", "-c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0"},
	{"av01.1.08M.08.0.000", "ivf", "-pix_fmt yuv444p -c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0"},
	{"avc1.42E034", "h264", "-c:v libx264 -profile:v baseline -tune zerolatency -x264-params aud=1:bframes=0:sliced-threads=0:scenecut=0"},
}

// Run is the output of a program that must succeed.
func Run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s\nscripts/ffmpeg.sh installs it", name, strings.Join(args, " "), err, errs.String())
	}
	return out
}

// Encode makes count frames of a codec at 15 a second, a key frame every keys: of what draw draws, else of a moving picture
// of ffmpeg's.
func Encode(t testing.TB, codec string, width, height, count, keys int, draw func(n int) *image.RGBA) Source {
	t.Helper()
	for _, e := range encoders {
		if e.codec != codec {
			continue
		}
		s := Source{Codec: codec, Path: filepath.Join(t.TempDir(), "source."+e.ext)}
		size := fmt.Sprintf("%dx%d", width, height)
		from := []string{"-f", "lavfi", "-i", "testsrc2=rate=15:size=" + size}
		if draw != nil {
			from = []string{"-f", "rawvideo", "-pix_fmt", "rgba", "-s", size, "-r", "15", "-i", raw(t, count, draw), "-pix_fmt", "yuv420p"}
		}
		args := append(from, "-v", "error", "-frames:v", strconv.Itoa(count), "-g", strconv.Itoa(keys), "-b:v", "400k", "-threads", "1")
		Run(t, "ffmpeg", append(append(args, strings.Fields(e.args)...), s.Path)...)
		data, err := os.ReadFile(s.Path)
		if err != nil {
			t.Fatal(err)
		}
		if e.ext == "ivf" {
			s.Frames = ivf(data)
		} else {
			s.Frames = accessUnits(data)
		}
		if len(s.Frames) != count {
			t.Fatalf("%s: %d frames, want %d", codec, len(s.Frames), count)
		}
		return s
	}
	t.Fatalf("no encoder for %s", codec)
	return Source{}
}

// raw writes pictures into a file.
func raw(t testing.TB, count int, draw func(n int) *image.RGBA) string {
	t.Helper()
	var b bytes.Buffer
	for n := range count {
		b.Write(draw(n).Pix)
	}
	path := filepath.Join(t.TempDir(), "pictures.raw")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func ivf(b []byte) (out [][]byte) {
	for b = b[32:]; len(b) > 12; {
		n := binary.LittleEndian.Uint32(b)
		out = append(out, b[12:12+n])
		b = b[12+n:]
	}
	return out
}

// accessUnits splits a byte stream where each picture begins with a delimiter.
func accessUnits(b []byte) (out [][]byte) {
	aud := []byte{0, 0, 0, 1, 9}
	for len(b) > 0 {
		next := bytes.Index(b[1:], aud) + 1
		if next == 0 {
			next = len(b)
		}
		out = append(out, b[:next])
		b = b[next:]
	}
	return out
}

// Probed is what ffprobe says about a file.
type Probed struct {
	Packets []struct {
		Pts   string `json:"pts_time"`
		Flags string `json:"flags"`
	} `json:"packets"`
	Streams []struct {
		Codec  string `json:"codec_name"`
		Frames string `json:"nb_read_frames"`
		Width  int    `json:"width"`
		Height int    `json:"height"`
	} `json:"streams"`
	Format struct {
		Duration string `json:"duration"`
	} `json:"format"`
}

// Probe opens a file with ffprobe and decodes it whole.
func Probe(t testing.TB, path string) (p Probed) {
	t.Helper()
	out := Run(t, "ffprobe", "-v", "error", "-of", "json", "-count_frames", "-show_packets", "-show_streams", "-show_format", path)
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// Decoded is how many could be decoded.
func (p Probed) Decoded() int {
	n, _ := strconv.Atoi(p.Streams[0].Frames)
	return n
}

// DurationMs is what the file says; -1 where it says nothing.
func (p Probed) DurationMs() int64 { return InMs(p.Format.Duration) }

// Times are those of the packets in milliseconds.
func (p Probed) Times() (out []int64) {
	for _, one := range p.Packets {
		out = append(out, InMs(one.Pts))
	}
	return out
}

// InMs reads seconds; -1 is no number.
func InMs(seconds string) int64 {
	s, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		return -1
	}
	return int64(math.Round(s * 1000))
}

// Pixels are the checksums of the decoded frames.
func Pixels(t testing.TB, path string) (out []string) {
	t.Helper()
	for line := range strings.Lines(string(Run(t, "ffmpeg", "-v", "error", "-i", path, "-an", "-fps_mode", "passthrough", "-f", "framemd5", "-"))) {
		if !strings.HasPrefix(line, "#") {
			fields := strings.Split(line, ",")
			out = append(out, strings.TrimSpace(fields[len(fields)-1]))
		}
	}
	return out
}
