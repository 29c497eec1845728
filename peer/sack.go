// What SCTP is told about loss on a lane. A lane's fragments are repaired by the ends themselves (parity, and new
// packets for lost ones), and their pace follows the delay that the receiving end reports. SCTP would answer each
// lost packet a second time: it halves its window, down to four packets a round trip, and stops for 400 ms when the
// last packet of a burst is lost. So the receiving end acknowledges what it has seen pass: the highest number that
// has arrived, without the gaps. SCTP's own control stays as the last resort for a path that is silent.

package peer

import (
	"encoding/binary"
	"hash/crc32"
	"net"
	"sync"
	"time"
)

const (
	sctpHeaderBytes = 12
	chunkData       = 0
	chunkSack       = 3
	chunkForward    = 192 // FORWARD-TSN, RFC 3758
	sackBytes       = 16  // without gaps and duplicates
	flagImmediate   = 8   // RFC 7053
	holesKept       = 64  // packets behind the newest that a late one may still fill
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// trainGap is between packets that left together. Each of these is acknowledged, not every second one: a browser's window
// (dcsctp) grows by one packet with each acknowledgement while it is used up, and large frames wait for it to grow.
const trainGap = 5 * time.Millisecond

// gapless is the DTLS connection below a lane's association.
type gapless struct {
	net.Conn

	mu    sync.Mutex
	known bool
	own   uint32 // what our association has without gaps
	told  uint32 // what the other end was told
	last  time.Time
}

// Write takes the gaps out of selective acknowledgements.
func (g *gapless) Write(b []byte) (int, error) {
	out := g.outgoing(b)
	if _, err := g.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Read tells our association, as the sending end would, that holes which were acknowledged will never be filled.
func (g *gapless) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if err != nil {
		return n, err
	}
	return g.incoming(b, n, time.Now()), nil
}

func (g *gapless) outgoing(b []byte) []byte {
	found := false
	eachChunk(b, func(kind byte, _ []byte) { found = found || kind == chunkSack })
	if !found {
		return b
	}
	out := append(make([]byte, 0, len(b)), b[:sctpHeaderBytes]...)
	eachChunk(b, func(kind byte, chunk []byte) {
		if kind == chunkSack && len(chunk) >= sackBytes {
			chunk = g.withoutGaps(chunk)
		}
		out = append(out, chunk...)
		out = append(out, make([]byte, -len(chunk)&3)...)
	})
	return sum(out)
}

func (g *gapless) withoutGaps(chunk []byte) []byte {
	cum := binary.BigEndian.Uint32(chunk[4:])
	gaps := int(binary.BigEndian.Uint16(chunk[12:]))
	g.mu.Lock()
	defer g.mu.Unlock()
	told := cum
	if gaps > 0 && len(chunk) >= sackBytes+4*gaps {
		told += uint32(binary.BigEndian.Uint16(chunk[sackBytes+4*gaps-2:])) // the end of the last block, as an offset
	}
	if !g.known || int32(told-g.told) > 0 {
		g.told = told
	}
	g.own, g.known = cum, true
	out := append(make([]byte, 0, sackBytes), chunk[:sackBytes]...)
	binary.BigEndian.PutUint16(out[2:], sackBytes)
	binary.BigEndian.PutUint32(out[4:], g.told)
	binary.BigEndian.PutUint32(out[12:], 0) // no gaps, no duplicates
	return out
}

func (g *gapless) incoming(b []byte, n int, at time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n > sctpHeaderBytes+1 && b[sctpHeaderBytes] == chunkData {
		if at.Sub(g.last) < trainGap {
			b[sctpHeaderBytes+1] |= flagImmediate
			sum(b[:n])
		}
		g.last = at
	}
	padded := n + -n&3
	if !g.known || int32(g.told-g.own) <= 2*holesKept || n <= sctpHeaderBytes || b[sctpHeaderBytes] != chunkData || padded+8 > cap(b) || padded+8 > len(b) {
		return n
	}
	packet := append(b[:n], make([]byte, padded-n)...)
	packet = append(packet, chunkForward, 0, 0, 8)
	packet = binary.BigEndian.AppendUint32(packet, g.told-holesKept)
	sum(packet)
	return len(packet)
}

// eachChunk calls f with each chunk of an SCTP packet, without its padding.
func eachChunk(b []byte, f func(kind byte, chunk []byte)) {
	if len(b) < sctpHeaderBytes {
		return
	}
	for rest := b[sctpHeaderBytes:]; len(rest) >= 4; {
		n := int(binary.BigEndian.Uint16(rest[2:]))
		if n < 4 || n > len(rest) {
			return
		}
		f(rest[0], rest[:n])
		rest = rest[min(n+(-n&3), len(rest)):]
	}
}

// sum writes the packet's checksum.
func sum(b []byte) []byte {
	clear(b[8:12])
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, castagnoli))
	return b
}
