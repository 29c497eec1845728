package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
)

// MaxMessageBytes is the size limit of one signaling message (security.md 4: SDP is at most 16 KiB).
const MaxMessageBytes = 64 << 10

// Sender says who may send a message; a row may allow several.
type Sender uint

// The senders. A native customer counts as Customer.
const (
	Customer   Sender = 1 << iota // to the server
	Agent                         // to the server
	Server                        // to customers and agents
	Peer                          // customer and agent to each other, on a data channel
	ViewerPage                    // the viewer page to the agent's program
	ViewerHost                    // the agent's program to the viewer page
)

var senderNames = []struct {
	s    Sender
	name string
}{{Customer, "customer"}, {Agent, "agent"}, {Server, "server"}, {Peer, "peer"}, {ViewerPage, "viewerPage"}, {ViewerHost, "viewerHost"}}

// Names lists the senders in s.
func (s Sender) Names() []string {
	var out []string
	for _, n := range senderNames {
		if s&n.s != 0 {
			out = append(out, n.name)
		}
	}
	return out
}

// Row describes one message type.
type Row struct {
	Type   string
	From   Sender
	Reply  string // type of the answer to a request; empty: not answered
	Max    int    // bytes of the whole message
	Strict bool   // unknown fields are refused from every sender
	Zero   any    // a struct whose first field is Type

	typ   reflect.Type
	shape *shape
}

const (
	small = 2 << 10
	text  = 56 << 10 // 4,000 code points, each at worst a pair of escaped surrogates (12 bytes)
	large = MaxMessageBytes
)

// Table is every message there is.
var Table = []Row{
	{Type: "hello.challenge", From: Server, Max: small, Zero: HelloChallenge{}},
	{Type: "hello.proof", From: Customer | Agent, Reply: "hello.welcome", Max: small, Zero: HelloProof{}},
	{Type: "hello.welcome", From: Server, Max: small, Zero: HelloWelcome{}},
	{Type: "ping", From: Customer | Agent, Reply: "pong", Max: small, Zero: Ping{}},
	{Type: "pong", From: Server, Max: small, Zero: Pong{}},
	{Type: "ack", From: Server, Max: small, Zero: Ack{}},
	{Type: "error", From: Server, Max: small, Zero: Error{}},

	{Type: "conversation.open", From: Customer, Reply: "conversation.state", Max: small, Zero: ConversationOpen{}},
	{Type: "conversation.state", From: Server, Max: 8 << 10, Zero: ConversationState{}},
	{Type: "conversation.close", From: Customer | Agent, Reply: "ack", Max: small, Zero: ConversationClose{}},
	{Type: "conversation.watch", From: Agent, Reply: "conversation.state", Max: small, Zero: ConversationWatch{}},
	{Type: "conversation.list", From: Agent, Reply: "conversation.items", Max: small, Zero: ConversationList{}},
	{Type: "conversation.items", From: Server, Max: 512 << 10, Zero: ConversationItems{}},

	{Type: "chat.send", From: Customer | Agent, Reply: "ack", Max: text, Zero: ChatSend{}},
	{Type: "chat.message", From: Server, Max: large, Zero: ChatMessage{}},
	{Type: "chat.history", From: Customer | Agent, Reply: "chat.page", Max: small, Zero: ChatHistory{}},
	{Type: "chat.page", From: Server, Max: 512 << 10, Zero: ChatPage{}},
	{Type: "chat.mark", From: Customer | Agent, Max: small, Zero: ChatMark{}},
	{Type: "chat.marks", From: Server, Max: small, Zero: ChatMarks{}},
	{Type: "chat.typing", From: Customer | Agent, Max: small, Zero: ChatTyping{}},

	{Type: "presence.page", From: Customer, Max: 8 << 10, Zero: PresencePage{}},
	{Type: "presence.status", From: Agent, Reply: "ack", Max: small, Zero: PresenceStatus{}},
	{Type: "presence.list", From: Agent, Reply: "presence.agents", Max: small, Zero: PresenceList{}},
	{Type: "presence.agents", From: Server, Max: 512 << 10, Zero: PresenceAgents{}},
	{Type: "presence.team", From: Server, Max: small, Zero: PresenceTeam{}},
	{Type: "presence.customer", From: Server, Max: 8 << 10, Zero: PresenceCustomer{}},
	{Type: "presence.agent", From: Server, Max: small, Zero: PresenceAgent{}},
	{Type: "presence.typing", From: Server, Max: small, Zero: PresenceTyping{}},

	{Type: "queue.list", From: Agent, Reply: "queue.state", Max: small, Zero: QueueList{}},
	{Type: "queue.state", From: Server, Max: 512 << 10, Zero: QueueState{}},
	{Type: "queue.claim", From: Agent, Reply: "conversation.state", Max: small, Zero: QueueClaim{}},
	{Type: "queue.release", From: Agent, Reply: "ack", Max: small, Zero: QueueRelease{}},

	{Type: "session.request", From: Customer | Agent, Reply: "session.state", Max: small, Zero: SessionRequest{}},
	{Type: "session.state", From: Server, Max: 8 << 10, Zero: SessionState{}},
	{Type: "session.accept", From: Customer | Agent, Reply: "session.state", Max: small, Zero: SessionAccept{}},
	{Type: "session.decline", From: Customer | Agent, Reply: "ack", Max: small, Zero: SessionDecline{}},
	{Type: "session.rejoin", From: Customer | Agent, Reply: "session.state", Max: small, Zero: SessionRejoin{}},
	{Type: "session.offer", From: Agent | Server, Max: 40 << 10, Strict: true, Zero: SessionOffer{}},
	{Type: "session.answer", From: Customer | Server, Max: 40 << 10, Strict: true, Zero: SessionAnswer{}},
	{Type: "session.candidate", From: Customer | Agent | Server, Max: small, Strict: true, Zero: SessionCandidate{}},
	{Type: "session.restart", From: Customer | Server, Max: small, Zero: SessionRestart{}},
	{Type: "session.report", From: Agent, Max: small, Zero: SessionReport{}},
	{Type: "session.end", From: Customer | Agent, Reply: "ack", Max: small, Zero: SessionEnd{}},

	{Type: "consent.ask", From: Agent | Server, Reply: "ack", Max: small, Strict: true, Zero: ConsentAsk{}},
	{Type: "consent.state", From: Customer | Server, Max: small, Strict: true, Zero: ConsentState{}},

	{Type: "peer.ping", From: Peer, Max: small, Zero: PeerPing{}},
	{Type: "peer.pong", From: Peer, Max: small, Zero: PeerPong{}},
	{Type: "peer.bye", From: Peer, Max: small, Zero: PeerBye{}},
	{Type: "lane.hello", From: Peer, Max: small, Zero: LaneHello{}},
	{Type: "lane.offer", From: Peer, Max: small, Strict: true, Zero: LaneOffer{}},
	{Type: "lane.answer", From: Peer, Max: small, Strict: true, Zero: LaneAnswer{}},
	{Type: "lane.candidate", From: Peer, Max: small, Strict: true, Zero: LaneCandidate{}},
	{Type: "lane.closed", From: Peer, Max: small, Zero: LaneClosed{}},
	{Type: "screen.codecs", From: Peer, Max: small, Zero: ScreenCodecs{}},
	{Type: "screen.config", From: Peer, Max: small, Zero: ScreenConfig{}},
	{Type: "screen.removed", From: Peer, Max: small, Zero: ScreenRemoved{}},
	{Type: "screen.keyframe", From: Peer, Max: small, Zero: ScreenKeyframe{}},
	{Type: "screen.feedback", From: Peer, Max: small, Zero: ScreenFeedback{}},
	{Type: "screen.still", From: Peer, Max: small, Zero: ScreenStill{}},
	{Type: "screen.refused", From: Peer, Max: small, Zero: ScreenRefused{}},
	{Type: "screen.level", From: Peer, Max: small, Zero: ScreenLevel{}},
	{Type: "screen.pause", From: Peer, Max: small, Zero: ScreenPause{}},
	{Type: "screen.stopped", From: Peer, Max: small, Zero: ScreenStopped{}},
	{Type: "record.state", From: Peer, Max: small, Strict: true, Zero: RecordState{}},
	{Type: "direct.hello", From: Peer, Max: small, Zero: DirectHello{}},
	{Type: "direct.message", From: Peer, Max: MaxChannelBytes, Zero: DirectMessage{}},
	{Type: "direct.ack", From: Peer, Max: small, Zero: DirectAck{}},

	{Type: "viewer.hello", From: ViewerPage, Max: small, Zero: ViewerHello{}},
	{Type: "viewer.welcome", From: ViewerHost, Max: small, Zero: ViewerWelcome{}},
	{Type: "viewer.codecs", From: ViewerPage, Max: small, Zero: ViewerCodecs{}},
	{Type: "viewer.config", From: ViewerHost, Max: small, Zero: ViewerConfig{}},
	{Type: "viewer.removed", From: ViewerHost, Max: small, Zero: ViewerRemoved{}},
	{Type: "viewer.state", From: ViewerHost, Max: small, Zero: ViewerState{}},
	{Type: "viewer.painted", From: ViewerPage, Max: small, Zero: ViewerPainted{}},
	{Type: "viewer.keyframe", From: ViewerPage, Max: small, Zero: ViewerKeyframe{}},
	{Type: "viewer.still", From: ViewerPage, Max: small, Zero: ViewerStill{}},
	{Type: "viewer.refused", From: ViewerHost, Max: small, Zero: ViewerRefused{}},
	{Type: "viewer.level", From: ViewerHost, Max: small, Zero: ViewerLevel{}},
}

