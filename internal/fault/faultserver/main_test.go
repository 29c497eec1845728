//go:build unix

package main

import (
	"strings"
	"testing"
)

func TestMisbehaveSaysWhatIsWrong(t *testing.T) {
	for name, want := range map[string]string{
		"FAULT_SYNC_DELAY=fast": "is no time such as 2ms",
		"FAULT_SYNC_DELAY=-2ms": "is no time such as 2ms",
		"FAULT_FAIL_SYNC=0":     "is no number from 1",
		"FAULT_FAIL_WRITE=x":    "is no number from 1",
	} {
		key, value, _ := strings.Cut(name, "=")
		err := misbehave(func(k string) string {
			if k == key {
				return value
			}
			return ""
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := misbehave(func(k string) string { return map[string]string{"FAULT_CUT": t.TempDir(), "FAULT_SEED": "x"}[k] }); err == nil {
		t.Error("a seed that is no number")
	}
}
