package protocol

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"
)

// B64 is the encoding of binary values in messages: base64url without padding (RFC 4648, 5).
var B64 = base64.RawURLEncoding

// HelloBytes is what the client signs: each field preceded by its length as a big-endian u32, in the order
// "lookalong-hello-v1", role, host, nonce, cnonce, SHA-256(pub). Customers sign with ECDSA P-256 and SHA-256
// (raw r‖s, as WebCrypto does), agents and native customers with Ed25519.
func HelloBytes(role, host string, nonce, cnonce, pub []byte) []byte {
	digest := sha256.Sum256(pub)
	var out []byte
	for _, field := range [][]byte{[]byte("lookalong-hello-v1"), []byte(role), []byte(host), nonce, cnonce, digest[:]} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(field)))
		out = append(out, field...)
	}
	return out
}

// Limits of a chat text, also of a direct message (security.md 4).
const (
	MaxTextChars = 4000
	MaxTextBytes = 16000
)

// CheckText refuses a text that is empty or over the limits, with a *UserError.
func CheckText(text string) error {
	switch {
	case text == "":
		return Userf(CodeTextTooLong, "The message is empty.")
	case len(text) > MaxTextBytes || utf8.RuneCountInString(text) > MaxTextChars:
		return Userf(CodeTextTooLong, "The message is too long: at most %d characters. Split it in two.", MaxTextChars)
	}
	return nil
}
