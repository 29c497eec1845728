package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// treeCPU is the processor time of each process with all its descendants, in seconds, user and system (/proc; zero
// where there is none).
func treeCPU(roots []int) []float64 {
	type process struct {
		parent int
		used   float64
	}
	all := map[int]process{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		_, rest, _ := bytes.Cut(data, []byte(") ")) // the name may hold anything
		fields := strings.Fields(string(rest))
		if len(fields) < 13 {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		user, _ := strconv.ParseFloat(fields[11], 64)
		system, _ := strconv.ParseFloat(fields[12], 64)
		all[pid] = process{parent, (user + system) / 100} // USER_HZ is 100 on every Linux that Go runs on
	}
	out := make([]float64, len(roots))
	for pid, p := range all {
		for at := pid; at > 1; at = all[at].parent {
			for i, root := range roots {
				if at == root {
					out[i] += p.used
				}
			}
		}
	}
	return out
}

// loadOf is the machine's load average over a minute; zero where there is none.
func loadOf() float64 {
	data, _ := os.ReadFile("/proc/loadavg") // elsewhere: nothing
	first, _, _ := strings.Cut(string(data), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load
}
