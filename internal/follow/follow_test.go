package follow

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/protocol"
)

func TestFollower(t *testing.T) {
	var got []string
	var asked []int64
	f := New(2, func(after int64) { asked = append(asked, after) }, func(m protocol.ChatMessage) { got = append(got, m.Text) })
	msg := func(seq int64) protocol.ChatMessage { return protocol.ChatMessage{Seq: seq, Text: fmt.Sprint(seq)} }
	want := func(what, texts string, questions ...int64) {
		t.Helper()
		if strings.Join(got, " ") != texts || fmt.Sprint(asked) != fmt.Sprint(questions) {
			t.Fatalf("%s: got %v, asked %v; want %s, %v", what, got, asked, texts, questions)
		}
		got, asked = nil, nil
	}
	f.Message(msg(2))
	want("an old one", "")
	f.Message(msg(3))
	want("the next", "3")
	f.Message(msg(6))
	f.Message(msg(5))
	want("a gap, asked once", "", 3)
	f.Page(protocol.ChatPage{Messages: []protocol.ChatMessage{msg(4)}, LastSeq: 8})
	want("the page closes it, and asks on", "4 5 6", 6)
	f.Page(protocol.ChatPage{Messages: []protocol.ChatMessage{msg(6), msg(7)}, LastSeq: 8})
	want("overlap", "7", 7)
	f.Page(protocol.ChatPage{LastSeq: 8})
	want("a page without progress is not asked again", "")
	f.Message(msg(9))
	want("a gap again", "", 7)
	f.Failed()
	f.CatchUp()
	want("after a lost answer", "", 7)
	f.Page(protocol.ChatPage{Messages: []protocol.ChatMessage{msg(8)}, LastSeq: 9})
	want("what was held follows", "8 9")
	f.Seen(12)
	f.Seen(11)
	f.Message(msg(12))
	f.Message(msg(13))
	want("after what was shown otherwise", "13")
	if f.Last() != 13 {
		t.Errorf("the last is %d", f.Last())
	}
}
