// What FTS5's secure-delete leaves: to find a page of its index, it keeps the
// beginning of a word that stood there when the page was written (a row of
// search_idx each), also once that word is deleted. Each of these is replaced by
// the first word that is on the page now.

package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"time"
)

// keysRead is how many pages of the search index are read at a time: 2 MiB.
const keysRead = 512

// pageKey is what finds one page of the search index, and what the page has.
type pageKey struct {
	segment, page int64
	key, block    []byte
}

func scanPageKey(rows *sql.Rows) (k pageKey, err error) {
	return k, rows.Scan(&k.segment, &k.page, &k.key, &k.block)
}

// pageKeys reads them. A page's number stands before one bit of another meaning,
// and its row in search_data is found by segment and page together (fts5_index.c:
// FTS5_SEGMENT_ROWID).
const pageKeys = `SELECT i.segid, i.pgno, i.term, d.block FROM search_idx i
	JOIN search_data d ON d.id = (i.segid << 37) + (i.pgno >> 1) `

// wipeKeys replaces the keys which are of no word that is left, as many in one
// transaction as eraseFor allows. What is erased must be deleted before.
func (s *Store) wipeKeys(ctx context.Context) error {
	last := pageKey{segment: -1, key: []byte{}}
	for {
		page, err := list(s.reader(ctx), scanPageKey, pageKeys+`WHERE (i.segid, i.term) > (?, ?) ORDER BY i.segid, i.term LIMIT ?`,
			last.segment, last.key, keysRead)
		if err != nil || len(page) == 0 {
			return err
		}
		last = page[len(page)-1]
		var stale []pageKey
		for _, k := range page {
			if k.stale() {
				stale = append(stale, k)
			}
		}
		for len(stale) > 0 {
			n, err := patiently(ctx, s, func(t *tx) (int, error) { return t.wipeKeys(stale) })
			if err != nil {
				return err
			}
			stale = stale[n:]
		}
	}
}

// wipeKeys looks at pages as they are now, and returns how many it had time for.
func (t *tx) wipeKeys(stale []pageKey) (n int, err error) {
	for start := time.Now(); n < len(stale) && (n == 0 || time.Since(start) < eraseFor); n++ { // of the work, not of the calendar
		now, err := list(t.query, scanPageKey, pageKeys+"WHERE i.segid = ? AND i.term = ?", stale[n].segment, stale[n].key)
		if err != nil {
			return n, err
		}
		for _, k := range now { // none if it was merged into another segment
			if !k.stale() {
				continue
			}
			// Above all words of the page before and not above the first of this one: the order stays.
			if _, err := t.exec("UPDATE search_idx SET term = ? WHERE segid = ? AND term = ?", firstWord(k.block), k.segment, k.key); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// stale reports whether the key isn't the beginning of the page's first word.
func (k pageKey) stale() bool {
	word := firstWord(k.block)
	return word != nil && !bytes.HasPrefix(word, k.key)
}

// firstWord returns the first word that begins on a page of the index, as it is
// stored, or nil if none does. A page has, in this order: two numbers of two bytes,
// of which the second is where the words' places begin; the words with what belongs
// to them, the first of them in full; the words' places. Source: fts5_index.c.
func firstWord(block []byte) []byte {
	if len(block) < 4 {
		return nil
	}
	at, n := varint(block[min(int(binary.BigEndian.Uint16(block[2:])), len(block)):])
	if n == 0 || at < 4 || at >= uint64(len(block)) {
		return nil
	}
	length, n := varint(block[at:])
	start := at + uint64(n)
	if n == 0 || length == 0 || length > uint64(len(block))-start {
		return nil
	}
	return block[start : start+length]
}

// varint reads one of SQLite's numbers, of up to four bytes; n is 0 if there is none.
func varint(b []byte) (v uint64, n int) {
	for n < min(len(b), 4) {
		v = v<<7 | uint64(b[n]&0x7f)
		n++
		if b[n-1] < 0x80 {
			return v, n
		}
	}
	return 0, 0
}
