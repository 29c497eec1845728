// Opening: the server's own, exclusive way, and the short shared one of the
// commands that run beside it.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Options says where the data is. The zero value of all but Dir is useful.
type Options struct {
	// Dir is the data folder. Required. It is made with mode 0700 if missing and
	// refused if others may open it.
	Dir string
	// QueueLen is how many writes may wait. Unit: writes. Zero means QueueLen (500).
	QueueLen int
	// BatchMax is how many writes one transaction takes. Unit: writes. Zero means BatchMax (256).
	BatchMax int
	// Readers is how many connections read. Zero means twice the number of cores.
	Readers int
	// StopNewBelow is the free space below which no new customer and no new
	// conversation is taken (ErrLowSpace). Unit: bytes. Zero means StopNewBelow (2 GiB), negative off.
	StopNewBelow int64
	// ReadOnlyBelow is the free space below which only what frees space or protects
	// people is written (ErrReadOnly). Unit: bytes. Zero means ReadOnlyBelow (512 MiB), negative off.
	ReadOnlyBelow int64
	// Clock tells the time. Nil means time.Now.
	Clock func() time.Time
}

// Store is an open data folder. All methods may be called from any goroutine.
type Store struct {
	path    string
	batch   int
	clock   func() time.Time
	lock    *lock // nil when shared
	writeDB *sql.DB
	readDB  *sql.DB
	stmts   sync.Map // string -> *sql.Stmt, on readDB

	queue chan op // capacity QueueLen: admission stops there
	stop  chan struct{}
	// mu guards phase. Whoever puts work into queue holds it for reading, so that
	// after the phase turned to stopped nothing is added and the queue can be emptied.
	mu       sync.RWMutex
	phase    phase
	released sync.Once

	guard    *guard
	fault    atomic.Pointer[trouble] // of the last batch; never nil
	stuck    atomic.Pointer[trouble] // of the last checkpoint
	damage   atomic.Pointer[trouble] // the first that was met
	onCommit func(Commit)            // nil: nobody asks
	opened   time.Time               // what age counts from
	oldest   atomic.Int64            // age() when the oldest write not yet reported was queued; 0: none is under way

	commits, writes, largest atomic.Int64
}

type phase int

const (
	idle phase = iota
	running
	stopping
)

// Open opens the data folder for the one server that runs on it. It starts
// nothing: writes are queued until Run is called.
//
// Errors: ErrFolder, ErrLocked (a server runs there), ErrNewer (nothing was
// changed), ErrFull and ErrReadOnly (of the folder's disk), ErrDamaged, ErrStorage;
// each text is one sentence for the operator.
func Open(ctx context.Context, o Options) (*Store, error) { return open(ctx, o, false) }

// OpenShared opens the data folder beside a running server, for a short command
// such as invite. Both may write: SQLite's lock orders them. It takes the
// server's place only to bring an older file up to date, and then only if no
// server runs (ErrLocked otherwise). Errors as for Open.
func OpenShared(ctx context.Context, o Options) (*Store, error) { return open(ctx, o, true) }

// Use opens the folder with OpenShared, runs the store while f works, and closes it.
func Use(ctx context.Context, o Options, f func(context.Context, *Store) error) error {
	s, err := OpenShared(ctx, o)
	if err != nil {
		return err
	}
	ended := make(chan error, 1) // one result
	go func() { ended <- s.Run(ctx) }()
	err = f(ctx, s)
	s.Close()
	return errors.Join(err, <-ended)
}

func open(ctx context.Context, o Options, shared bool) (*Store, error) {
	dir, err := prepareFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	s := newStore(dir, o)
	if err := s.open(ctx, dir, o.Readers, shared); err != nil {
		s.release()
		return nil, explain(dir, err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, dir string, readers int, shared bool) (err error) {
	if !shared {
		if s.lock, err = takeLock(dir, lockWait); err != nil {
			return err
		}
	}
	if err := prepareFile(s.path); err != nil {
		return err
	}
	list, err := migrations()
	if err != nil {
		return err
	}
	version, err := s.version(ctx)
	if err != nil {
		return err
	}
	if version > len(list) {
		return fmt.Errorf("store: %w: %s has version %d and this program knows %d; install the newer program (nothing was changed)",
			ErrNewer, s.path, version, len(list))
	}
	if s.writeDB, err = openWriter(s.path); err != nil {
		return err
	}
	// Connected now, before anybody reads: a file that isn't in WAL mode yet, such as a
	// backup, changes into it, which fails beside a reader.
	if err := s.writeDB.PingContext(ctx); err != nil {
		return translate(err)
	}
	if version < len(list) {
		if shared {
			l, err := takeLock(dir, lockWait)
			if err != nil {
				return err
			}
			defer l.release()
		}
		if err := migrate(ctx, s.writeDB, list, s.clock()); err != nil {
			return err
		}
	}
	if readers <= 0 {
		readers = 2 * runtime.NumCPU()
	}
	s.readDB, err = openReaders(s.path, readers)
	return err
}

func newStore(dir string, o Options) *Store {
	s := &Store{
		path:  filepath.Join(dir, dbName),
		batch: o.BatchMax,
		clock: o.Clock,
		stop:  make(chan struct{}),
	}
	if o.QueueLen <= 0 {
		o.QueueLen = QueueLen
	}
	if s.batch <= 0 {
		s.batch = BatchMax
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	s.queue = make(chan op, o.QueueLen)
	s.opened = time.Now()
	s.guard = newGuard(dir, o.StopNewBelow, o.ReadOnlyBelow, s.now())
	s.fault.Store(&trouble{since: s.now()})
	return s
}

// version reads the file's schema version on a connection that can't change it.
func (s *Store) version(ctx context.Context) (int, error) {
	db, err := openReaders(s.path, 1)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }() // read only
	v, err := schemaVersion(ctx, db)
	switch {
	case errors.Is(err, ErrDamaged):
		return 0, fmt.Errorf("store: %s can't be read as Lookalong's data; restore a backup or name another folder with --data: %w", s.path, err)
	case err != nil:
		return 0, fmt.Errorf("store: %s can't be opened: %w", s.path, err)
	}
	return v, nil
}

// Close stops the store: new work is refused, queued work is still committed, and
// Run returns. Idempotent, never waits, callable from anywhere, also from done.
// Without a Run it closes the files itself, and queued work gets ErrStopped.
func (s *Store) Close() {
	s.mu.Lock()
	before := s.phase
	s.phase = stopping
	s.mu.Unlock()
	switch before {
	case running:
		close(s.stop)
	case idle:
		for len(s.queue) > 0 {
			(<-s.queue).done(ErrStopped)
		}
		s.release()
	}
}

// release closes the files, then lets the next server in.
func (s *Store) release() {
	s.released.Do(func() {
		s.closeReaders()
		if s.writeDB != nil {
			_ = s.writeDB.Close() // what was acknowledged is on disk already
		}
		s.lock.release()
	})
}

// closeReaders goes before the writer's end: the last connection writes the WAL
// back and takes it away, which one that only reads can't do. Idempotent.
func (s *Store) closeReaders() {
	s.stmts.Range(func(_, stmt any) bool {
		_ = stmt.(*sql.Stmt).Close() // nothing to save
		return true
	})
	if s.readDB != nil {
		_ = s.readDB.Close() // nothing to save
	}
}
