package protocol

// Identifiers are types so that one can't be passed for another. All are opaque, printable ASCII, at most 64 bytes.
type (
	// ConnID names one socket; the server makes it.
	ConnID string
	// RequestID is the client's name for a request, a UUID from crypto.randomUUID() or equal. For chat.send it
	// is also the message's id, unique on (conversation, sender, id).
	RequestID string
	// ConversationID names one customer's thread with the team.
	ConversationID string
	// CustomerID names a customer (one device key).
	CustomerID string
	// AgentID names an agent, who may have several devices.
	AgentID string
	// DeviceID names one agent's device key.
	DeviceID string
	// SessionID names one peer session.
	SessionID string
)
