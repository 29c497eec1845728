package protocol

import (
	"bytes"
	"encoding/json"
)

const (
	maxDepth = 8   // of nested JSON values (security.md T09)
	maxKey   = 64  // bytes of one key; ours are shorter
	maxKeys  = 256 // keys of one object
)

// scanner looks at the shape of one JSON value, which encoding/json alone does not check: it keeps the last of
// duplicate keys, ignores the case of keys and knows no required ones. Whether numbers, words and escapes are well
// formed is left to whoever reads the values.
type scanner struct {
	data []byte
	at   int
	keys [][]byte // of the objects that are open, one after the other
	// member is called for each member of the outermost object: its key, the index of its field or -1, its value's
	// bytes. The answer is what is wrong with it.
	member func(key []byte, field int, value []byte) string
	// strict makes an unknown key, and a missing one of an inner object, an error.
	strict bool
}

// document scans the whole of data as one object of this shape (nil: any object); the answer is what is wrong.
func (s *scanner) document(sh *shape) string {
	s.at = 0
	s.space()
	if s.at >= len(s.data) {
		return notJSON
	}
	if s.data[s.at] != '{' {
		return "not an object"
	}
	if reason := s.object(sh, 1); reason != "" {
		return reason
	}
	if s.space(); s.at < len(s.data) {
		return "more than one value"
	}
	return ""
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// take skips space and then c, if it is there.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.at < len(s.data) && s.data[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) value(sh *shape, depth int) string {
	if depth > maxDepth {
		return "nested too deeply"
	}
	s.space()
	if s.at >= len(s.data) {
		return notJSON
	}
	switch s.data[s.at] {
	case '{':
		return s.object(sh, depth)
	case '[':
		return s.list(sh, depth)
	case '"':
		_, ok := s.str()
		if !ok {
			return notJSON
		}
		return ""
	}
	start := s.at
	for s.at < len(s.data) && !bytes.ContainsRune([]byte(" \t\r\n,:]}[{\""), rune(s.data[s.at])) {
		s.at++
	}
	if s.at == start {
		return notJSON
	}
	return ""
}

func (s *scanner) list(sh *shape, depth int) string {
	s.at++
	if s.take(']') {
		return ""
	}
	for {
		if reason := s.value(sh, depth+1); reason != "" {
			return reason
		}
		if s.take(']') {
			return ""
		}
		if !s.take(',') {
			return notJSON
		}
	}
}

func (s *scanner) object(sh *shape, depth int) string {
	s.at++
	first, unknown := len(s.keys), false
	defer func() { s.keys = s.keys[:first] }()
	if !s.take('}') {
		for {
			s.space()
			key, ok := s.str()
			if !ok || !s.take(':') {
				return notJSON
			}
			if bytes.IndexByte(key, '\\') >= 0 {
				if key, ok = unescape(key); !ok {
					return notJSON
				}
			}
			for _, other := range s.keys[first:] {
				if bytes.Equal(other, key) {
					return "duplicate key"
				}
			}
			if len(key) > maxKey || len(s.keys)-first >= maxKeys { // bounds what a stranger can make us compare
				return "too many keys, or one that is too long" //guard:T09
			}
			s.keys = append(s.keys, key)
			var inner *shape
			field := -1
			if sh != nil {
				if field = sh.find(key); field >= 0 {
					inner = sh.fields[field].keys
				}
				unknown = unknown || field < 0
			}
			s.space()
			start := s.at
			if reason := s.value(inner, depth+1); reason != "" {
				return reason
			}
			if depth == 1 && s.member != nil {
				if reason := s.member(key, field, s.data[start:s.at]); reason != "" {
					return reason
				}
			}
			if s.take('}') {
				break
			}
			if !s.take(',') {
				return notJSON
			}
		}
	}
	if sh == nil || depth > 1 && !s.strict {
		return ""
	}
	for i := range sh.fields {
		if f := &sh.fields[i]; !f.optional && !s.has(first, f.name) {
			return "missing field " + f.name
		}
	}
	if unknown && s.strict {
		return "unknown field"
	}
	return ""
}

func (s *scanner) has(first int, name string) bool {
	for _, key := range s.keys[first:] {
		if string(key) == name {
			return true
		}
	}
	return false
}

// str reads a string's bytes between its quotes, escapes as they are.
func (s *scanner) str() ([]byte, bool) {
	if s.at >= len(s.data) || s.data[s.at] != '"' {
		return nil, false
	}
	s.at++
	start := s.at
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case '"':
			s.at++
			return s.data[start : s.at-1], true
		case '\\':
			s.at++
		default:
			if s.data[s.at] < ' ' {
				return nil, false
			}
		}
		s.at++
	}
	return nil, false
}

// unescape reads a string whose bytes between the quotes hold escapes.
func unescape(raw []byte) ([]byte, bool) {
	var out string
	err := json.Unmarshal(append(append([]byte{'"'}, raw...), '"'), &out)
	return []byte(out), err == nil
}
