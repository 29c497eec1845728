// Command tsgen writes what follows from protocol.Table: web/src/core/protocol.gen.ts and docs/protocol.md.
// Run it with "make generate"; a test fails when its output differs from the committed files. A Go type that it
// can't map is an error, never "any".
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", ".", "the repository's root")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "tsgen:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	out, err := Generate(root)
	if err != nil {
		return err
	}
	for name, data := range out {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Generate makes every generated file, by path from the root.
func Generate(root string) (map[string][]byte, error) {
	comments, err := readComments(filepath.Join(root, "protocol"))
	if err != nil {
		return nil, err
	}
	ts, err := typescript(comments)
	if err != nil {
		return nil, err
	}
	md, err := markdown(root, comments)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{"web/src/core/protocol.gen.ts": ts, "docs/protocol.md": md}, nil
}
