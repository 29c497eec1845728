// Package store is the only durable truth of the signaling server: customers,
// agents, conversations, messages, claims, peer sessions and the audit log, in
// one SQLite file.
//
// # Writing
//
// One goroutine writes: the one that calls [Store.Run]. A write method puts its
// work into a bounded queue and returns at once; it never waits for the disk.
// The writer takes whatever arrived while its last commit ran and commits it as
// one transaction (group commit), each piece of work behind its own savepoint,
// so that a failing one does not spoil the others.
//
//	hub ── Append(m, done) ──► queue ──► writer: BEGIN … COMMIT (fsync) ──► done(ack, nil)
//	     ◄─ ErrBusy (queue full) / ErrStopped
//
// Every write method returns an error only when the work was not queued
// ([ErrBusy], [ErrStopped]); then done is never called. Otherwise done is called
// exactly once, on the writer's goroutine, in commit order, and only after
// COMMIT returned: what done reports as done survives a power cut. done must
// not block: it posts an event into a mailbox that has room, or drops its
// receiver. When done gets an error its result is the zero value.
//
// The store does not give up on a slow disk. A caller that waited for
// [CommitDeadline] must treat the outcome as unknown and let the client send the
// same message id again, which is harmless for ever.
//
// # Reading
//
// Read methods run on the calling goroutine and a pool of read-only connections,
// see every commit whose done was called, and may be called from any goroutine
// between Open and the end of Run. They touch the disk: a loop that must not
// wait calls them from elsewhere.
//
// # Errors
//
// No driver error leaves the package. Every error matches one of the sentinels
// in errors.go with errors.Is, or is the context's own.
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
