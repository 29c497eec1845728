// Package web holds the built pages. Page and Viewer are two embedded trees, so that a program which calls only
// one of them does not carry the other.
package web

import (
	"embed"
	"io/fs"
)

//go:embed dist/page
var page embed.FS

//go:embed dist/viewer
var viewer embed.FS

// Page is the customer's page: page.html, to be served at "/", and its assets, each to be served as /assets/NAME
// (page.js, page.css, icon.svg and chunks with a hash in their name, which may be cached for ever; the others
// need revalidation).
func Page() fs.FS { return sub(page, "dist/page") }

// Viewer is the agent's viewer page: viewer.html, to be served at "/", and its assets (viewer.js, viewer.css,
// icon.svg), each to be served as /assets/NAME.
func Viewer() fs.FS { return sub(viewer, "dist/viewer") }

func sub(tree embed.FS, dir string) fs.FS {
	out, err := fs.Sub(tree, dir)
	if err != nil {
		panic(err) // only for an invalid path, and ours are constant
	}
	return out
}
