package protocol

import (
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// shape is what Decode must know of a struct, read once from its tags.
type shape struct {
	fields []field
}

type field struct {
	name     string
	optional bool
	limit    Limit
	keys     *shape // of the object, or of each object in the list, that the field holds; nil if it holds none
}

// shapeOf reads a message's struct. A type that hides its fields (time.Time) has none.
func shapeOf(typ reflect.Type) *shape {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || typ.NumField() == 0 || !typ.Field(0).IsExported() {
		return nil
	}
	s := &shape{}
	for f := range typ.Fields() {
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		s.fields = append(s.fields, field{
			name: name, optional: strings.Contains(opts, "omitempty"), limit: ParseLimit(f.Tag.Get("v")), keys: shapeOf(f.Type),
		})
	}
	return s
}

// find returns the index of the field with exactly this name (encoding/json ignores case), or -1.
func (s *shape) find(key []byte) int {
	for i := range s.fields {
		if s.fields[i].name == string(key) {
			return i
		}
	}
	return -1
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

// checkLimits compares the values of a decoded struct with its fields' limits; the answer is what is wrong.
func (s *shape) checkLimits(v reflect.Value, strict bool) string {
	for i := range s.fields {
		f := &s.fields[i]
		l, fv := &f.limit, v.Field(i)
		if fv.Kind() == reflect.Pointer {
			if fv.IsNil() {
				continue
			}
			fv = fv.Elem()
		}
		switch fv.Kind() {
		case reflect.String:
			if l.HasMax && int64(fv.Len()) > l.Max && int64(utf8.RuneCountInString(fv.String())) > l.Max {
				return f.name + " is too long"
			}
			if strict && l.Enum != nil && !contains(l.Enum, fv.String()) && !(f.optional && fv.String() == "") {
				return f.name + " is not one of its values"
			}
		case reflect.Int, reflect.Int64:
			if l.HasMin && fv.Int() < l.Min || l.HasMax && fv.Int() > l.Max {
				return f.name + " is out of range"
			}
		case reflect.Slice:
			if l.HasMax && int64(fv.Len()) > l.Max {
				return f.name + " has too many items"
			}
		case reflect.Struct:
			if f.keys != nil {
				if r := f.keys.checkLimits(fv, strict); r != "" {
					return f.name + "." + r
				}
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
