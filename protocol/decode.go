package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"unicode/utf8"
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
	scan := scanner{data: data, keys: make([][]byte, 0, 16)}
	var head struct{ typ, id []byte }
	scan.member = func(key []byte, _ int, value []byte) string {
		switch string(key) {
		case "type":
			head.typ = value
		case "id":
			head.id = value
		}
		return ""
	}
	if reason := scan.document(nil); reason != "" {
		return nil, bad("", "", reason)
	}
	name := stringOf(head.typ)
	if name == "" || len(name) > 64 || len(head.id) > 0 && head.id[0] != '"' {
		return nil, bad("", "", "no type")
	}
	id := RequestID(stringOf(head.id))
	if len(id) > 64 {
		id = ""
	}
	strict := from&(Customer|Agent|ViewerPage) != 0
	row := rowByType[name]
	if row == nil {
		if strict {
			return nil, bad(name, id, "unknown type")
		}
		if !json.Valid(data) {
			return nil, bad("", "", notJSON)
		}
		return Unknown{Type: name}, nil
	}
	if row.From&from == 0 {
		return nil, bad(row.Type, id, "this sender may not send it")
	}
	if len(data) > row.Max {
		return nil, bad(row.Type, id, "larger than "+strconv.Itoa(row.Max)+" bytes")
	}
	v := reflect.New(row.typ).Elem()
	scan.strict = strict || row.Strict
	scan.member = func(_ []byte, field int, value []byte) string {
		if field < 0 {
			if !json.Valid(value) {
				return notJSON
			}
			return ""
		}
		return set(v.Field(field), value)
	}
	if reason := scan.document(row.shape); reason != "" {
		return nil, bad(row.Type, id, reason)
	}
	// A peer may be newer and send more, but never a value that is not one of the known: it is shown to people.
	if reason := row.shape.checkLimits(v, scan.strict || from&Peer != 0); reason != "" {
		return nil, bad(row.Type, id, reason)
	}
	return v.Interface(), nil
}

const notJSON = "not JSON"

// set reads a scanned value into a field. What is common and plain is read here, everything else by encoding/json.
func set(v reflect.Value, value []byte) string {
	switch {
	case v.Kind() == reflect.String && value[0] == '"' && bytes.IndexByte(value, '\\') < 0:
		v.SetString(string(value[1 : len(value)-1]))
		return ""
	case v.Kind() == reflect.Bool && string(value) == "true":
		v.SetBool(true)
		return ""
	case v.Kind() == reflect.Bool && string(value) == "false":
		return ""
	}
	if err := json.Unmarshal(value, v.Addr().Interface()); err != nil {
		if _, ok := errors.AsType[*json.SyntaxError](err); ok {
			return notJSON
		}
		return "a field has the wrong type"
	}
	return ""
}

// stringOf reads a scanned value that should be a string; "" if it is not one.
func stringOf(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	raw := value[1 : len(value)-1]
	if bytes.IndexByte(raw, '\\') >= 0 {
		raw, _ = unescape(raw)
	}
	return string(raw)
}
