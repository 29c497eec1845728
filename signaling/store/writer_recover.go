// After an error of the disk: a new connection, and a look whether everything that
// was acknowledged is still there.
//
// A failed fsync is the case that matters. Linux forgets that the pages were not
// written (see https://lwn.net/Articles/752063/ and "fsyncgate"), so a later sync
// that works says nothing about them. SQLite undoes the transaction and writes the
// same place of the WAL again, which makes the pages dirty again; a checkpoint that
// failed is done again from the WAL. What is left is to trust no state that the
// failed connection kept in memory, and to compare.

package store

import (
	"context"
	"fmt"
)

// recover opens the connection anew if the last transaction met such an error.
func (w *writer) recover() error {
	if w.lost != nil || !w.suspect {
		return w.lost
	}
	db, err := openWriter(w.path)
	if err != nil {
		return err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		_ = db.Close() // err says more
		return translate(err)
	}
	w.disconnect() // only now: the file always has a connection, so that closing writes nothing back
	w.db, w.conn, w.version = db, conn, 0
	w.forget()
	if err := w.compare(); err != nil {
		return err
	}
	w.suspect = false
	return nil
}

// compare looks whether each conversation in acked still counts its last
// acknowledged message. One that is gone was erased by another process: a lost
// transaction leaves it behind with a smaller number.
func (w *writer) compare() error {
	t := tx{w: w}
	for id, seq := range w.acked {
		found, err := list(t.query, scanOne[int64], "SELECT "+lastSeq+" FROM conversations WHERE id = ?", id)
		if err != nil {
			return err
		}
		if len(found) > 0 && found[0] < seq {
			w.lost = fmt.Errorf("store: %w: after a failure of the disk, message %d of conversation %s is gone though it was acknowledged; replace the disk and restore a backup",
				ErrDamaged, seq, id)
			return w.lost
		}
	}
	return nil
}

// ackedMax bounds what is compared, and so how long it takes: some 10 ms.
const ackedMax = 512

// settle ends a transaction for what the writer remembers.
func (w *writer) settle(committed bool) {
	if committed {
		if len(w.acked) >= ackedMax {
			clear(w.acked)
		}
		for _, c := range w.touched {
			w.acked[c.ID] = c.LastSeq
		}
	}
	if committed {
		w.caught = w.caught[:0]
	} else {
		w.undone()
	}
	clear(w.touched) // keeps nothing alive
	w.touched = w.touched[:0]
}
