// Checkpoints: what the WAL holds goes into the main file. A connection of its own
// does the work while the writer goes on; the writer only finishes what came
// meanwhile, after it has reported a batch, so that the WAL can start over.

package store

import (
	"context"
	"database/sql"
	"sync"
)

// checkpointRows is after how many changed rows the WAL is written back. A message
// changes two, and about as many pages of 4 KiB. More saves work, since a page that
// changes often is written back once; it also is what a start after a crash reads
// again (some 30 MiB: 30 ms).
const checkpointRows = 8192

// checkpointer owns the connection and the goroutine that uses it.
type checkpointer struct {
	db     *sql.DB
	due    chan struct{} // capacity 1: one is enough
	ready  chan error    // capacity 1: at most one is under way
	busy   bool          // writer only: due was sent, ready not received
	rows   int64         // writer only: changed since the last one
	failed error         // writer only: how the last one ended
	ended  sync.WaitGroup
}

func startCheckpointer(path string) (*checkpointer, error) {
	db, err := openWriter(path)
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(0) // a new connection each time, which no error of the last one touches
	c := &checkpointer{db: db, due: make(chan struct{}, 1), ready: make(chan error, 1)}
	c.ended.Go(func() {
		for range c.due {
			_, err := c.db.ExecContext(context.Background(), checkpoint)
			c.ready <- translate(err)
		}
	})
	return c, nil
}

func (c *checkpointer) close() {
	close(c.due)
	c.ended.Wait()
	_ = c.db.Close() // it holds nothing of its own
}

// changed counts; enough of it starts a checkpoint.
func (c *checkpointer) changed(rows int64) {
	if c.rows += rows; c.rows >= checkpointRows {
		c.start()
	}
}

// start is idempotent. Nothing changed: nothing to do.
func (c *checkpointer) start() {
	if c.rows == 0 || c.busy {
		return
	}
	c.busy, c.rows = true, 0
	c.due <- struct{}{} // never waits: busy
}

// finish ends a checkpoint on the writer's connection: the next transaction starts
// the WAL over, unless somebody reads an older state, which the next one repeats.
func (c *checkpointer) finish(w *writer, err error) {
	c.busy = false
	if err == nil {
		_, err = w.exec(checkpoint)
	}
	if c.failed = err; err != nil {
		c.rows++ // so that a quiet second tries again
	}
}
