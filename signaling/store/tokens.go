// Tokens: how a text becomes the one searchable column, and a query becomes an
// expression over it. Written here and not left to the database, because FTS5's
// own tokenisers find no two-character Chinese word, and so that a second
// database finds the same (design 0, "Search").

package store

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// tokenizer is the version of what this file and fold.go make of a text. With
	// another number the index is made anew. 1: without normalising (NFC).
	tokenizer int64 = 2
	// MaxQuery is how long a search query may be. Unit: characters.
	MaxQuery = 200
	// maxTerms is how many words of a query are looked for. More is not a search.
	maxTerms = 32
	// maxWord is where a word without an end (a key, an encoded file) is cut. Unit: characters.
	maxWord = 64
)

// stretch is a piece of text that is searched as a whole: one word, or a stretch of
// a script without spaces. letters are folded; from[i] is where letter i began in
// the text, and end where it ended. Unit: bytes.
type stretch struct {
	letters  []rune
	from     []int
	end      int
	unspaced bool
}

// stretches calls each for every stretch of text until it returns false. It is valid
// until each returns. Text counts as it is in Unicode's composed form (NFC), so that
// an accent typed as a sign of its own is none.
func stretches(text string, each func(stretch) bool) {
	c := cutter{each: each}
	if norm.NFC.IsNormalString(text) {
		for i, r := range text {
			_, size := utf8.DecodeRuneInString(text[i:])
			if !c.add(r, i, i+size) {
				return
			}
		}
		c.flush()
		return
	}
	var it norm.Iter
	for it.InitString(norm.NFC, text); !it.Done(); {
		from := it.Pos()
		piece := it.Next()
		for len(piece) > 0 {
			r, size := utf8.DecodeRune(piece)
			if piece = piece[size:]; !c.add(r, from, it.Pos()) {
				return
			}
		}
	}
	c.flush()
}

// cutter makes stretches of characters.
type cutter struct {
	stretch
	each func(stretch) bool
}

func (c *cutter) flush() bool {
	ok := len(c.letters) == 0 || c.each(c.stretch)
	c.letters, c.from = c.letters[:0], c.from[:0]
	return ok
}

// add takes a character that stands from one place of the text to another.
func (c *cutter) add(r rune, from, to int) bool {
	n := len(c.letters)
	c.letters = fold(c.letters, r)
	added := c.letters[n:]
	if len(added) == 0 { // an accent, a sound mark or something invisible: part of what stands before it
		if n > 0 {
			c.end = to
		}
		return true
	}
	first := added[0]
	switch {
	case !unicode.In(first, unicode.L, unicode.M, unicode.N):
		c.letters = c.letters[:n]
		return c.flush()
	case n > 0 && unspaced(first) != c.unspaced:
		rest := append([]rune(nil), added...)
		c.letters = c.letters[:n]
		if !c.flush() {
			return false
		}
		c.letters = append(c.letters, rest...)
	}
	c.unspaced = unspaced(first)
	for len(c.from) < len(c.letters) {
		c.from = append(c.from, from)
	}
	c.end = to
	return true
}

// word is its token where words have spaces.
func (r stretch) word() string { return string(r.letters[:min(len(r.letters), maxWord)]) }

// tokens appends its tokens to b, a space after each: the word itself, or
// every two neighbours and the last character alone. With them a stretch of n
// characters is found by a phrase of n-1 pairs, and one character by a prefix.
func (r stretch) tokens(b *strings.Builder) {
	if !r.unspaced {
		b.WriteString(r.word())
		b.WriteByte(' ')
		return
	}
	for i, c := range r.letters {
		b.WriteRune(c)
		if i+1 < len(r.letters) {
			b.WriteRune(r.letters[i+1])
		}
		b.WriteByte(' ')
	}
}

// Tokens returns the searchable column of a text: words in lower case without
// accents, separated by spaces. It holds letters, digits and spaces only.
func Tokens(text string) string {
	var b strings.Builder
	b.Grow(len(text) + len(text)/2)
	stretches(text, func(r stretch) bool { r.tokens(&b); return true })
	return strings.TrimSuffix(b.String(), " ")
}

// term is one thing that a query looks for.
type term struct {
	stretch
	prefix bool // whatever follows
}

// parseQuery cuts a query into terms, all of which must be in a text. A word
// that ends in * stands for all that begin with it; other signs mean nothing.
// Errors: ErrInvalid.
func parseQuery(query string) ([]term, error) {
	if n := len([]rune(query)); n > MaxQuery {
		return nil, fmt.Errorf("store: search for %d characters, at most %d: %w", n, MaxQuery, ErrInvalid)
	}
	var terms []term
	stretches(query, func(r stretch) bool {
		r.letters = append([]rune(nil), r.letters...)
		r.from = append([]int(nil), r.from...)
		wild := strings.HasPrefix(query[r.end:], "*")
		terms = append(terms, term{r, wild || r.unspaced && len(r.letters) == 1})
		return len(terms) <= maxTerms
	})
	switch {
	case len(terms) == 0:
		return nil, fmt.Errorf("store: search for no letter or digit: %w", ErrInvalid)
	case len(terms) > maxTerms:
		return nil, fmt.Errorf("store: search for more than %d words: %w", maxTerms, ErrInvalid)
	}
	return terms, nil
}

// phrase returns the tokens that must follow each other, and whether the last is
// the beginning of one.
func (t term) phrase() (tokens string, prefix bool) {
	if !t.unspaced {
		return t.word(), t.prefix
	}
	if len(t.letters) == 1 {
		return string(t.letters), true
	}
	var b strings.Builder
	for i := range len(t.letters) - 1 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(t.letters[i : i+2]))
	}
	return b.String(), false // the last pair ends the phrase: more may follow anyway
}

// locate finds the first of the terms in text. Unit: bytes; 0, 0 if none is there.
func locate(text string, terms []term) (start, end int) {
	stretches(text, func(r stretch) bool {
		for _, t := range terms {
			if r.unspaced != t.unspaced {
				continue
			}
			if i, n := t.in(r); i >= 0 {
				start, end = r.from[i], r.end
				if i+n < len(r.from) {
					end = r.from[i+n]
				}
				return false
			}
		}
		return true
	})
	return start, end
}

// in returns where the term begins in r, or -1, and how many letters it takes there.
func (t term) in(r stretch) (at, n int) {
	if !r.unspaced {
		mine, theirs := t.word(), r.word()
		if theirs == mine || t.prefix && strings.HasPrefix(theirs, mine) {
			return 0, len(r.letters)
		}
		return -1, 0
	}
	at = strings.Index(string(r.letters), string(t.letters))
	if at > 0 {
		at = len([]rune(string(r.letters)[:at]))
	}
	return at, len(t.letters)
}
