// Check of the search: is what is indexed what there is, and nothing else?

package store

import "database/sql"

// indexedOf returns what the search has of a page of messages, by number.
func indexedOf(q querier, conv string, after int64) (map[int64]string, error) {
	out := map[int64]string{}
	return out, q(func(rows *sql.Rows) error {
		var seq int64
		var tokens string
		err := rows.Scan(&seq, &tokens)
		out[seq] = tokens
		return err
	}, searchTokens, entriesEach, conv, after, tokenizer, MaxMessages)
}

// entryPlace is how far a check of the search index is: after an entry, and after a
// note's entry. ended says which of the two is through.
type entryPlace struct {
	entry, note              int64
	entriesEnded, notesEnded bool
}

// checkEntries looks at the next page of the index, and at the next one of notes. Each
// page is one statement, and whoever deletes a text deletes its entry with it.
func checkEntries(q querier, r *Report, at entryPlace) (next entryPlace, more bool, err error) {
	n := 0
	if !at.entriesEnded {
		err = q(func(rows *sql.Rows) error {
			var orphan bool
			err := rows.Scan(&at.entry, &orphan)
			if n++; err == nil && orphan {
				r.add("", "entry %d of the search is of no text", at.entry)
			}
			return err
		}, searchOrphans, at.entry, MaxMessages, entriesEach, entriesEach)
		if err != nil {
			return at, false, err
		}
		at.entriesEnded = n < MaxMessages
	}
	n = 0
	if !at.notesEnded {
		err = q(func(rows *sql.Rows) error {
			var conv, text, tokens string
			var current bool
			err := rows.Scan(&at.note, &conv, &text, &tokens, &current)
			if n++; err == nil && current && tokens != Tokens(text) {
				r.add(conv, "a note is not in the search as it is")
			}
			return err
		}, searchNotes, tokenizer, at.note, MaxNotes)
		if err != nil {
			return at, false, err
		}
		at.notesEnded = n < MaxNotes
	}
	return at, !at.entriesEnded || !at.notesEnded, nil
}
