package servertest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"

	"github.com/lookalong/lookalong/protocol"
)

// Key is a device key.
type Key struct {
	p256 *ecdsa.PrivateKey
	ed   ed25519.PrivateKey
}

// NewCustomerKey makes a browser's kind of key.
func NewCustomerKey() Key {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return Key{p256: k}
}

// NewAgentKey makes an agent's or a native customer's kind of key.
func NewAgentKey() Key {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return Key{ed: k}
}

// Pub is the public key as the hello carries it.
func (k Key) Pub() []byte {
	if k.ed != nil {
		return k.ed.Public().(ed25519.PublicKey)
	}
	pub, err := k.p256.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return pub
}

// Sign signs as the hello asks.
func (k Key) Sign(data []byte) []byte {
	if k.ed != nil {
		return ed25519.Sign(k.ed, data)
	}
	digest := sha256.Sum256(data)
	r, s, err := ecdsa.Sign(rand.Reader, k.p256, digest[:])
	if err != nil {
		panic(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

// Proof answers a challenge.
func (k Key) Proof(role, host, nonce string) protocol.HelloProof {
	raw, _ := protocol.B64.DecodeString(nonce)
	cnonce := make([]byte, 16)
	_, _ = rand.Read(cnonce) // never fails
	return protocol.HelloProof{
		Version: protocol.Version, Role: role, Pub: protocol.B64.EncodeToString(k.Pub()), CNonce: protocol.B64.EncodeToString(cnonce),
		Host: host, Sig: protocol.B64.EncodeToString(k.Sign(protocol.HelloBytes(role, host, raw, cnonce, k.Pub()))),
	}
}
