package protocol

import "time"

// The payloads of the signaling socket. A field without omitempty is required. The tag v gives limits:
// max=N characters (strings) or items (lists), min=N and max=N (numbers), enum=a|b.

// Version is the protocol version that this build speaks; Versions are all that it accepts.
const Version = 1

// Versions lists the versions that this build accepts, newest first.
var Versions = []int{Version}

// Subprotocol is the WebSocket subprotocol (RFC 6455, 1.9).
const Subprotocol = "lookalong.v1"

// HelloChallenge opens every connection.
type HelloChallenge struct {
	Type       string    `json:"type"`
	Nonce      string    `json:"nonce" v:"max=64"` // 32 random bytes, base64url without padding; good once, for 5 s
	ServerTime time.Time `json:"serverTime"`
	Versions   []int     `json:"versions" v:"max=16"`
}

// HelloProof proves possession of the device key. See HelloBytes for what is signed.
type HelloProof struct {
	Type    string `json:"type"`
	Version int    `json:"version" v:"min=1,max=1000"`
	Role    string `json:"role" v:"enum=customer|agent|native"`
	Pub     string `json:"pub" v:"max=128"`              // customer: P-256 point, 65 bytes uncompressed; others: Ed25519, 32 bytes; base64url
	CNonce  string `json:"cnonce" v:"max=64"`            // 16 to 32 random bytes of the client, base64url
	Host    string `json:"host" v:"max=255"`             // host[:port] that the client itself dialled
	Sig     string `json:"sig" v:"max=128"`              // 64 bytes, base64url: raw r‖s, or Ed25519
	Invite  string `json:"invite,omitempty" v:"max=128"` // agent only, on the first login
	Device  string `json:"device,omitempty" v:"max=64"`  // agent only, with an invite: the device's label
	Locale  string `json:"locale,omitempty" v:"max=35"`  // customer: BCP 47 tag of the page's language
}

// Limits tells a client what the server accepts.
type Limits struct {
	MessageBytes int `json:"messageBytes"` // of one WebSocket message
	TextChars    int `json:"textChars"`    // of one chat text, in Unicode code points
	TextBytes    int `json:"textBytes"`    // of one chat text, in UTF-8 bytes
}

// AgentInfo is how an agent appears to others.
type AgentInfo struct {
	ID     AgentID `json:"id"`
	Name   string  `json:"name" v:"max=40"`
	Status string  `json:"status,omitempty" v:"enum=available|busy|away|offline"`
}

// HelloWelcome ends the hello.
type HelloWelcome struct {
	Type              string     `json:"type"`
	Connection        ConnID     `json:"connection"`
	Version           int        `json:"version"`
	Generation        int        `json:"generation"` // of the identity; a revocation raises it
	ServerTime        time.Time  `json:"serverTime"`
	ReconnectSpreadMs int64      `json:"reconnectSpreadMs"` // the first reconnect is tried at a random moment within this time
	SiteName          string     `json:"siteName"`
	Limits            Limits     `json:"limits"`
	Customer          CustomerID `json:"customer,omitempty"`
	Agent             *AgentInfo `json:"agent,omitempty"`
	Role              string     `json:"role,omitempty" v:"enum=agent|lead|admin"`
	Device            DeviceID   `json:"device,omitempty"`
}

// Ping asks for a sign of life; the answer is Pong.
type Ping struct {
	Type string    `json:"type"`
	ID   RequestID `json:"id" v:"max=64"`
}

// Pong answers Ping.
type Pong struct {
	Type string    `json:"type"`
	ID   RequestID `json:"id"`
}

// Ack says that a request was done. For chat.send: that the message is on disk, with its number and time.
type Ack struct {
	Type string     `json:"type"`
	ID   RequestID  `json:"id"`
	Seq  int64      `json:"seq,omitempty"`
	At   *time.Time `json:"at,omitempty"`
}

// Error refuses a request (with its id) or reports a bad message.
type Error struct {
	Type         string    `json:"type"`
	ID           RequestID `json:"id,omitempty"`
	Code         Code      `json:"code"`
	Text         string    `json:"text"`
	RetryAfterMs int64     `json:"retryAfterMs,omitempty"`
}

// ConversationOpen asks for the customer's conversation: the open one, else the one closed within 7 days, else a new one.
type ConversationOpen struct {
	Type string    `json:"type"`
	ID   RequestID `json:"id" v:"max=64"`
}

