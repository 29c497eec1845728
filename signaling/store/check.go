// Check: is what is on the disk what was written? Pages, indexes and constraints
// by SQLite; each message by its checksum; each conversation by its dense
// sequence; the search by what it was made of.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// ErrExists: a file or data are there, and are not replaced.
var ErrExists = errors.New("already there")

const (
	// maxDamage is how many findings are listed.
	maxDamage = 100
	// checkPause is how many times as long as a page took the check in the
	// background rests after it.
	checkPause = 4
)

// Damage is one finding. It holds no text of a message.
type Damage struct {
	Conversation string `json:"conversation,omitempty"` // "" if it can't be told
	What         string `json:"what"`
}

func (d Damage) String() string {
	if d.Conversation == "" {
		return d.What
	}
	return "conversation " + d.Conversation + ": " + d.What
}

// Report is what a check found.
type Report struct {
	Conversations int64 // looked at
	Messages      int64
	Damage        []Damage
	More          bool // there is more than is listed
}

// Err is nil if everything is whole, else it wraps ErrDamaged and says how much isn't.
func (r Report) Err() error {
	if len(r.Damage) == 0 {
		return nil
	}
	return fmt.Errorf("store: %w: %d findings, the first: %s", ErrDamaged, len(r.Damage), r.Damage[0])
}

func (r *Report) add(conversation, format string, args ...any) {
	if len(r.Damage) >= maxDamage {
		r.More = true
		return
	}
	r.Damage = append(r.Damage, Damage{conversation, fmt.Sprintf(format, args...)})
}

// unreadable turns an error that means damage into a finding.
func (r *Report) unreadable(err error) error {
	if errors.Is(err, ErrDamaged) {
		r.add("", "%v", err)
		return nil
	}
	return err
}

// CheckFolder checks the data in a folder without changing it, also beside a
// running server. Errors: ErrFolder, ErrNewer, or what kept it from looking;
// damage is in the report.
func CheckFolder(ctx context.Context, dir string) (Report, error) {
	path := filepath.Join(dir, dbName)
	if _, err := os.Stat(path); err != nil {
		return Report{}, folderError("%s has no data (%v)", dir, reason(err))
	}
	db, err := openReaders(path, 1)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = db.Close() }() // read only
	return checkDB(ctx, db)
}

// checkFile checks a copy that nobody writes to.
func checkFile(ctx context.Context, path string) (Report, error) {
	db, err := openCopy(path)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = db.Close() }() // read only
	return checkDB(ctx, db)
}

