// Command build bundles the pages of web/src into web/dist with esbuild, and with -test the tests of web/test
// into web/test/out. It needs Go and web/node_modules (npm ci in web/).
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	tests := flag.Bool("test", false, "bundle test/*.test.ts into test/out instead of the pages into dist")
	flag.Parse()
	if err := run(*tests); err != nil {
		fmt.Fprintln(os.Stderr, "web/build:", err)
		os.Exit(1)
	}
}

func run(tests bool) error {
	root, err := webRoot()
	if err != nil {
		return err
	}
	if tests {
		files, err := bundleTests(root)
		if err != nil {
			return err
		}
		return replace(filepath.Join(root, "test", "out"), files)
	}
	trees, err := bundlePages(root)
	if err != nil {
		return err
	}
	for name, files := range trees {
		if err := replace(filepath.Join(root, "dist", name), files); err != nil {
			return err
		}
		for _, line := range report(files) {
			fmt.Printf("%s/%s\n", name, line)
		}
	}
	return nil
}

// webRoot finds the directory web from the working directory or one of its parents.
func webRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		for _, candidate := range []string{dir, filepath.Join(dir, "web")} {
			if _, err := os.Stat(filepath.Join(candidate, "src", "core", "protocol.gen.ts")); err == nil {
				return candidate, nil
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("the directory web was not found; run this inside the repository")
		}
		dir = parent
	}
}

// replace makes dir hold exactly files.
func replace(dir string, files map[string][]byte) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
