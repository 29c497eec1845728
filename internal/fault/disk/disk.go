// Package disk makes a disk misbehave under SQLite: slow, full and failing
// syncs and writes, a disk that lies, and the loss of power at any moment. It
// stands before the system's own file system inside SQLite (a VFS shim for
// modernc.org/sqlite), so neither the store nor the server has hooks for tests.
//
// # Loss of power
//
// With Options.Model a Disk keeps, for every file, the bytes as of its last
// successful sync, and the changes since. [Disk.Cut] writes a folder as it could
// be found after the power failed at that moment: what was synced, and of the
// later changes none, or with a random source any subset of them, each torn at
// sector size. That is what a disk may do which keeps what fsync(2) promised.
// After a failed sync the changes that it should have written are in limbo, also
// when a later sync works: Linux drops the pages (see "fsyncgate", LWN 752063).
//
// What the model does not know: files that were not written through SQLite (the
// lock, keys), and other processes that write the same file. With a new file's
// first sync SQLite syncs the folder too: its name is durable then, and so are
// earlier deletions in that folder.
//
// For tests only.
package disk

import (
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// Kind is what a file is to SQLite.
type Kind string

// The files that hold data.
const (
	Database Kind = "db"
	WAL      Kind = "wal"
	Journal  Kind = "journal"
)

// Code is a result code of SQLite (https://www.sqlite.org/rescode.html).
type Code int32

// What a disk may answer.
const (
	OK      Code = sqlite3.SQLITE_OK
	Full    Code = sqlite3.SQLITE_FULL
	IOWrite Code = sqlite3.SQLITE_IOERR_WRITE
	IOSync  Code = sqlite3.SQLITE_IOERR_FSYNC
)

// Op is what was asked of the disk.
type Op string

// What is recorded.
const (
	Write    Op = "write"
	Truncate Op = "truncate"
	Sync     Op = "sync"
)

// Event is one call, as it returned to SQLite.
type Event struct {
	Op         Op
	Kind       Kind
	Offset     int64 // of a write; the new size of a truncate. Unit: bytes
	Data       []byte
	Begin, End time.Time // with the monotonic clock
	Code       Code
	Real       bool // a sync that reached the disk: not one that failed or that was only claimed
}

// Options are what stays the same for the life of a Disk.
type Options struct {
	// Dir is the folder whose database files this is. Empty means all.
	Dir string
	// SyncDelay is added to each sync, before it.
	SyncDelay time.Duration
	// Record keeps every event, with the bytes that were written.
	Record bool
	// Model keeps what a loss of power would leave; see Cut.
	Model bool
}

// Disk is one folder's disk. All methods may be called from any goroutine.
type Disk struct {
	dir    string
	record bool
	model  bool

	mu     sync.Mutex
	change *sync.Cond // of held, waiting
	delay  time.Duration
	lies   bool
	full   bool
	quota  bool
	fail   map[Op]failure
	held   bool // syncs wait
	wait   int  // how many do
	syncs  int
	events []Event
	states map[string]*state // by path
}

// failure is when the next call fails, and how.
type failure struct {
	in   int // calls from now; the first is 1
	code Code
}

// file is one open file of a Disk.
type file struct {
	disk  *Disk
	path  string
	kind  Kind
	state *state // nil without the model
}

// New puts a Disk under the folder; later ones are asked first. Open the database after it.
func New(o Options) *Disk {
	register()
	d := &Disk{record: o.Record, model: o.Model, delay: o.SyncDelay, fail: map[Op]failure{}, states: map[string]*state{}}
	if o.Dir != "" {
		dir, err := filepath.Abs(o.Dir)
		if err != nil {
			panic(err) // no working directory
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil { // SQLite does so too
			dir = real
		}
		d.dir = dir
	}
	d.change = sync.NewCond(&d.mu)
	mu.Lock()
	defer mu.Unlock()
	disks = append([]*Disk{d}, disks...)
	return d
}

// Close takes the Disk away; files that are open keep it. What is held is let go.
func (d *Disk) Close() {
	mu.Lock()
	disks = slices.DeleteFunc(disks, func(o *Disk) bool { return o == d })
	mu.Unlock()
	d.Release()
}

// SlowSync sets what is added to each sync.
func (d *Disk) SlowSync(delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delay = delay
}

// Lie makes every sync claim success and do nothing, as a disk without power protection does when it is told to flush.
func (d *Disk) Lie(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lies = on
}

// Fill makes every write fail with "full" until it is called with false.
func (d *Disk) Fill(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = on
}

// Quota makes every write fail as one of a user whose quota is used up, until it is
// called with false: to SQLite an I/O error, to who asks for the last errno EDQUOT.
func (d *Disk) Quota(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.quota = on
}

// Fail makes the n-th call of this kind from now fail once with code; 1 is the next.
func (d *Disk) Fail(op Op, n int, code Code) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail[op] = failure{n, code}
}

// Failing reports whether a failure that Fail ordered is still to come.
func (d *Disk) Failing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.fail) > 0
}

