// What can go wrong, as sentinels for errors.Is: the border that keeps the
// driver's errors inside.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Errors of any method.
var (
	// ErrNotFound: no row with this id (or key, or public key).
	ErrNotFound = errors.New("not found")
	// ErrConflict: a row with this unique value exists, or a compare-and-set met another state.
	ErrConflict = errors.New("conflicts with what is stored")
	// ErrInvalid: an argument that the caller should have refused, such as an unknown role.
	ErrInvalid = errors.New("invalid argument")
	// ErrBusy: the queue is full, or another process holds the file. Try again later.
	ErrBusy = errors.New("busy, try again")
	// ErrStopped: the store was closed.
	ErrStopped = errors.New("stopped")
	// ErrFull: the disk has no room. Nothing was written; works again once there is room.
	ErrFull = errors.New("disk full")
	// ErrReadOnly: too little space is left (see Options.ReadOnlyBelow), or the file or its
	// file system refuses writes. What was stored before still gets its acknowledgement.
	ErrReadOnly = errors.New("read-only")
	// ErrLowSpace: too little space is left for a new customer or a new conversation
	// (see Options.StopNewBelow); those that exist go on.
	ErrLowSpace = errors.New("disk nearly full")
	// ErrDamaged: the file's bytes are not what was written. Restore a backup.
	ErrDamaged = errors.New("data damaged")
	// ErrStorage: anything else that the disk or the database reported; for the operator.
	// Of a write: it is not acknowledged, but a crash of the machine at this moment may
	// still bring it back. Sent again with the same id it is stored once in any case.
	ErrStorage = errors.New("storage failed")
)

// Errors of opening.
var (
	// ErrFolder: the data folder cannot be used; the text says why and what to do.
	ErrFolder = errors.New("data folder cannot be used")
	// ErrLocked: another server runs on this data folder.
	ErrLocked = errors.New("data folder in use")
	// ErrNewer: the file was written by a newer version of the program. It was left unchanged.
	ErrNewer = errors.New("data of a newer version")
)

// Errors of conversations, messages and claims.
var (
	// ErrIDReused: the message id was used before with another text.
	ErrIDReused = errors.New("message id used before with another text")
	// ErrClosed: the conversation is closed and this does not reopen it.
	ErrClosed = errors.New("conversation closed")
	// ErrNotOwner: the conversation is not this agent's claim, or not this customer's.
	ErrNotOwner = errors.New("not the owner")
	// ErrTaken: another agent holds the claim; errors.As gives *TakenError with the name.
	ErrTaken = errors.New("taken")
	// ErrNoneWaiting: the queue is empty.
	ErrNoneWaiting = errors.New("nobody is waiting")
	// ErrRevoked: the agent or the device was revoked.
	ErrRevoked = errors.New("revoked")
)

// Errors of invites.
var (
	// ErrInviteUnknown: no such invite was ever made.
	ErrInviteUnknown = errors.New("invite unknown")
	// ErrInviteUsed: the invite was redeemed before.
	ErrInviteUsed = errors.New("invite used")
	// ErrInviteExpired: the invite was not redeemed in time.
	ErrInviteExpired = errors.New("invite expired")
)

// TakenError says who holds the claim. It matches ErrTaken.
type TakenError struct {
	AgentID   string
	AgentName string // foreign text: escape it where it is shown
}

// Error implements error. It may be logged, so it holds no name.
func (e *TakenError) Error() string { return "store: conversation is taken by agent " + e.AgentID }

// Is makes errors.Is(err, ErrTaken) true.
func (e *TakenError) Is(target error) bool { return target == ErrTaken }

// dbError carries what the driver said as text only, so that no caller can come
// to depend on the driver.
type dbError struct {
	kind   error // one of the sentinels
	text   string
	spoils bool // the whole transaction is lost, not this statement alone
}

func (e *dbError) Error() string { return fmt.Sprintf("store: %v: %s", e.kind, e.text) }
func (e *dbError) Unwrap() error { return e.kind }

// translate turns an error of database/sql or of the driver into ours.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("store: %w", ErrNotFound)
	case errors.Is(err, sql.ErrConnDone), err.Error() == "sql: database is closed":
		return &dbError{kind: ErrStopped, text: "the database is closed", spoils: true}
	}
	return translateDriver(err)
}

// spoils reports whether the transaction in which err happened can't go on.
func spoils(err error) bool {
	d, ok := errors.AsType[*dbError](err)
	return ok && d.spoils || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
