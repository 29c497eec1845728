// Package cast gives the customers and agents of a benchmark their keys: always the same for the same number, so that
// the program which writes them into a data folder and the one which connects as them need nothing from each other.
package cast

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/lookalong/lookalong/protocol"
)

// Alg is a kind of key: "ed25519" for agents and native customers, "p256" for customers in a browser.
type Alg string

const (
	Ed25519 Alg = "ed25519"
	P256    Alg = "p256"
)

// Key is the key of one member of the cast. It guards nothing: everybody can compute it.
type Key struct {
	Role string // of the hello: "customer" (P-256), "native" or "agent" (Ed25519)
	Pub  []byte // as the hello carries it
	p256 *ecdsa.PrivateKey
	ed   ed25519.PrivateKey
}

// Customer is the key of customer i.
func Customer(i int, alg Alg) Key {
	seed := sha256.Sum256(fmt.Appendf(nil, "lookalong bench %s customer %d", alg, i))
	if alg == P256 {
		k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
		if err != nil {
			panic(err) // a seed above the curve's order: one in 2³²
		}
		pub, err := k.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		return Key{Role: "customer", Pub: pub, p256: k}
	}
	return native("native", seed)
}

// Agent is the key of agent i.
func Agent(i int) Key {
	return native("agent", sha256.Sum256(fmt.Appendf(nil, "lookalong bench agent %d", i)))
}

func native(role string, seed [32]byte) Key {
	k := ed25519.NewKeyFromSeed(seed[:])
	return Key{Role: role, Pub: k.Public().(ed25519.PublicKey), ed: k}
}

// Thumbprint names the key in the store.
func (k Key) Thumbprint() string {
	sum := sha256.Sum256(k.Pub)
	return hex.EncodeToString(sum[:])
}

// Proof answers a challenge's nonce, encoded as in the hello.
func (k Key) Proof(host, nonce string) (protocol.HelloProof, error) {
	raw, err := protocol.B64.DecodeString(nonce)
	if err != nil {
		return protocol.HelloProof{}, fmt.Errorf("nonce %q: %w", nonce, err)
	}
	cnonce := make([]byte, 16)
	_, _ = rand.Read(cnonce) // never fails
	signed := protocol.HelloBytes(k.Role, host, raw, cnonce, k.Pub)
	var sig []byte
	if k.ed != nil {
		sig = ed25519.Sign(k.ed, signed)
	} else {
		digest := sha256.Sum256(signed)
		r, s, err := ecdsa.Sign(rand.Reader, k.p256, digest[:])
		if err != nil {
			return protocol.HelloProof{}, err
		}
		sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	return protocol.HelloProof{
		Version: protocol.Version, Role: k.Role, Pub: protocol.B64.EncodeToString(k.Pub), CNonce: protocol.B64.EncodeToString(cnonce),
		Host: host, Sig: protocol.B64.EncodeToString(sig),
	}, nil
}
