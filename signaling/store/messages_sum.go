// What guards a message's row: the key that tells a resend, and the checksum.

package store

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// once is the key under which a conversation keeps a message once: the first 16
// bytes of SHA-256 over the sender and the id that the sender chose. Half a hash
// keeps the index small; to find two ids with one key takes 2^64 tries, and then
// hits only their finder, whose second message is refused as ErrIDReused.
func once(kind Kind, sender, id string) []byte {
	b := make([]byte, 0, 128) // fits what the protocol allows
	b = field(b, string(kind))
	b = field(b, sender)
	b = field(b, id)
	sum := sha256.Sum256(b)
	return sum[:16]
}

// sum is the CRC-32C over all that a row says. It finds every change of up to
// three bits and of any 32 bits in a row, which is what disks do; it is no proof
// against a person who can write the file.
func (m *Message) sum() int64 {
	var buf [256]byte
	b := field(buf[:0], m.Conversation)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(m.At.UnixMilli()))
	b = field(b, m.ID)
	b = field(b, string(m.SenderKind))
	b = field(b, m.SenderID)
	b = field(b, m.SenderName)
	return int64(crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, []byte(m.Text)))
}

// field appends a text and its length, so that no two rows look the same joined.
func field(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}
