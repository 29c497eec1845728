package main

// The bundling itself, into memory, so that the test can compare it with what is committed.

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// pages are the trees below dist: the customer's page and the agent's viewer. Each has one HTML file beside its
// assets, and is embedded by itself (web/embed.go).
var pages = []struct {
	name, html string
	entries    []api.EntryPoint
}{
	{"page", "page.html", []api.EntryPoint{
		{InputPath: "src/page/main.tsx", OutputPath: "page"},
		{InputPath: "src/page/page.css", OutputPath: "page"},
		{InputPath: "src/browser/capture.worker.ts", OutputPath: "capture.worker"},
		{InputPath: "src/browser/image.worker.ts", OutputPath: "image.worker"},
	}},
	{"viewer", "viewer.html", []api.EntryPoint{
		{InputPath: "src/viewer/main.tsx", OutputPath: "viewer"},
		{InputPath: "src/viewer/viewer.css", OutputPath: "viewer"},
		{InputPath: "src/viewer/decode.worker.ts", OutputPath: "decode.worker"},
	}},
}

// bundlePages returns the files of each tree by their slash-separated names.
func bundlePages(root string) (map[string]map[string][]byte, error) {
	if err := needModules(root); err != nil {
		return nil, err
	}
	trees := map[string]map[string][]byte{}
	for _, p := range pages {
		files, err := bundle(root, api.BuildOptions{
			EntryPointsAdvanced: p.entries,
			MinifyWhitespace:    true,
			MinifyIdentifiers:   true,
			MinifySyntax:        true,
			Splitting:           true,
			ChunkNames:          "[name]-[hash]",
			Platform:            api.PlatformBrowser,
			Target:              api.ES2022,
		})
		if err != nil {
			return nil, err
		}
		for _, name := range []string{p.html, "icon.svg"} {
			dir := p.name
			if name == "icon.svg" {
				dir = "page"
			}
			data, err := os.ReadFile(filepath.Join(root, "src", dir, name))
			if err != nil {
				return nil, err
			}
			files[name] = data
		}
		trees[p.name] = files
	}
	return trees, nil
}

func bundleTests(root string) (map[string][]byte, error) {
	tests, err := filepath.Glob(filepath.Join(root, "test", "*.test.ts"))
	if err != nil {
		return nil, err
	}
	if len(tests) == 0 {
		return nil, errors.New("no test/*.test.ts")
	}
	return bundle(root, api.BuildOptions{
		EntryPoints:  tests,
		OutExtension: map[string]string{".js": ".mjs"},
		Platform:     api.PlatformNode,
		Target:       api.ES2023,
		Sourcemap:    api.SourceMapInline,
	})
}

func bundle(root string, o api.BuildOptions) (map[string][]byte, error) {
	out := filepath.Join(root, "out") // never written; esbuild wants a place to name files after
	o.AbsWorkingDir = root
	o.Bundle = true
	o.Format = api.FormatESModule
	o.Charset = api.CharsetUTF8
	o.JSX = api.JSXAutomatic
	o.JSXImportSource = "preact"
	o.LegalComments = api.LegalCommentsNone
	o.Outdir = out
	o.Write = false
	o.LogLevel = api.LogLevelSilent
	result := api.Build(o)
	if len(result.Errors) > 0 {
		text := api.FormatMessages(result.Errors, api.FormatMessagesOptions{Kind: api.ErrorMessage})
		return nil, errors.New(strings.TrimSpace(strings.Join(text, "")))
	}
	files := map[string][]byte{}
	for _, f := range result.OutputFiles {
		name, err := filepath.Rel(out, f.Path)
		if err != nil {
			return nil, err
		}
		files[filepath.ToSlash(name)] = f.Contents
	}
	return files, nil
}

func needModules(root string) error {
	if _, err := os.Stat(filepath.Join(root, "node_modules", "preact", "package.json")); err != nil {
		return errors.New("web/node_modules is missing: run npm ci in web/")
	}
	return nil
}

// report lists the files with their sizes.
func report(files map[string][]byte) []string {
	var lines []string
	for name, data := range files {
		lines = append(lines, fmt.Sprintf("%-28s %7d bytes, %6d gzipped", name, len(data), gzipped(data)))
	}
	slices.Sort(lines)
	return lines
}

func gzipped(data []byte) int {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = w.Write(data)
	_ = w.Close()
	return out.Len()
}
