package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// table is what all benchmarks measured, printed after the last.
var table figures

type figures struct{ rows [][]string }

// how two sides are compared.
type how int

const (
	ratio      how = iota // ours ÷ the reference's
	difference            // ours − the reference's
	alone                 // there is no reference
)

// add takes one figure of each repeat of ours and of a reference, and reports medians to b. aim is what the figure
// should be, for the reader.
func (f *figures) add(b *testing.B, figure, unit string, ours []float64, beside string, ref []float64, as how, aim string) {
	b.Helper()
	row := []string{figure + ", " + unit, spread(ours), beside, spread(ref), "", aim}
	name := strings.ReplaceAll(figure, " ", "-")
	b.ReportMetric(median(ours), name+"-"+strings.ReplaceAll(unit, " ", "-"))
	var both []float64
	for i := range min(len(ours), len(ref)) {
		if as == ratio {
			both = append(both, ours[i]/ref[i])
		} else {
			both = append(both, ours[i]-ref[i])
		}
	}
	switch as {
	case ratio:
		row[4] = "× " + spread(both)
		b.ReportMetric(median(both), name+"/"+strings.ReplaceAll(beside, " ", "-"))
	case difference:
		row[4] = "+ " + spread(both)
		b.ReportMetric(median(both), name+"-minus-"+strings.ReplaceAll(beside, " ", "-"))
	}
	f.rows = append(f.rows, row)
}

// print writes the table. Each cell is the median of the repeats and, in brackets, the least and the most.
func (f *figures) print(w io.Writer) {
	if len(f.rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\nMedians of %d interleaved repeats (least to most):\n\n", *repeats)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "figure\tLookalong\tbeside\t\tratio or difference\taim")
	for _, r := range f.rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	_ = t.Flush() // stdout
}

// median of the values; the lower one of the middle two.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[(len(s)-1)/2]
}

func spread(v []float64) string {
	if len(v) == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%s to %s)", digits(median(v)), digits(slices.Min(v)), digits(slices.Max(v)))
}

// digits writes three significant digits, and whole numbers from 100 up.
func digits(v float64) string {
	switch a := max(v, -v); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}
