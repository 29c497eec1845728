package protocol

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// plain writes the messages that a chat is made of, byte for byte as encoding/json would: they are most of what a busy
// server writes. What it can't (a text with escapes in it) is left to encoding/json.
type plain struct {
	b  []byte
	ok bool
}

// encodePlain encodes an Ack, a ChatMessage or a ChatPage; nil for other messages, and for one that needs escapes.
func encodePlain(msg any) []byte {
	var p plain
	switch m := msg.(type) {
	case Ack:
		p = plain{make([]byte, 0, 64+len(m.ID)+len(time.RFC3339Nano)), true}
		p.ack(m)
	case ChatMessage:
		p = plain{make([]byte, 0, m.room()), true}
		p.message(m)
	case ChatPage:
		n := 128
		for i := range m.Messages {
			n += m.Messages[i].room()
		}
		p = plain{make([]byte, 0, n), true}
		p.page(m)
	}
	if !p.ok {
		return nil
	}
	return p.b
}

// room is about the length of the message as JSON.
func (m *ChatMessage) room() int {
	return 192 + len(m.Conversation) + len(m.MessageID) + len(m.Sender) + len(m.Name) + len(m.Text)
}

func (p *plain) ack(m Ack) {
	p.text(`{"type":"ack","id":`, string(m.ID))
	if m.Seq != 0 {
		p.number(`,"seq":`, m.Seq)
	}
	if m.At != nil {
		p.time(`,"at":`, *m.At)
	}
	p.b = append(p.b, '}')
}

func (p *plain) message(m ChatMessage) {
	p.text(`{"type":`, "chat.message")
	p.text(`,"conversation":`, string(m.Conversation))
	p.number(`,"seq":`, m.Seq)
	p.text(`,"messageId":`, string(m.MessageID))
	p.text(`,"from":`, m.From)
	p.text(`,"sender":`, m.Sender)
	if m.Name != "" {
		p.text(`,"name":`, m.Name)
	}
	p.text(`,"text":`, m.Text)
	p.time(`,"at":`, m.At)
	p.b = append(p.b, '}')
}

func (p *plain) page(m ChatPage) {
	p.text(`{"type":"chat.page","id":`, string(m.ID))
	p.text(`,"conversation":`, string(m.Conversation))
	p.b = append(p.b, `,"messages":`...)
	if m.Messages == nil {
		p.b = append(p.b, "null"...)
	} else {
		p.b = append(p.b, '[')
		for i, c := range m.Messages {
			if i > 0 {
				p.b = append(p.b, ',')
			}
			p.ok = p.ok && c.Type == "chat.message"
			p.message(c)
		}
		p.b = append(p.b, ']')
	}
	p.number(`,"lastSeq":`, m.LastSeq)
	p.b = append(p.b, '}')
}

func (p *plain) number(before string, n int64) {
	p.b = strconv.AppendInt(append(p.b, before...), n, 10)
}

// text writes a string that encoding/json would leave as it is.
func (p *plain) text(before, s string) {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == '"' || c == '\\':
			p.ok = false
			return
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if !ascii && (!utf8.ValidString(s) || strings.ContainsAny(s, "\u2028\u2029")) {
		p.ok = false
		return
	}
	p.b = append(append(p.b, before...), '"')
	p.b = append(append(p.b, s...), '"')
}

// time writes a moment of a year that RFC 3339 has.
func (p *plain) time(before string, t time.Time) {
	_, offset := t.Zone()
	if y := t.Year(); y < 0 || y > 9999 || time.Duration(offset).Abs()*time.Second >= 24*time.Hour {
		p.ok = false
		return
	}
	p.b = append(append(p.b, before...), '"')
	p.b = append(t.AppendFormat(p.b, time.RFC3339Nano), '"')
}
