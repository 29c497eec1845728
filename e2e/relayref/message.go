package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// The text around a message's id; the sender writes it as its second field.
var (
	idBefore = []byte(`"id":"`)
	ackStart = []byte(`{"type":"ack","id":"`)
	ackEnd   = []byte(`","seq":1234567,"at":"2026-01-01T12:00:00.123456789Z"}`)
)

// ack answers a message without reading more of it than its id.
func ack(b []byte) []byte {
	_, id, _ := bytes.Cut(b, idBefore)
	id, _, _ = bytes.Cut(id, []byte{'"'})
	return slices.Concat(ackStart, id, ackEnd)
}

type send struct {
	Type         string `json:"type"`
	ID           string `json:"id"`
	Conversation string `json:"conversation"`
	Text         string `json:"text"`
}

type acked struct {
	Type string    `json:"type"`
	ID   string    `json:"id"`
	Seq  int64     `json:"seq"`
	At   time.Time `json:"at"`
}

type message struct {
	Type         string    `json:"type"`
	Conversation string    `json:"conversation"`
	Seq          int64     `json:"seq"`
	MessageID    string    `json:"messageId"`
	From         string    `json:"from"`
	Sender       string    `json:"sender"`
	Text         string    `json:"text"`
	At           time.Time `json:"at"`
}

// chat reads a message and writes the delivery and the ack as the real server words them.
func chat(b []byte, seq int64) (delivery, answer []byte) {
	var in send
	err := json.Unmarshal(b, &in)
	at := time.Now().UTC()
	if err == nil {
		delivery, err = json.Marshal(message{"chat.message", in.Conversation, seq, in.ID, "customer", in.Conversation, in.Text, at})
	}
	if err == nil {
		answer, err = json.Marshal(acked{"ack", in.ID, seq, at})
	}
	if err != nil { // the load generator is wrong
		fmt.Fprintln(os.Stderr, "relayref:", err)
		os.Exit(1)
	}
	return delivery, answer
}
