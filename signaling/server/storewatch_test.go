package server

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/signaling/store"
)

// TestStoreWatchTellsChanges: what is logged after each step, on a clock of the test's own.
func TestStoreWatchTellsChanges(t *testing.T) {
	var out strings.Builder
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w := newStoreWatch(slog.New(slog.NewTextHandler(&out, nil)), func() time.Time { return now })
	full, failed, damaged := fmt.Errorf("a: %w", store.ErrFull), fmt.Errorf("b: %w", store.ErrStorage), fmt.Errorf("c: %w", store.ErrDamaged)
	for i, step := range []struct {
		after  time.Duration
		commit *store.Commit
		health store.Health
		want   string // level and message of the one line; empty: none
	}{
		{commit: &store.Commit{}},
		{health: store.Health{}},
		{commit: &store.Commit{Err: failed}, want: `level=ERROR msg="the store is in trouble" err="b:`},
		{commit: &store.Commit{Err: failed}},
		{health: store.Health{}},
		{after: wellAfter - time.Millisecond, commit: &store.Commit{Err: failed}},
		{after: wellAfter - time.Millisecond, health: store.Health{}},
		{commit: &store.Commit{Err: full}, want: `level=ERROR msg="the store is in trouble" err="a:`},
		{commit: &store.Commit{Err: failed}},
		{after: time.Hour, health: store.Health{Err: full}},
		{health: store.Health{}},
		{after: wellAfter, health: store.Health{}, want: `level=WARN msg="the store works again"`},
		{after: wellAfter, health: store.Health{}},
		{health: store.Health{Err: full}, want: `level=ERROR msg="the store is in trouble" err="a:`},
		{after: wellAfter, health: store.Health{Damage: damaged}, want: `level=ERROR msg="part of the data is damaged" err="c:`},
		{after: wellAfter, health: store.Health{Damage: damaged}},
	} {
		now = now.Add(step.after)
		out.Reset()
		if step.commit != nil {
			w.committed(*step.commit)
		} else {
			w.look(step.health)
		}
		got := out.String()
		if step.want == "" && got != "" || !strings.Contains(got, step.want) {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
}
