package protocol

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxDepth = 8   // of nested JSON values (security.md T09)
	maxKey   = 64  // bytes of one key; ours are shorter
	maxKeys  = 256 // different keys of a message, those of nested objects included
)

// Unknown is what Decode returns for a type that it does not know, where unknown types are only counted.
type Unknown struct{ Type string }

// Decode is the only way in for foreign bytes. It returns the message as the value type of its row (ChatSend, not
// *ChatSend). From Customer, Agent and ViewerPage it is strict: unknown types and fields are errors; from Server,
// Peer and ViewerHost an unknown type gives Unknown and unknown fields are ignored, except in strict rows. Always
// refused: over the row's size, invalid UTF-8, duplicate keys, more than one value, nesting over 8, a type that
// this sender may not send, a missing field, a value over its limit. Errors are *BadMessageError.
func Decode(data []byte, from Sender) (any, error) {
	bad := func(t string, id RequestID, reason string) error {
		return &BadMessageError{Type: t, ID: id, Reason: reason}
	}
	if from&(Customer|Agent|Peer|ViewerPage) != 0 && len(data) > MaxMessageBytes {
		return nil, bad("", "", "larger than 64 KiB")
	}
	if !utf8.Valid(data) { //guard:T09
		return nil, bad("", "", "not valid UTF-8")
	}
	var head struct {
		Type string    `json:"type"`
		ID   RequestID `json:"id"`
	}
	keys, err := walk(data)
	if err != "" {
		return nil, bad("", "", err)
	}
	if json.Unmarshal(data, &head) != nil || head.Type == "" || len(head.Type) > 64 {
		return nil, bad("", "", "no type")
	}
	if len(head.ID) > 64 {
		head.ID = ""
	}
	strict := from&(Customer|Agent|ViewerPage) != 0
	row := rowByType[head.Type]
	if row == nil {
		if strict {
			return nil, bad(head.Type, head.ID, "unknown type")
		}
		return Unknown{Type: head.Type}, nil
	}
	if row.From&from == 0 {
		return nil, bad(row.Type, head.ID, "this sender may not send it")
	}
	if len(data) > row.Max {
		return nil, bad(row.Type, head.ID, "larger than "+strconv.Itoa(row.Max)+" bytes")
	}
	strict = strict || row.Strict
	typ := reflect.TypeOf(row.Zero)
	if reason := checkKeys(keys, typ, "", strict); reason != "" {
		return nil, bad(row.Type, head.ID, reason)
	}
	v := reflect.New(typ)
	if err := json.Unmarshal(data, v.Interface()); err != nil {
		return nil, bad(row.Type, head.ID, "a field has the wrong type")
	}
	// A peer may be newer and send more, but never a value that is not one of the known: it is shown to people.
	if reason := checkLimits(v.Elem(), strict || from&Peer != 0); reason != "" {
		return nil, bad(row.Type, head.ID, reason)
	}
	return v.Elem().Interface(), nil
}

// walk reads the tokens of one JSON object and returns its keys as paths ("page.title"), or the reason why it
// can't be accepted: encoding/json alone keeps the last of duplicate keys and ignores trailing bytes.
func walk(data []byte) (keys map[string]bool, reason string) {
	dec := json.NewDecoder(bytes.NewReader(data))
	keys = map[string]bool{}
	var value func(path string, depth int, inList bool) string
	value = func(path string, depth int, inList bool) string {
		if depth > maxDepth {
			return "nested too deeply"
		}
		tok, err := dec.Token()
		if err != nil {
			return "not JSON"
		}
		delim, ok := tok.(json.Delim)
		if !ok {
			if depth == 1 {
				return "not an object"
			}
			return ""
		}
		if delim == '{' {
			seen := map[string]bool{}
			for dec.More() {
				tok, err := dec.Token()
				key, isString := tok.(string)
				if err != nil || !isString {
					return "not JSON"
				}
				if seen[key] {
					return "duplicate key"
				}
				seen[key] = true
				if len(key) > maxKey || len(keys) >= maxKeys { // each path is kept: bound what a stranger can make us hold
					return "too many keys, or one that is too long" //guard:T09
				}
				sub := key
				if path != "" {
					sub = path + "." + key
				}
				keys[sub] = true
				if r := value(sub, depth+1, false); r != "" {
					return r
				}
			}
		} else {
			if depth == 1 {
				return "not an object"
			}
			for dec.More() {
				if r := value(path, depth+1, true); r != "" {
					return r
				}
			}
		}
		if _, err := dec.Token(); err != nil {
			return "not JSON"
		}
		return ""
	}
	if r := value("", 1, false); r != "" {
		return nil, r
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, "more than one value"
	}
	return keys, ""
}

