// Wiping what secure_delete leaves. SQLite writes zeros over what is deleted, but
// when it moves rows from one page to another to keep the tree in balance, their
// bytes stay in the gap of the page from which they came: unallocated, read by
// nobody, and on the disk. (Found by the test that looks for canaries.) So an
// erasure looks at every page and writes zeros into the gaps that aren't zero.

package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"time"
)

// wipeRead is how many pages are read at a time: 2 MiB.
const wipeRead = 512

// maxPages is from where on a page's number could be taken for the first byte of a
// tree's page.
const maxPages = 2 << 24

// wipePasses is how often all pages are looked at, at most: who writes meanwhile moves
// rows all the time, so that none may ever find all of them clean.
const wipePasses = 3

// wipeGaps zeroes the gaps of all pages, as many in one transaction as eraseFor
// allows. What is erased must be deleted before. While it looked at one page, a row
// that was moved may have left bytes on another, so it looks again until all are clean.
func (s *Store) wipeGaps(ctx context.Context) error {
	return untilClean(wipePasses, func() (int, error) { return s.wipePass(ctx) })
}

// untilClean repeats a pass that found something, up to a number of times.
func untilClean(passes int, pass func() (int, error)) error {
	for range passes {
		if n, err := pass(); err != nil || n == 0 {
			return err
		}
	}
	return nil
}

// wipePass looks at every page once, and returns how many weren't clean.
func (s *Store) wipePass(ctx context.Context) (found int, err error) {
	q := s.reader(ctx)
	for from := int64(1); ; from += wipeRead {
		pages, err := first(q, scanOne[int64], "pages", "PRAGMA page_count")
		if err != nil || from > pages {
			return found, err
		}
		if pages >= maxPages {
			return found, fmt.Errorf("store: %w: the file is too large to be wiped (more than 128 GiB)", ErrRemains)
		}
		var dirty []int64
		err = q(func(rows *sql.Rows) error {
			var number int64
			var page sql.RawBytes
			err := rows.Scan(&number, &page)
			if low, high := gap(number, page); !zero(page[low:high]) {
				dirty = append(dirty, number)
			}
			return err
		}, "SELECT pgno, data FROM sqlite_dbpage WHERE pgno BETWEEN ? AND ?", from, from+wipeRead-1)
		if err != nil {
			return found, err
		}
		found += len(dirty)
		for len(dirty) > 0 {
			n, err := patiently(ctx, s, func(t *tx) (int, error) { return t.wipe(dirty) })
			if err != nil {
				return found, err
			}
			dirty = dirty[n:]
		}
	}
}

// wipe zeroes the gaps of pages as they are now, and returns how many it had time for.
func (t *tx) wipe(numbers []int64) (n int, err error) {
	for start := time.Now(); n < len(numbers) && (n == 0 || time.Since(start) < eraseFor); n++ { // of the work, not of the calendar
		pages, err := list(t.query, scanOne[[]byte], "SELECT data FROM sqlite_dbpage WHERE pgno = ?", numbers[n])
		if err != nil {
			return n, err
		}
		if len(pages) == 0 {
			continue // the file has become shorter
		}
		low, high := gap(numbers[n], pages[0])
		if zero(pages[0][low:high]) {
			continue
		}
		clear(pages[0][low:high])
		if _, err := t.exec("UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?", pages[0], numbers[n]); err != nil {
			return n, err
		}
	}
	return n, nil
}

// gap returns where a page of a tree has nothing: from the end of the cells'
// addresses to the first cell. Nothing for other pages, which hold payload alone
// or zeros. Source: https://www.sqlite.org/fileformat2.html, 1.6.
func gap(number int64, page []byte) (low, high int) {
	header := 0
	if number == 1 {
		header = 100 // the file's own
	}
	if len(page) < header+12 {
		return 0, 0
	}
	h := page[header:]
	switch h[0] {
	case 2, 5: // inner pages
		low = 12
	case 10, 13: // leaves
		low = 8
	default:
		return 0, 0 // a page of overflow or of the free list: it begins with another's number, below maxPages
	}
	low += header + 2*int(binary.BigEndian.Uint16(h[3:]))
	high = int(binary.BigEndian.Uint16(h[5:]))
	if high == 0 {
		high = 1 << 16
	}
	if low > high || high > len(page) {
		return 0, 0
	}
	return low, high
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
