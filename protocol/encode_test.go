package protocol

import (
	"strings"
	"testing"
	"time"
)

// FuzzEncode: what is written without encoding/json is what it would have written.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{"", "hello", "退款", "👩‍💻", `"`, `\`, "\n", "\x7f", "<b>&", "\xff", "a\u2028b", "\u2029", "\ufffd", "\x00", strings.Repeat("x", 300)} {
		f.Add(s, "id", int64(7), int64(1_700_000_000_123), 0)
		f.Add("text", s, int64(0), int64(-1), 3600)
	}
	f.Add("t", "id", int64(-1), int64(-99_999_999_999_999), 86_400)
	f.Add("t", "id", int64(1)<<62, int64(300_000_000_000_000), -86_399)
	f.Fuzz(func(t *testing.T, text, id string, n, ms int64, zone int) {
		at := time.UnixMilli(ms).In(time.FixedZone("", zone%200_000))
		m := ChatMessage{Conversation: ConversationID(id), Seq: n, MessageID: RequestID(id), From: "agent", Sender: id, Name: id, Text: text, At: at}
		typed := m
		typed.Type = "chat.message"
		for _, msg := range []any{
			m, Ack{ID: RequestID(id), Seq: n, At: &at}, Ack{ID: RequestID(text)},
			ChatPage{ID: RequestID(id), Conversation: ConversationID(text), Messages: []ChatMessage{typed, typed}, LastSeq: n},
			ChatPage{ID: RequestID(id), Messages: []ChatMessage{}}, ChatPage{}, ChatPage{Messages: []ChatMessage{m}},
		} {
			got := encodePlain(msg)
			if got == nil {
				continue // it is encoding/json's
			}
			if want := encodeAny(RowOf(msg), msg); string(got) != string(want) {
				t.Errorf("%s\nencoding/json: %s", got, want)
			}
		}
	})
}

// TestChatIsWrittenPlainly: the messages of a chat take the short way, in every script.
func TestChatIsWrittenPlainly(t *testing.T) {
	at := time.Now()
	for _, text := range []string{"hello", "退款 in 3 Tagen – ça va? 👍", "<b>&"} {
		m := ChatMessage{Type: "chat.message", MessageID: "1", Text: text, At: at}
		for _, msg := range []any{m, Ack{ID: "1", Seq: 1, At: &at}, ChatPage{ID: "1", Messages: []ChatMessage{m}}} {
			if encodePlain(msg) == nil {
				t.Errorf("%+v is not written plainly", msg)
			}
		}
	}
}