// ConversationState is the whole state of a conversation; sent as an answer (with id) and at each change (without).
type ConversationState struct {
	Type         string         `json:"type"`
	ID           RequestID      `json:"id,omitempty"`
	Conversation ConversationID `json:"conversation"`
	State        string         `json:"state" v:"enum=waiting|claimed|closed"`
	Missed       bool           `json:"missed,omitempty"`
	LastSeq      int64          `json:"lastSeq"`
	Position     int            `json:"position,omitempty"` // 1 = next; while waiting
	WaitingSince *time.Time     `json:"waitingSince,omitempty"`
	Agent        *AgentInfo     `json:"agent,omitempty"` // who has the claim
	Customer     CustomerID     `json:"customer,omitempty"`
	Presence     string         `json:"presence,omitempty" v:"enum=online|idle|offline"` // of the customer; to agents
	Page         *Page          `json:"page,omitempty"`                                  // of the customer; to agents
	LapsesAt     *time.Time     `json:"lapsesAt,omitempty"`                              // when the claim lapses; to agents
	Marks        Marks          `json:"marks"`
	Session      SessionID      `json:"session,omitempty"` // the live peer session
}

// Marks are the highest sequence numbers that each side has received and read. They only rise.
type Marks struct {
	CustomerReceived int64 `json:"customerReceived"`
	CustomerRead     int64 `json:"customerRead"`
	AgentReceived    int64 `json:"agentReceived"`
	AgentRead        int64 `json:"agentRead"`
}

// ConversationClose closes a conversation.
type ConversationClose struct {
	Type         string         `json:"type"`
	ID           RequestID      `json:"id" v:"max=64"`
	Conversation ConversationID `json:"conversation" v:"max=64"`
}

// ConversationWatch subscribes this connection to a conversation. Hold keeps the agent's own claim alive while
// the connection is open. Reading a conversation that is not one's own is audited and shown to colleagues.
type ConversationWatch struct {
	Type         string         `json:"type"`
	ID           RequestID      `json:"id" v:"max=64"`
	Conversation ConversationID `json:"conversation" v:"max=64"`
	Hold         bool           `json:"hold,omitempty"`
}

// ConversationList asks for conversations: mine (claimed by me), waiting, or recent (any state, newest first, at most 100).
type ConversationList struct {
	Type  string    `json:"type"`
	ID    RequestID `json:"id" v:"max=64"`
	Scope string    `json:"scope" v:"enum=mine|waiting|recent"`
}

// ConversationItems answers ConversationList.
type ConversationItems struct {
	Type  string      `json:"type"`
	ID    RequestID   `json:"id"`
	Items []QueueItem `json:"items"`
}

// ChatSend adds a message. Its id names the message for ever: sending the same again gives the same ack.
type ChatSend struct {
	Type         string         `json:"type"`
	ID           RequestID      `json:"id" v:"max=64"`
	Conversation ConversationID `json:"conversation" v:"max=64"`
	Text         string         `json:"text"` // 1 to 4,000 code points, at most 16,000 bytes; E_TEXT_TOO_LONG
}

// ChatMessage is one stored message.
type ChatMessage struct {
	Type         string         `json:"type"`
	Conversation ConversationID `json:"conversation"`
	Seq          int64          `json:"seq"`
	MessageID    RequestID      `json:"messageId"`
	From         string         `json:"from" v:"enum=customer|agent|system"`
	Sender       string         `json:"sender"` // CustomerID or AgentID
	Name         string         `json:"name,omitempty"`
	Text         string         `json:"text"`
	At           time.Time      `json:"at"`
}

// ChatHistory asks for stored messages: those after a number (ascending), or the last ones before a number.
type ChatHistory struct {
	Type         string         `json:"type"`
	ID           RequestID      `json:"id" v:"max=64"`
	Conversation ConversationID `json:"conversation" v:"max=64"`
	After        int64          `json:"after,omitempty" v:"min=0"`
	Before       int64          `json:"before,omitempty" v:"min=0"` // 0 = not given; then After counts
	Limit        int            `json:"limit" v:"min=1,max=100"`
}

// ChatPage answers ChatHistory, ascending by seq. LastSeq is the conversation's last number at that moment; a
// page may be shorter than the limit (it is cut at about 48 KiB), so a client asks on until it has LastSeq.
type ChatPage struct {
	Type         string         `json:"type"`
	ID           RequestID      `json:"id"`
	Conversation ConversationID `json:"conversation"`
	Messages     []ChatMessage  `json:"messages"`
	LastSeq      int64          `json:"lastSeq"`
}

// ChatMark tells how far this side has received and read. Not answered.
type ChatMark struct {
	Type         string         `json:"type"`
	Conversation ConversationID `json:"conversation" v:"max=64"`
	Received     int64          `json:"received" v:"min=0"`
	Read         int64          `json:"read" v:"min=0"`
}

// ChatMarks tells the members the marks of both sides.
type ChatMarks struct {
	Type         string         `json:"type"`
	Conversation ConversationID `json:"conversation"`
	Marks        Marks          `json:"marks"`
}

