//go:build !unix

package cli

// Elsewhere the user's profile folder keeps others out.

import (
	"io/fs"
	"os"
)

func openNoLink(path string) (*os.File, error) { return os.Open(path) }

func checkOwner(string, fs.FileInfo, string) error { return nil }
