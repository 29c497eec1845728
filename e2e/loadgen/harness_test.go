package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	repeats   = flag.Int("repeats", 5, "benchmarks: interleaved repeats of each figure")
	profileTo = flag.String("profile", "", "BenchmarkChatSaturation: write a processor profile of the server there instead of measuring")
)

// programs is the folder of the built programs.
var programs string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "lookalong-bench")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	for name, pkg := range map[string]string{"loadgen": ".", "benchserver": "../benchserver", "relayref": "../relayref", "lookalong-signaling": "../../signaling"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", name, err, out)
			return 1
		}
	}
	defer table.print(os.Stdout)
	return m.Run()
}

// process is a running server.
type process struct {
	cmd    *exec.Cmd
	addr   string // HOST:PORT
	second string // the second line that it printed, if asked for
	errs   *bytes.Buffer
	ended  chan error
}

// start runs a program that prints its address on the first line, and waits for lines lines.
func start(t testing.TB, lines int, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(filepath.Join(programs, name), args...), errs: &bytes.Buffer{}, ended: make(chan error, 1)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.errs
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make(chan string, lines) // the lines that are waited for
	go func() {
		read := bufio.NewScanner(out)
		for n := 0; read.Scan(); n++ {
			if n < lines {
				first <- read.Text()
			}
		}
		close(first)
		p.ended <- p.cmd.Wait()
	}()
	t.Cleanup(p.stop)
	for i := range lines {
		line, ok := <-first
		if !ok {
			p.stop()
			t.Fatalf("%s ended before it listened:\n%s", name, p.errs)
		}
		if i == 0 {
			p.addr = line
		} else {
			p.second = line
		}
	}
	return p
}

// stop ends it, by force if it does not end when asked. Idempotent.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case err := <-p.ended:
		p.ended <- err
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill() // as above
		p.ended <- <-p.ended
	}
}

// side is one of the servers that are set against each other.
type side struct {
	name   string
	relay  bool     // the reference, not the server
	args   []string // of the program
	data   string   // server: the folder whose copy it runs on
	load   []string // what only this side's load generator is told
	folder string   // of this run
	disk   float64  // what a sync took before this run, in milliseconds
}

// seed fills a data folder once; runs get a copy of it.
func seed(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, "benchserver"), append([]string{"seed", "-data", dir}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("seed: %v\n%s", err, out)
	}
}

// copyFolder copies the files of a data folder.
func copyFolder(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// up starts a side's server in a fresh folder.
func (s *side) up(t testing.TB) *process {
	t.Helper()
	s.folder = t.TempDir()
	if s.relay {
		args := append([]string{}, s.args...)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "FOLDER", s.folder)
		}
		return start(t, 1, "relayref", args...)
	}
	copyFolder(t, s.data, filepath.Join(s.folder, "data"))
	if _, measured := t.(*testing.B); measured {
		quiet()
		s.disk = syncTime(t, s.folder)
	}
	return start(t, 2, "benchserver", append([]string{"-data", filepath.Join(s.folder, "data")}, s.args...)...)
}

// quiet writes dirty pages out and lets the disk settle, so that one run's leftovers are not in the next one's syncs.
func quiet() {
	syncDisks()
	time.Sleep(300 * time.Millisecond)
}

// load runs the load generator against a running server. A fault in its report ends the benchmark.
func (s *side) loadOn(t testing.TB, p *process, mode string, args ...string) report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	all := append([]string{mode, "-addr", p.addr, "-pid", strconv.Itoa(p.cmd.Process.Pid), "-relay=" + strconv.FormatBool(s.relay)}, args...)
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "loadgen"), append(all, s.load...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var r report
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		t.Fatalf("%s: loadgen %s: %v\n%s%s", s.name, mode, err, errs.String(), p.errs)
	}
	if len(r.Faults) > 0 {
		t.Fatalf("%s: loadgen %s: %s\n%s", s.name, mode, strings.Join(r.Faults, "\n"), p.errs)
	}
	return r
}

// once is one run of one side, from start to end.
func (s *side) once(t testing.TB, mode string, args ...string) report {
	t.Helper()
	p := s.up(t)
	if _, measured := t.(*testing.B); measured && s.relay {
		quiet()
	}
	defer func() {
		p.stop()
		_ = os.RemoveAll(s.folder) // its pages are not written any more; what is left goes with the benchmark
	}()
	r := s.loadOn(t, p, mode, args...)
	r.disk = s.disk
	return r
}

// syncTime is the median of a few syncs of 4 KiB in milliseconds: what the disk itself takes just now.
func syncTime(t testing.TB, dir string) float64 {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var took []float64
	for range 21 {
		began := time.Now()
		if _, err = f.Write(make([]byte, 4096)); err == nil {
			err = f.Sync()
		}
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	return median(took)
}

// interleaved runs the sides in turn, A B C A B C …, and returns the reports of each side.
func interleaved(b *testing.B, sides []*side, mode string, args ...string) [][]report {
	b.Helper()
	out := make([][]report, len(sides))
	for range *repeats {
		for i, s := range sides {
			out[i] = append(out[i], s.once(b, mode, args...))
		}
	}
	return out
}

// of picks one number of each report.
func of(reports []report, f func(report) float64) []float64 {
	out := make([]float64, len(reports))
	for i, r := range reports {
		out[i] = f(r)
	}
	return out
}

// onDisk refuses a temporary folder in memory: its syncs cost nothing.
func onDisk(b *testing.B) {
	b.Helper()
	if inMemory(b.TempDir()) {
		b.Fatal("the temporary folder is in memory, where a sync costs nothing: set TMPDIR to a folder on a disk")
	}
}

// saveProfile writes a processor profile of the next seconds.
func saveProfile(p *process, path string, seconds int) error {
	resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.second, seconds))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, data)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
