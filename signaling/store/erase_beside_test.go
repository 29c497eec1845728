package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEraseLooksBeside: what a restore left is removed, unless one works on it; data
// put aside are named as long as they hold the text.
func TestEraseLooksBeside(t *testing.T) {
	dir := private(t)
	s, stop := run(t, Options{Dir: dir})
	victim, _ := fillWithCanaries(t, s, 10)
	file, _ := backup(t, s)
	stop()
	r, err := Restore(t.Context(), dir, file, RestoreOptions{Force: true})
	if err != nil || r.Aside == "" {
		t.Fatal(r, err)
	}
	broken := filepath.Join(dir, replacedPrefix+"broken")
	if err := os.Mkdir(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, dbName), []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, replacedPrefix+"empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, _ = run(t, Options{Dir: dir})
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(dir, restoreDir)
	release, err := takeWork(work)
	if err != nil {
		t.Fatal(err)
	}
	leave := func() {
		t.Helper()
		if err := os.WriteFile(filepath.Join(work, dbName), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	e, err := s.Erase(t.Context(), victim.ID, Actor{Kind: KindSystem})
	wantErr(t, err, ErrRemains)
	if !strings.Contains(err.Error(), work) || e.Messages != 10 || !slices.Equal(e.Aside, []string{r.Aside, broken}) {
		t.Fatalf("%+v %v, put aside in %s", e, err, r.Aside)
	}
	for _, left := range traces(t, dir) {
		if !strings.Contains(left, dbName) {
			t.Error(left)
		}
	}
	release()
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	leave() // and nobody works there: as if killed
	if err := os.RemoveAll(r.Aside); err != nil {
		t.Fatal(err)
	}
	if e, err = s.Erase(t.Context(), victim.ID, Actor{Kind: KindSystem}); err != nil || !e.Before || !slices.Equal(e.Aside, []string{broken}) {
		t.Errorf("%+v %v", e, err)
	}
	if _, err := os.Stat(work); err == nil {
		t.Error("what a restore left is still there")
	}
	if found := traces(t, dir); len(found) > 0 {
		t.Errorf("%q", found)
	}
}