// checkKeys compares the keys with the struct's fields, exactly (encoding/json ignores case).
func checkKeys(keys map[string]bool, typ reflect.Type, path string, strict bool) string {
	known := map[string]reflect.Type{}
	for i := range typ.NumField() {
		name, optional := jsonName(typ.Field(i))
		full := path + name
		if !optional && !keys[full] {
			return "missing field " + full
		}
		known[full] = elem(typ.Field(i).Type)
	}
	for key := range keys {
		rest, ok := strings.CutPrefix(key, path)
		if !ok {
			continue
		}
		top, _, nested := strings.Cut(rest, ".")
		t, isField := known[path+top]
		if !isField {
			if strict {
				return "unknown field"
			}
			continue
		}
		if !nested && t.Kind() == reflect.Struct && t.NumField() > 0 && t.Field(0).IsExported() {
			if r := checkKeys(subset(keys, key+"."), t, key+".", strict); r != "" && strict {
				return r
			}
		}
	}
	return ""
}

func subset(keys map[string]bool, prefix string) map[string]bool {
	out := map[string]bool{}
	for k := range keys {
		if strings.HasPrefix(k, prefix) {
			out[k] = true
		}
	}
	return out
}

func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

func jsonName(f reflect.StructField) (name string, optional bool) {
	name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, strings.Contains(opts, "omitempty")
}

// Limit is what a field's v tag says.
type Limit struct {
	Min, Max       int64
	HasMin, HasMax bool
	Enum           []string
}

// ParseLimit reads a v tag.
func ParseLimit(tag string) Limit {
	var l Limit
	for part := range strings.SplitSeq(tag, ",") {
		key, val, _ := strings.Cut(part, "=")
		switch key {
		case "min":
			l.Min, _ = strconv.ParseInt(val, 10, 64)
			l.HasMin = true
		case "max":
			l.Max, _ = strconv.ParseInt(val, 10, 64)
			l.HasMax = true
		case "enum":
			l.Enum = strings.Split(val, "|")
		}
	}
	return l
}

func checkLimits(v reflect.Value, strict bool) string {
	typ := v.Type()
	for i := range typ.NumField() {
		f := typ.Field(i)
		if !f.IsExported() {
			return ""
		}
		name, optional := jsonName(f)
		l := ParseLimit(f.Tag.Get("v"))
		fv := v.Field(i)
		if fv.Kind() == reflect.Pointer {
			if fv.IsNil() {
				continue
			}
			fv = fv.Elem()
		}
		switch fv.Kind() {
		case reflect.String:
			if l.HasMax && int64(utf8.RuneCountInString(fv.String())) > l.Max {
				return name + " is too long"
			}
			if strict && l.Enum != nil && !contains(l.Enum, fv.String()) && !(optional && fv.String() == "") {
				return name + " is not one of its values"
			}
		case reflect.Int, reflect.Int64:
			if l.HasMin && fv.Int() < l.Min || l.HasMax && fv.Int() > l.Max {
				return name + " is out of range"
			}
		case reflect.Slice:
			if l.HasMax && int64(fv.Len()) > l.Max {
				return name + " has too many items"
			}
		case reflect.Struct:
			if r := checkLimits(fv, strict); r != "" {
				return name + "." + r
			}
		}
	}
	return ""
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
