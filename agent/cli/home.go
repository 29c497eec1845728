package cli

// The agent's folder: configuration and the device key. The key alone signs in, so nothing but its owner may read it.

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

const (
	keyFile    = "device.key"
	configFile = "config.json"
	maxFile    = 64 << 10

	pendingFile = "login.key" // of a login that has not heard the server's answer
)

// config is config.json. Unknown fields of a newer version are kept out of harm's way: the file is only rewritten
// by login.
type config struct {
	Version int    `json:"version"` // 1
	Server  string `json:"server"`  // http(s)://host[:port]
}

// deviceKey is the private key; it never prints itself.
type deviceKey ed25519.PrivateKey

func (deviceKey) String() string       { return "[redacted]" } //guard:T34
func (deviceKey) GoString() string     { return "[redacted]" }
func (deviceKey) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// home is the agent's folder: $LOOKALONG_HOME, else lookalong in the system's place for configuration.
func (a *app) home() (string, error) {
	if dir := a.getenv("LOOKALONG_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", &fail{exitFailed, "there is no place for the configuration: " + err.Error(), "set LOOKALONG_HOME to a folder of yours"}
	}
	return filepath.Join(dir, "lookalong"), nil
}

// makeHome is home, made if it is missing, and refused if others can write or read it.
func (a *app) makeHome() (string, error) {
	dir, err := a.home()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, checkDir(dir)
}

// errSignIn is what every command says before the first login.
var errSignIn = &fail{exitSignIn, "this device is not signed in", "ask for an invite, then: lookalong login URL < invite"}

// load reads the configuration and the key. Errors: errSignIn, or a sentence about what is wrong with the files.
func (a *app) load() (config, deviceKey, error) {
	dir, err := a.home()
	if err != nil {
		return config{}, nil, err
	}
	if _, err := os.Lstat(filepath.Join(dir, keyFile)); errors.Is(err, fs.ErrNotExist) {
		return config{}, nil, errSignIn
	}
	if err := checkDir(dir); err != nil {
		return config{}, nil, err
	}
	key, err := readKey(filepath.Join(dir, keyFile))
	if err != nil {
		return config{}, nil, err
	}
	var cfg config
	data, err := os.ReadFile(filepath.Join(dir, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return config{}, nil, errSignIn
	}
	if err == nil {
		err = json.Unmarshal(data, &cfg)
	}
	if err != nil || cfg.Server == "" {
		return config{}, nil, &fail{exitFailed, filepath.Join(dir, configFile) + " is not readable", "remove it and sign in again"}
	}
	if cfg.Version != 1 {
		return config{}, nil, &fail{exitFailed, filepath.Join(dir, configFile) + " was written by another version", "update lookalong"}
	}
	return cfg, key, nil
}

// checkDir refuses a folder that others can write or read.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fail{exitFailed, dir + " is not a folder", "set LOOKALONG_HOME to another place"}
	}
	return checkOwner(dir, info, "chmod 700 "+dir)
}

// readKey reads the device key; a link, a wrong mode or another owner is refused with a sentence (security.md 5.3).
func readKey(path string) (deviceKey, error) {
	f, err := openNoLink(path)
	if err != nil {
		if info, lerr := os.Lstat(path); lerr == nil && info.Mode()&fs.ModeSymlink != 0 {
			return nil, &fail{exitFailed, path + " is a link; the device key must be a file of its own", "remove it and sign in again"}
		}
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fail{exitFailed, path + " is not a file", "remove it and sign in again"}
	}
	if err := checkOwner(path, info, "chmod 600 "+path); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, err
	}
	broken := &fail{exitFailed, path + " is not a device key", "remove it and sign in again"}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, broken
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, broken
	}
	return deviceKey(key), nil
}

// save writes the key and the configuration, each whole or not at all.
func (a *app) save(cfg config, key deviceKey) error {
	dir, err := a.makeHome()
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, keyFile), key); err != nil {
		return err
	}
	cfg.Version = 1
	data, err := json.MarshalIndent(cfg, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, configFile), append(data, '\n'))
}

// savePending keeps the key of a login before the server has it: the answer may be lost after the invite was spent,
// and the next login then comes with the same key. It returns the key that is kept.
func (a *app) savePending(key deviceKey) (deviceKey, error) {
	dir, err := a.home()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, pendingFile)
	if kept, err := readKey(path); err == nil {
		return kept, nil
	}
	return key, writeKey(path, key)
}

// dropPending removes what savePending kept.
func (a *app) dropPending() error {
	dir, err := a.home()
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, pendingFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func writeKey(path string, key deviceKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.PrivateKey(key))
	if err != nil {
		return err
	}
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// writeFile replaces a file, 0600, so that a crash leaves the old or the new one.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// forget removes the key and the configuration; what is not there is no error.
func (a *app) forget() error {
	dir, err := a.home()
	if err != nil {
		return err
	}
	for _, name := range []string{keyFile, configFile, pendingFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
