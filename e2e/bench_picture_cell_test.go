package e2e

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lookalong/lookalong/e2e/impair"
)

// screens by their names.
var screens = map[string][2]int{"720": {1280, 720}, "1080": {1920, 1080}}

// cell is one network and one size of the screen.
type cell struct {
	Network string
	Size    string // of screens
	line    impair.Conditions
	screen  screen
}

// cells are those of the comma-separated names ("25ms/1%"; all: ""), for each of the sizes ("720,1080").
func cells(names, sizes string, fps int) ([]cell, error) {
	wanted := split(names)
	for _, name := range wanted {
		if !slices.ContainsFunc(impair.Networks, func(n impair.Named) bool { return n.Name == name }) {
			return nil, fmt.Errorf("there is no network %q", name)
		}
	}
	var out []cell
	for _, size := range split(sizes) {
		side, ok := screens[size]
		if !ok {
			return nil, fmt.Errorf("there is no size %q: 720, 1080", size)
		}
		for _, n := range impair.Networks {
			if len(wanted) == 0 || slices.Contains(wanted, n.Name) {
				out = append(out, cell{n.Name, size, n.Line, screen{side[0], side[1], fps}})
			}
		}
	}
	return out, nil
}

// split splits a list at commas and spaces.
func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// figures are those of one way of carrying the picture in one cell. Times in ms, rates in kbit/s (IP headers included),
// processors in per cent of one, sharpness in dB; a figure that was not taken is absent.
type figures struct {
	Network, Size, Source string
	Codec                 string   `json:",omitempty"`
	Age                   float64  // mean age of what is on the viewer's screen
	P50, P95              float64  // of the latency of a frame
	FPS                   float64  // different frames that were seen, a second
	Torn                  float64  // share of the samples that could not be used
	Kbit                  float64  // both ways over the bad line, of the picture alone
	Chat50, Chat95        *float64 `json:",omitempty"` // of a direct message and its receipt
	Customer              float64  // processor
	Agent                 float64
	Viewer                float64
	Luma, RGB, SSIM       float64
	Fitted                float64 // luma again, after the gain and offset that fit best: without errors of the colour range
	First                 float64 // from the click to the first painted picture
	Load                  float64 // of the machine: how many wanted a processor in the last minute
	Failed                string  `json:",omitempty"`
}

// numbers are all figures that can be taken several times.
func (f *figures) numbers() []*float64 {
	list := []*float64{&f.Age, &f.P50, &f.P95, &f.FPS, &f.Torn, &f.Kbit, &f.Customer, &f.Agent, &f.Viewer, &f.Luma, &f.RGB, &f.SSIM, &f.Fitted, &f.First, &f.Load}
	if f.Chat95 != nil {
		list = append(list, f.Chat50, f.Chat95)
	}
	return list
}

// medians joins what was measured several times in one cell for one source, in the order of the first; a codec that
// changed in between is named with the others. What failed counts only where all failed.
func medians(all []figures) (out []figures) {
	type key struct{ network, size, source string }
	groups := map[key][]figures{}
	var order []key
	for _, f := range all {
		k := key{f.Network, f.Size, f.Source}
		if len(groups[k]) == 0 {
			order = append(order, k)
		}
		groups[k] = append(groups[k], f)
	}
	for _, k := range order {
		group := groups[k]
		if good := slices.DeleteFunc(slices.Clone(group), func(f figures) bool { return f.Failed != "" }); len(good) > 0 {
			group = good
		}
		m := group[0]
		if m.Chat95 != nil {
			p50, p95 := *m.Chat50, *m.Chat95
			m.Chat50, m.Chat95 = &p50, &p95 // those of the first stay as they are
		}
		var codecs []string
		columns := make([][]float64, len(m.numbers()))
		for _, f := range group {
			if !slices.Contains(codecs, f.Codec) {
				codecs = append(codecs, f.Codec)
			}
			for i, n := range f.numbers() {
				if i < len(columns) {
					columns[i] = append(columns[i], *n)
				}
			}
		}
		m.Codec = strings.Join(codecs, ", ")
		for i, n := range m.numbers() {
			of := slices.Sorted(slices.Values(columns[i]))
			*n = (of[(len(of)-1)/2] + of[len(of)/2]) / 2
		}
		out = append(out, m)
	}
	return out
}

// table prints the rows in the form of the comparison: a row for each cell and source.
func table(all []figures) string {
	var b strings.Builder
	b.WriteString("| screen | network | source | age | p50/p95 | frames/s | kbit/s | text Y | RGB | SSIM | Y fitted | chat p50/p95 | customer | agent | viewer | first | load |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, f := range all {
		if f.Failed != "" {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.Size, f.Network, f.Source, f.Failed)
			continue
		}
		chat := ""
		if f.Chat95 != nil {
			chat = fmt.Sprintf("%.0f/%.0f", *f.Chat50, *f.Chat95)
		}
		name := f.Source
		if f.Codec != "" {
			name += " (" + f.Codec + ")"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | **%.0f** | %.0f/%.0f | %.1f | %.0f | %.1f | %.1f | %.4f | %.1f | %s | %.0f %% | %.0f %% | %.0f %% | %.0f | %.1f |\n",
			f.Size, f.Network, name, f.Age, f.P50, f.P95, f.FPS, f.Kbit, f.Luma, f.RGB, f.SSIM, f.Fitted, chat, f.Customer, f.Agent, f.Viewer, f.First, f.Load)
	}
	return b.String()
}

// verdicts compares ours with the best of the others in each cell.
func verdicts(all []figures) string {
	var b strings.Builder
	for i := 0; i < len(all); {
		end := i
		for end < len(all) && all[end].Network == all[i].Network && all[end].Size == all[i].Size {
			end++
		}
		var ours, best *figures
		for k := range all[i:end] {
			f := &all[i+k]
			switch {
			case f.Failed != "":
			case f.Source == "ours":
				ours = f
			case best == nil || f.Age < best.Age:
				best = f
			}
		}
		if ours != nil && best != nil {
			fmt.Fprintf(&b, "%s %s: age × %.2f of RTP %s; text %+.1f dB (RGB %+.1f) at × %.2f of its bits\n", ours.Size, ours.Network,
				ours.Age/best.Age, best.Source, ours.Luma-best.Luma, ours.RGB-best.RGB, ours.Kbit/best.Kbit)
		}
		i = end
	}
	return b.String()
}
