package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one of /proc.
type process struct {
	parent int
	used   float64 // processor time in seconds, user and system
}

// processes are those that run now, by their numbers; none where there is no /proc.
func processes() map[int]process {
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
	return all
}

// tree adds up what is measured of each root with all its descendants.
func tree(roots []int, measure func(pid int, p process) float64) []float64 {
	all, out := processes(), make([]float64, len(roots))
	for pid, p := range all {
		for at := pid; at > 1; at = all[at].parent {
			for i, root := range roots {
				if at == root {
					out[i] += measure(pid, p)
				}
			}
		}
	}
	return out
}

// treeCPU is the processor time of each process with all its descendants, in seconds.
func treeCPU(roots []int) []float64 {
	return tree(roots, func(_ int, p process) float64 { return p.used })
}

// treeMemory is the memory of each process with all its descendants, in MiB; what they share counts once.
func treeMemory(roots []int) []float64 {
	return tree(roots, func(pid int, _ process) float64 {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)) // it may have ended
		_, rest, _ := bytes.Cut(data, []byte("\nPss:"))
		fields := strings.Fields(string(rest[:min(len(rest), 40)]))
		if len(fields) == 0 {
			return 0
		}
		kib, _ := strconv.ParseFloat(fields[0], 64)
		return kib / 1024
	})
}

// loadOf is the machine's load average over a minute; zero where there is none.
func loadOf() float64 {
	data, _ := os.ReadFile("/proc/loadavg") // elsewhere: nothing
	first, _, _ := strings.Cut(string(data), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load
}