// checkDB checks one state of the data: all in one transaction.
func checkDB(ctx context.Context, db *sql.DB) (r Report, err error) {
	if _, err := db.ExecContext(ctx, "BEGIN"); err != nil { // db has one connection
		return r, r.unreadable(translate(err))
	}
	defer func() { _, _ = db.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") }() // read only
	known, err := migrations()
	if err != nil {
		return r, err
	}
	version, err := schemaVersion(ctx, db)
	switch {
	case err != nil:
		return r, r.unreadable(err)
	case version == 0:
		return r, folderError("the file holds no data of Lookalong")
	case version > len(known):
		return r, fmt.Errorf("store: %w: version %d, and this program knows %d; install the newer program", ErrNewer, version, len(known))
	}
	found, err := structure(ctx, db, maxDamage)
	for _, what := range found {
		r.add("", "%s", what)
	}
	if err != nil {
		return r, r.unreadable(err)
	}
	q := func(each func(*sql.Rows) error, text string, args ...any) error {
		return eachRow(ctx, db, each, text, args...)
	}
	if version < len(known) { // of an older program: the columns of today are not there
		c, err := count(q)
		r.Conversations, r.Messages = c.Conversations, c.Messages
		return r, r.unreadable(err)
	}
	for at, more := (place{}), true; more && err == nil; {
		at, more, err = checkPage(q, &r, at)
	}
	for at, more := (entryPlace{}), true; more && err == nil; {
		at, more, err = checkEntries(q, &r, at)
	}
	return r, r.unreadable(err)
}

// count counts what there is.
func (s *Store) count(ctx context.Context) (Copied, error) { return count(s.reader(ctx)) }

func count(q querier) (c Copied, err error) {
	return first(q, func(rows *sql.Rows) (c Copied, err error) { return c, rows.Scan(&c.Conversations, &c.Messages) }, "counts",
		"SELECT (SELECT count(*) FROM conversations), (SELECT count(*) FROM messages)")
}

// place is how far a check is: in a conversation, after a message.
type place struct {
	conversation string
	after        int64
	inside       bool // the conversation is not finished
}

// checkPage looks at up to MaxMessages messages of one conversation, the next one
// after at.
func checkPage(q querier, r *Report, at place) (next place, more bool, err error) {
	where := "WHERE id > ? ORDER BY id LIMIT 1"
	if at.inside {
		where = "WHERE id = ?"
	}
	convs, err := list(q, scanConversation, conversationColumns+where, at.conversation)
	if err != nil {
		return at, false, err
	}
	if len(convs) == 0 { // none is left, or this one was erased meanwhile
		return place{conversation: at.conversation}, at.inside, nil
	}
	c := convs[0]
	found := Report{}
	if !at.inside {
		at = place{conversation: c.ID}
		r.Conversations++
		if err := checkMarks(q, &found, c.ID); err != nil {
			return at, false, err
		}
	}
	page, err := messagesAfter(q, c.ID, at.after, MaxMessages)
	if err != nil {
		return at, false, err
	}
	indexed, err := indexedOf(q, c.ID, at.after)
	if err != nil {
		return at, false, err
	}
	for _, m := range page {
		if m.Seq != at.after+1 {
			found.add(c.ID, "messages %d to %d are missing", at.after+1, m.Seq-1)
		}
		if m.Damaged {
			found.add(c.ID, "message %d is damaged", m.Seq)
		} else if tokens, ok := indexed[m.Seq]; ok && tokens != Tokens(m.Text) {
			found.add(c.ID, "message %d is not in the search as it is", m.Seq)
		}
		at.after = m.Seq
		r.Messages++
	}
	at.inside = len(page) == MaxMessages && at.after < c.LastSeq
	if !at.inside && at.after < c.LastSeq {
		found.add(c.ID, "messages %d to %d are missing", at.after+1, c.LastSeq)
	}
	if len(found.Damage) == 0 {
		return at, true, nil
	}
	// An erasure deletes slice by slice: what it leaves for a moment is no damage.
	gone, err := list(q, scanOne[string], "SELECT conversation FROM erasures WHERE conversation = ?", at.conversation)
	if err == nil && len(gone) == 0 {
		for _, d := range found.Damage {
			r.add(d.Conversation, "%s", d.What)
		}
	}
	return at, true, err
}

// checkMarks looks at the numbers beside a conversation's messages: in one statement,
// for both grow while it looks.
func checkMarks(q querier, found *Report, conv string) error {
	wrong, err := list(q, scanOne[int64], `SELECT 1 FROM marks JOIN conversations ON conversations.id = marks.conversation
		WHERE marks.conversation = ? AND (marks.read > marks.received OR marks.read < 0 OR marks.received > `+lastSeq+")", conv)
	if err == nil && len(wrong) > 0 {
		found.add(conv, "a mark is past the last message")
	}
	return err
}

// checkAll checks everything in the background: a page at a time, and between
// them it rests. It reports damage, which shows in Health then, or nil if there is
// none; its error is what kept it from looking.
func (s *Store) checkAll(ctx context.Context, report func(error)) error {
	var r Report
	// A connection of its own: FTS5 looks for damage by what it remembers of the index
	// from the connection's last search, and takes what has changed since for damage.
	db, err := openReaders(s.path, 1)
	if err != nil {
		return err
	}
	found, err := structure(ctx, db, maxDamage)
	_ = db.Close() // read only
	for _, what := range found {
		r.add("", "%s", what)
	}
	rest := func(start time.Time) error { return sleep(ctx, checkPause*time.Since(start)) }
	for at, more := (place{}), true; more && err == nil; {
		start := time.Now() // of the work, not of the calendar
		if at, more, err = checkPage(s.reader(ctx), &r, at); err == nil {
			err = rest(start)
		}
	}
	for at, more := (entryPlace{}), true; more && err == nil; {
		start := time.Now()
		if at, more, err = checkEntries(s.reader(ctx), &r, at); err == nil {
			err = rest(start)
		}
	}
	if err = r.unreadable(err); err == nil {
		s.noteDamage(r.Err())
		report(r.Err())
	}
	return err
}
