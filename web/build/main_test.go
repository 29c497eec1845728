package main

// The committed bundle is what the sources give, it keeps its budget, and no source reaches for the ways in which
// text becomes markup or code.

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/lookalong/lookalong/web"
)

const pageBudget = 60 << 10 // bytes, gzipped, of all that loads before a share starts (design 8)

func root(t *testing.T) string {
	t.Helper()
	dir, err := webRoot()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDistIsCurrent(t *testing.T) {
	trees, err := bundlePages(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, tree := range map[string]fs.FS{"page": web.Page(), "viewer": web.Viewer()} {
		want := trees[name]
		seen := 0
		err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			seen++
			got, err := fs.ReadFile(tree, path)
			if err != nil {
				return err
			}
			if !bytes.Equal(got, want[path]) {
				t.Errorf("dist/%s/%s differs from what the sources give; run: go run ./web/build", name, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if seen != len(want) {
			t.Errorf("dist/%s has %d files, the sources give %d; run: go run ./web/build", name, seen, len(want))
		}
	}
}

func TestPageBudget(t *testing.T) {
	sum := 0
	err := fs.WalkDir(web.Page(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || regexp.MustCompile(`^share-`).MatchString(path) {
			return err
		}
		data, err := fs.ReadFile(web.Page(), path)
		sum += gzipped(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum > pageBudget {
		t.Errorf("the page loads %d bytes gzipped before a share, want at most %d", sum, pageBudget)
	}
}

// TestNoMarkupFromText is the grep gate of security.md T30.
func TestNoMarkupFromText(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|dangerouslySet|srcdoc|style=\{`)
	dir := filepath.Join(root(t), "src")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if m := forbidden.Find(data); m != nil {
			t.Errorf("%s uses %s", path, m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
