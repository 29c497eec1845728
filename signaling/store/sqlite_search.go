// What is SQLite's own in migration 0003: the full-text index and the guard of
// the audit log.

package store

import (
	"strings"
	"time"
)

func init() {
	extras[3] = []string{
		// Go has cut and folded the text already (tokens.go): every sign but a space
		// belongs to a token, and nothing is folded twice.
		`CREATE VIRTUAL TABLE search USING fts5 (tokens, columnsize = 0,
			tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* C*'")`,
		// An erased text leaves the index at once, and not with the next merge.
		`INSERT INTO search (search, rank) VALUES ('secure-delete', 1)`,
		`DROP TRIGGER audit_no_delete`,
		`CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
		 WHEN OLD.at >= COALESCE((SELECT max(before) FROM audit_horizon), -1)
		 BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END`,
	}
}

const (
	searchInsert = "INSERT INTO search (rowid, tokens) VALUES (?, ?)"
	searchDelete = "DELETE FROM search WHERE rowid = ?"
	// searchSelect finds entries, the newest first. Its parameters: entries a message,
	// twice, expression, id from which and below which all are, agent, agent, limit.
	searchSelect = `SELECT search.rowid, c.id, COALESCE(m.seq, 0), COALESCE(n.id, '') FROM search
		LEFT JOIN messages m ON search.rowid % ? = 0 AND m.pos = search.rowid / ?
		LEFT JOIN notes n ON n.entry = search.rowid
		JOIN conversations c ON c.id = COALESCE((SELECT id FROM conversations WHERE num = m.conversation_num), n.conversation)
		WHERE search MATCH ? AND search.rowid >= ? AND search.rowid < ? AND (? = '' OR c.claimed_by = ?)
		ORDER BY search.rowid DESC LIMIT ?`
	// auditOld deletes entries but the last. Its parameters: time, limit.
	auditOld = `DELETE FROM audit WHERE id IN (SELECT id FROM audit
		WHERE at < ? AND id < (SELECT max(id) FROM audit) ORDER BY at LIMIT ?)`
	// searchEntries finds entries without what they stand for. Its parameters:
	// expression, id that all must be below, limit.
	searchEntries = "SELECT rowid FROM search WHERE search MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"
	// searchStored gives what is indexed. Its parameters: entry that all are above, the last one.
	searchStored = "SELECT rowid, tokens FROM search WHERE rowid > ? AND rowid <= ?"
	// searchOrphans gives a page of entries: each, and whether there is a message or note
	// of it. Its parameters: entry that all are above, limit, entries a message, twice.
	searchOrphans = `SELECT s.rowid, m.pos IS NULL AND n.entry IS NULL
		FROM (SELECT rowid FROM search WHERE rowid > ? ORDER BY rowid LIMIT ?) s
		LEFT JOIN messages m ON s.rowid % ? = 0 AND m.pos = s.rowid / ?
		LEFT JOIN notes n ON n.entry = s.rowid ORDER BY s.rowid`
	// searchNotes gives a page of notes with what is indexed of them, and whether one
	// tokeniser made all of it. Its parameters: tokeniser, entry that all are above, limit.
	searchNotes = `SELECT n.entry, n.conversation, n.text, COALESCE(s.tokens, ''), (SELECT tokenizer = ? FROM search_state WHERE id = 1)
		FROM notes n LEFT JOIN search s ON s.rowid = n.entry WHERE n.entry > ? ORDER BY n.entry LIMIT ?`
	// searchTokens gives what is indexed of a conversation's messages, if a tokeniser
	// made all of it. Its parameters: entries a message, conversation, sequence number
	// that all are above, tokeniser, limit.
	searchTokens = `SELECT m.seq, COALESCE(s.tokens, '') FROM messages m LEFT JOIN search s ON s.rowid = m.pos * ?
		WHERE m.conversation_num = (SELECT num FROM conversations WHERE id = ?) AND m.seq > ?
		AND m.pos <= (SELECT indexed FROM search_state WHERE id = 1 AND tokenizer = ?) ORDER BY m.seq LIMIT ?`
)

// searchExpression writes terms in FTS5's language: all of the phrases, each in
// quotes, which hold letters, digits and spaces only.
func searchExpression(terms []term) string {
	var b strings.Builder
	for i, t := range terms {
		if i > 0 {
			b.WriteString(" AND ")
		}
		tokens, prefix := t.phrase()
		b.WriteString(`"` + tokens + `"`)
		if prefix {
			b.WriteString(" *")
		}
	}
	return b.String()
}

// deleteAudit deletes up to limit entries from before, the oldest by their time first:
// one that was stamped by a wrong clock holds up no other. It is the
// only way past the audit log's guard, which it opens for this transaction. The
// last entry stays, so that numbers go on.
func (t *tx) deleteAudit(before time.Time, limit int) (int64, error) {
	ms := before.UnixMilli()
	if _, err := t.exec("INSERT INTO audit_horizon (id, before) VALUES (1, ?)", ms); err != nil {
		return 0, err
	}
	n, err := t.exec(auditOld, ms, limit)
	if err != nil {
		return 0, err
	}
	_, err = t.exec("DELETE FROM audit_horizon")
	return n, err
}
