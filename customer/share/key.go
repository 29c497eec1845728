// The customer's device key: it is who this customer is, so only its owner may read it.

package share

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
)

// keyFile is the key's name in the home folder; the agent's program uses another.
const keyFile = "customer.key"

var errOffline = client.ErrOffline

func newID() protocol.RequestID { return client.NewID() }

// homeDir is $LOOKALONG_HOME, else lookalong in the system's place for configuration.
func homeDir(getenv func(string) string) (string, error) {
	if dir := getenv("LOOKALONG_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("there is no place for the key: %w; pass --home DIR or set LOOKALONG_HOME", err)
	}
	return filepath.Join(dir, "lookalong"), nil
}

// loadKey reads the Ed25519 key of a home folder, or makes it (PKCS #8 in PEM, mode 0600).
func loadKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, keyFile)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(dir, path)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file of its own; remove it to become a new customer", path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others; run chmod 600 on it", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if key, ok := parsed.(ed25519.PrivateKey); ok && err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%s is not a key; remove it to become a new customer", path)
}

func makeKey(dir, path string) (ed25519.PrivateKey, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	tmp := filepath.Join(dir, "."+keyFile+"-"+strings.ToLower(rand.Text()[:8]))
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp) // gone after the link below; harmless then
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(tmp, path) // unlike a rename it never replaces the key of a program that was faster
	}
	if errors.Is(err, fs.ErrExist) {
		return loadKey(dir)
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}
