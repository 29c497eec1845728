// Package store is the only durable truth of the signaling server: customers,
// agents, conversations, messages, claims, peer sessions and the audit log, in
// one SQLite file. docs/adr/0001-sql-store.md says why, and what was measured.
//
// # Writing
//
// One goroutine writes: the one that calls [Store.Run]. A write method puts its
// work into a bounded queue and returns at once; it never waits for the disk.
// The writer takes whatever arrived while its last commit ran and commits it as
// one transaction (group commit). A piece of work that fails leaves the others
// of its group as they are.
//
//	hub ── Append(m, done) ──► queue ──► writer: BEGIN … COMMIT (fdatasync) ──► done(ack, nil)
//	     ◄─ ErrBusy (queue full) / ErrStopped
//
// Every write method returns an error only when the work was not queued
// ([ErrBusy], [ErrStopped]); then done is never called. Otherwise done is called
// exactly once, on the writer's goroutine, in commit order, and only after
// COMMIT returned: what done reports as done survives a power cut. done must
// not block: it posts an event into a mailbox that has room, or drops its
// receiver. When done gets an error its result is the zero value.
//
// The writer remembers the rows of the conversations in which people write
// ([Store.Append] reads none then) and forgets them when anything else may have
// changed one: a statement that names their table, a rollback, or a commit of
// another process.
//
// # The deadline
//
// The store does not give up on a slow disk, and never tells two things about one
// piece of work: done comes late, but once, and true. The deadline is the
// caller's, who has a person waiting: a write that is not reported after
// [CommitDeadline] has an unknown outcome, never a failed one, for it may be
// committed later. A client is told to try again and sends the same message id,
// which is harmless for ever; a claim that is asked for again meets its own
// claim. When done comes after all, the caller takes the event as any other, so
// that its picture stays that of the store. A stall shows as Health.Oldest; at
// [QueueLen] waiting writes admission stops ([ErrBusy]).
//
// # A full or failing disk
//
// The writer looks at the free space every second. Below Options.StopNewBelow
// nothing new begins ([ErrLowSpace]), below Options.ReadOnlyBelow nothing grows
// ([ErrReadOnly]); what ends, releases, closes or erases something is tried
// always, as is the audit log, and a resend gets its acknowledgement. A commit
// that fails is rolled back and reported to all of its group ([ErrFull],
// [ErrStorage]), and the next group is tried again; while none comes, a small
// write of the store's own is tried every second. So it goes on by itself, and
// nothing needs a restart. Where one piece of work meets a bad place of the disk,
// its group is tried again one by one. After any error but a full disk the
// connection is opened anew and the last acknowledged sequence numbers are
// compared with what is there: were one gone, the store would say so and write no
// more ([ErrDamaged]).
//
// # Reading
//
// Read methods run on the calling goroutine and a pool of read-only connections,
// see every commit whose done was called, and may be called from any goroutine
// between Open and the end of Run. They touch the disk: a loop that must not
// wait calls them from elsewhere. A message that does not match its checksum
// comes as Damaged, without its text.
//
// # Errors
//
// No driver error leaves the package. Every error matches one of the sentinels
// in errors.go with errors.Is, or is the context's own.
//
// # The dialect
//
// Statements are written for SQLite and PostgreSQL alike, with ? for the
// parameters (PostgreSQL's driver numbers them). What is SQLite's own stands in
// the sqlite*.go files; a test reads all others.
package store

import "time"

// Numbers that callers and operators may want to know.
const (
	// CommitDeadline is how long a caller waits for done before it treats the
	// outcome as unknown. Source: security F04, "log commit deadline".
	CommitDeadline = 5 * time.Second
	// QueueLen is how many writes may wait; one more gets ErrBusy. Source: security F04.
	QueueLen = 500
	// BatchMax is how many writes one transaction takes at most. Half a queue: a
	// full queue drains in two commits, and no commit grows without bound.
	BatchMax = 256
	// BatchBytes ends a batch of long texts earlier. Unit: bytes.
	BatchBytes = 1 << 20
	// ReopenFor is how long after its end a customer's message reopens a
	// conversation. Source: design 0.
	ReopenFor = 7 * 24 * time.Hour
	// SilentFor is how long a claimed conversation may be silent. Source: design 0.
	SilentFor = 24 * time.Hour
	// RestartLapse is what claims held by open connections get at a server start.
	// Source: design 0.
	RestartLapse = time.Minute
	// InviteTTL is the longest and the default life of an invite. Source: security T05.
	InviteTTL = 24 * time.Hour
)
