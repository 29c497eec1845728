package record

// ffmpeg makes the frames of these tests, and opens what was recorded.

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// source is an encoded stream: its frames, and the file that ffmpeg wrote them into.
type source struct {
	name   string // of the WebCodecs codec
	path   string
	frames [][]byte
}

var encoders = []struct{ codec, ext, args string }{
	{"vp8", "ivf", "-c:v libvpx -deadline realtime -cpu-used 8 -auto-alt-ref 0"},
	{"vp09.00.51.08", "ivf", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -auto-alt-ref 0"},
	{"av01.0.08M.08", "ivf", "-c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0"},
	{"av01.1.08M.08.0.000", "ivf", "-pix_fmt yuv444p -c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0"},
	{"avc1.42E034", "h264", "-c:v libx264 -profile:v baseline -tune zerolatency -x264-params aud=1:bframes=0:sliced-threads=0:scenecut=0"},
}

func run(t *testing.T, name string, args ...string) []byte {
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

// encode makes count frames of a codec, a key frame every keys.
func encode(t *testing.T, codec, size string, count, keys int) source {
	t.Helper()
	for _, e := range encoders {
		if e.codec != codec {
			continue
		}
		s := source{name: codec, path: filepath.Join(t.TempDir(), "source."+e.ext)}
		args := []string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=rate=15:size=" + size, "-frames:v", strconv.Itoa(count), "-g", strconv.Itoa(keys), "-b:v", "400k", "-threads", "1"}
		run(t, "ffmpeg", append(append(args, strings.Fields(e.args)...), s.path)...)
		data, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		if e.ext == "ivf" {
			s.frames = ivf(data)
		} else {
			s.frames = accessUnits(data)
		}
		if len(s.frames) != count {
			t.Fatalf("%s: %d frames, want %d", codec, len(s.frames), count)
		}
		return s
	}
	t.Fatalf("no encoder for %s", codec)
	return source{}
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
	aud := []byte{0, 0, 0, 1, nalAUD}
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

// probed is what ffprobe says about a file.
type probed struct {
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

func probe(t *testing.T, path string) (p probed) {
	t.Helper()
	out := run(t, "ffprobe", "-v", "error", "-of", "json", "-count_frames", "-show_packets", "-show_streams", "-show_format", path)
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// frames is how many could be decoded.
func (p probed) frames() int {
	n, _ := strconv.Atoi(p.Streams[0].Frames)
	return n
}

func (p probed) durationMs() int64 { return inMs(p.Format.Duration) }

// times are those of the packets in milliseconds.
func (p probed) times() (out []int64) {
	for _, one := range p.Packets {
		out = append(out, inMs(one.Pts))
	}
	return out
}

func inMs(seconds string) int64 {
	s, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		return -1
	}
	return int64(math.Round(s * 1000))
}

// pixels are the checksums of the decoded frames.
func pixels(t *testing.T, path string) (out []string) {
	t.Helper()
	for line := range strings.Lines(string(run(t, "ffmpeg", "-v", "error", "-i", path, "-an", "-fps_mode", "passthrough", "-f", "framemd5", "-"))) {
		if !strings.HasPrefix(line, "#") {
			fields := strings.Split(line, ",")
			out = append(out, strings.TrimSpace(fields[len(fields)-1]))
		}
	}
	return out
}
