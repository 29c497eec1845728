package server

import "testing"

// TestNobodyOvertakesThoseWhoWaitForARead: another read of the same conversation may end first and put it into memory.
// Who asks then still comes after those who asked before.
func TestNobodyOvertakesThoseWhoWaitForARead(t *testing.T) {
	var order []string
	first := func(*conv, error) { order = append(order, "first") }
	h := &hub{convs: map[string]*conv{"c": {}}, loading: map[string][]func(*conv, error){"c": {first}}}
	h.withConv("c", func(*conv, error) { order = append(order, "second") })
	for _, f := range h.loading["c"] {
		f(h.convs["c"], nil)
	}
	if len(order) != 2 || order[0] != "first" {
		t.Errorf("answered in the order %v", order)
	}
}