var (
	rowByType = map[string]*Row{}
	rowByZero = map[reflect.Type]*Row{}
)

func init() {
	for i := range Table {
		row := &Table[i]
		row.typ = reflect.TypeOf(row.Zero)
		row.shape = shapeOf(row.typ)
		rowByType[row.Type] = row
		rowByZero[row.typ] = row
	}
}

// RowOf finds the row of a message value, or nil.
func RowOf(msg any) *Row { return rowByZero[reflect.TypeOf(msg)] }

// RowByType finds the row of a type, or nil.
func RowByType(t string) *Row { return rowByType[t] }

// Encode writes a message of Table as one JSON object with its type. It panics for a value that is not a
// message: that is a mistake in the program, never in its input.
func Encode(msg any) []byte {
	row := RowOf(msg)
	if row == nil {
		panic(fmt.Sprintf("protocol: %T is not a message", msg))
	}
	if b := encodePlain(msg); b != nil {
		return b
	}
	return encodeAny(row, msg)
}

func encodeAny(row *Row, msg any) []byte {
	v := reflect.New(reflect.TypeOf(msg)).Elem()
	v.Set(reflect.ValueOf(msg))
	v.Field(0).SetString(row.Type)
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.out.Reset()
	if err := e.Encode(v.Addr().Interface()); err != nil {
		panic(fmt.Sprintf("protocol: encode %s: %v", row.Type, err))
	}
	return bytes.Clone(bytes.TrimSuffix(e.out.Bytes(), []byte("\n")))
}

type encoder struct {
	*json.Encoder
	out bytes.Buffer
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.Encoder = json.NewEncoder(&e.out)
	e.SetEscapeHTML(false) // never put into HTML; < would become six bytes
	return e
}}
