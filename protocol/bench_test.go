package protocol_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lookalong/lookalong/protocol"
)

var send = protocol.Encode(protocol.ChatSend{ID: "3f2b8a52-9a5e-4c2b-8d53-3f1f0a8a9d11", Conversation: "k3v5zjv2q7sxp4w6y8b2d4f6hj", Text: strings.Repeat("x", 200)})

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := protocol.Decode(send, protocol.Customer); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	msg := protocol.ChatMessage{Conversation: "k3v5zjv2q7sxp4w6y8b2d4f6hj", Seq: 7, MessageID: "3f2b8a52-9a5e-4c2b-8d53-3f1f0a8a9d11", From: "customer", Sender: "k3v5zjv2q7sxp4w6y8b2d4f6hj", Text: strings.Repeat("x", 200), At: time.Now()}
	for b.Loop() {
		protocol.Encode(msg)
	}
}