// ChatTyping says that this side is typing, or stopped. Repeated at most every 3 s; not durable, not answered.
type ChatTyping struct {
	Type         string         `json:"type"`
	Conversation ConversationID `json:"conversation" v:"max=64"`
	Typing       bool           `json:"typing"`
}

// Page is the page of ours that the customer has open.
type Page struct {
	Title  string `json:"title" v:"max=200"`
	URL    string `json:"url" v:"max=1000"` // without query and fragment
	Active bool   `json:"active"`           // the tab is visible and in front
}

// PresencePage tells the customer's page and whether its tab is active. Not answered.
type PresencePage struct {
	Type string `json:"type"`
	Page Page   `json:"page"`
}

// PresenceStatus sets the agent's availability.
type PresenceStatus struct {
	Type   string    `json:"type"`
	ID     RequestID `json:"id" v:"max=64"`
	Status string    `json:"status" v:"enum=available|busy|away"`
}

// PresenceList asks for all agents who are known, with their status.
type PresenceList struct {
	Type string    `json:"type"`
	ID   RequestID `json:"id" v:"max=64"`
}

// PresenceAgents answers PresenceList.
type PresenceAgents struct {
	Type   string      `json:"type"`
	ID     RequestID   `json:"id"`
	Agents []AgentInfo `json:"agents"`
}

// PresenceTeam tells a customer whether anybody is there, and how many wait at that moment.
type PresenceTeam struct {
	Type      string `json:"type"`
	Available int    `json:"available"` // agents that are available
	Waiting   int    `json:"waiting"`   // conversations in the queue
}

// PresenceCustomer tells the members of a conversation about its customer.
type PresenceCustomer struct {
	Type         string         `json:"type"`
	Conversation ConversationID `json:"conversation"`
	Presence     string         `json:"presence" v:"enum=online|idle|offline"`
	Page         *Page          `json:"page,omitempty"`
}

// PresenceAgent tells the members of a conversation about the agent who has claimed it.
type PresenceAgent struct {
	Type         string         `json:"type"`
	Conversation ConversationID `json:"conversation"`
	Agent        AgentInfo      `json:"agent"`
}

// PresenceTyping tells the other members that somebody is typing. It lapses after 6 s.
type PresenceTyping struct {
	Type         string         `json:"type"`
	Conversation ConversationID `json:"conversation"`
	From         string         `json:"from" v:"enum=customer|agent"`
	Name         string         `json:"name,omitempty"`
	Typing       bool           `json:"typing"`
}

// QueueList asks for the queue; Watch subscribes this connection to its changes.
type QueueList struct {
	Type  string    `json:"type"`
	ID    RequestID `json:"id" v:"max=64"`
	Watch bool      `json:"watch,omitempty"`
}

// QueueItem is one conversation in a list.
type QueueItem struct {
	Conversation ConversationID `json:"conversation"`
	Customer     CustomerID     `json:"customer"`
	State        string         `json:"state" v:"enum=waiting|claimed|closed"`
	Missed       bool           `json:"missed,omitempty"`
	Since        time.Time      `json:"since"` // waiting since, or of the last message
	Presence     string         `json:"presence" v:"enum=online|idle|offline"`
	Page         *Page          `json:"page,omitempty"`
	LastSeq      int64          `json:"lastSeq"`
	LastText     string         `json:"lastText,omitempty"` // at most 100 characters
	Unread       int64          `json:"unread,omitempty"`   // messages that the agents' side has not read
	Agent        *AgentInfo     `json:"agent,omitempty"`
	LapsesAt     *time.Time     `json:"lapsesAt,omitempty"`
}

// QueueState is the queue, oldest first, at most 100 items of Total. An answer (with id), then at each change.
type QueueState struct {
	Type  string      `json:"type"`
	ID    RequestID   `json:"id,omitempty"`
	Total int         `json:"total"`
	Items []QueueItem `json:"items"`
}

// QueueClaim takes a conversation; without one, the oldest waiting. Exactly one agent wins; the others get
// E_TAKEN. With Hold the claim lives while this connection is open and 60 s more; else for HoldMs (0 = 15 min).
type QueueClaim struct {
	Type         string         `json:"type"`
	ID           RequestID      `json:"id" v:"max=64"`
	Conversation ConversationID `json:"conversation,omitempty" v:"max=64"`
	Hold         bool           `json:"hold,omitempty"`
	HoldMs       int64          `json:"holdMs,omitempty" v:"min=0,max=86400000"`
}

// QueueRelease puts a claimed conversation back into the queue.
type QueueRelease struct {
	Type         string         `json:"type"`
	ID           RequestID      `json:"id" v:"max=64"`
	Conversation ConversationID `json:"conversation" v:"max=64"`
}