// Hold makes syncs wait until Release. WaitHeld tells when one does.
func (d *Disk) Hold() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = true
}

// Release lets the syncs go that Hold made wait.
func (d *Disk) Release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = false
	d.change.Broadcast()
}

// WaitHeld returns once a sync waits, or nothing is held any more.
func (d *Disk) WaitHeld() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.held && d.wait == 0 {
		d.change.Wait()
	}
}

// Syncs is how many syncs have reached the disk.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// Events returns what was recorded, in the order in which the calls returned.
func (d *Disk) Events() []Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

// verdict is the code that an ordered failure or a full disk gives this call; d.mu is held.
func (d *Disk) verdict(op Op) Code {
	if f, ok := d.fail[op]; ok {
		if f.in--; f.in <= 0 {
			delete(d.fail, op)
			return f.code
		}
		d.fail[op] = f
	}
	if d.full && op == Write {
		return Full
	}
	if d.quota && op == Write {
		return IOWrite
	}
	return OK
}

// errno is what the system answered last, if this disk invented it; 0 if not.
func (f *file) errno() syscall.Errno {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.quota {
		return syscall.EDQUOT
	}
	return 0
}

func (d *Disk) note(e Event) {
	if d.record {
		e.End = time.Now()
		d.events = append(d.events, e)
	}
}

func (f *file) write(data []byte, off int64, do func() int32) int32 {
	d := f.disk
	begin := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock() // changes reach the model in the order in which they reach the file
	code := d.verdict(Write)
	if code == OK {
		code = Code(do())
	}
	e := Event{Op: Write, Kind: f.kind, Offset: off, Begin: begin, Code: code}
	if d.record || d.model {
		e.Data = slices.Clone(data)
	}
	if code == OK && d.model {
		f.state.changed(change{off: off, data: e.Data})
	}
	d.note(e)
	return int32(code)
}

func (f *file) truncate(size int64, do func() int32) int32 {
	d := f.disk
	begin := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	code := Code(do())
	if code == OK && d.model {
		f.state.changed(change{off: size, truncate: true})
	}
	d.note(Event{Op: Truncate, Kind: f.kind, Offset: size, Begin: begin, Code: code})
	return int32(code)
}

func (f *file) sync(do func() int32) int32 {
	d := f.disk
	begin := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	covered := 0 // the changes that were there when the sync began
	if d.model {
		covered = f.state.now()
	}
	code, lies, delay := d.verdict(Sync), d.lies, d.delay
	d.wait++
	d.change.Broadcast()
	for d.held {
		d.change.Wait()
	}
	d.wait--
	if !lies {
		d.mu.Unlock()
		if delay > 0 {
			time.Sleep(delay) // the disk's own slowness
		}
		if code == OK {
			code = Code(do())
		}
		d.mu.Lock()
	}
	e := Event{Op: Sync, Kind: f.kind, Begin: begin, Code: code, Real: code == OK && !lies}
	switch {
	case e.Real:
		d.syncs++
		if d.model {
			if !f.state.named {
				d.folderSynced(f.path)
			}
			f.state.synced(covered)
		}
	case code != OK && d.model:
		f.state.lost(covered)
	}
	d.note(e)
	return int32(code)
}
