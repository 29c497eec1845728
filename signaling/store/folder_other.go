// The data folder where there is no flock. The server is made for Unix; this
// keeps the package compiling elsewhere and says so at the start.

//go:build !unix

package store

import (
	"errors"
	"os"
)

func checkPrivate(string, os.FileInfo) error { return nil }

func tryLock(*os.File) (bool, error) {
	return false, errors.New("the server runs on Linux and other Unix systems only")
}

func syncFolder(string) error { return nil }
