package protocol

// CloseCode is a WebSocket close code (RFC 6455, 7.4). 4000–4499: come back later. 4500–4999: stop and say why.
// A close reason is at most 123 bytes (RFC 6455, 5.5) and holds the error code.
type CloseCode int

// The close codes. 1001, 1009, 1012 and 1013 are the standard ones.
const (
	CloseGoingAway  CloseCode = 1001 // the server stops: come back
	CloseTooLarge   CloseCode = 1009 // a message over MaxMessageBytes: do not come back with it
	CloseRestart    CloseCode = 1012 // the server restarts: come back
	CloseTryLater   CloseCode = 1013 // busy: come back later
	CloseSlow       CloseCode = 4001 // this client read too slowly: come back and catch up
	CloseIdle       CloseCode = 4002 // no hello in time, or no sign of life: come back
	CloseRate       CloseCode = 4003 // too many messages or failed proofs: come back later
	CloseBadMessage CloseCode = 4500 // the third message that breaks the contract: stop
	CloseAuth       CloseCode = 4501 // the proof, the invite or the key is not accepted: stop
	CloseRevoked    CloseCode = 4502 // this device or agent was removed: stop
	CloseReplaced   CloseCode = 4503 // the customer opened a sixth tab; offer "use here": stop
	CloseVersion    CloseCode = 4504 // no common version: update, stop
)

// CloseInfo is one row of the documented table of close codes.
type CloseInfo struct {
	Code      CloseCode
	Name      string // short name, as in the TypeScript constant
	Reconnect bool   // whether a client comes back by itself
	Meaning   string
}

// CloseTable lists every close code in numerical order.
var CloseTable = []CloseInfo{
	{CloseGoingAway, "goingAway", true, "The server is going away."},
	{CloseTooLarge, "tooLarge", false, "A message was larger than 64 KiB."},
	{CloseRestart, "restart", true, "The server restarts."},
	{CloseTryLater, "tryLater", true, "The server is busy."},
	{CloseSlow, "slow", true, "This client read too slowly; it catches up when it comes back."},
	{CloseIdle, "idle", true, "No hello in time, or no sign of life for 27 s."},
	{CloseRate, "rate", true, "Too many messages, or too many failed proofs."},
	{CloseBadMessage, "badMessage", false, "Three messages broke the protocol."},
	{CloseAuth, "auth", false, "The proof, the invite or the key is not accepted."},
	{CloseRevoked, "revoked", false, "This device or agent was removed."},
	{CloseReplaced, "replaced", false, "The conversation was opened in another tab."},
	{CloseVersion, "version", false, "Client and server have no protocol version in common."},
}

// Reconnects reports whether a client that was closed with code should come back by itself.
func (c CloseCode) Reconnects() bool {
	for _, row := range CloseTable {
		if row.Code == c {
			return row.Reconnect
		}
	}
	return c < 4500
}

// Code is the stable code of an error message; programs branch on it, people read the text beside it.
type Code string

// The error codes.
const (
	CodeBadMessage  Code = "E_BAD_MESSAGE"
	CodeTooLarge    Code = "E_TOO_LARGE"
	CodeInternal    Code = "E_INTERNAL"
	CodeBusy        Code = "E_BUSY"
	CodeRetry       Code = "E_RETRY"
	CodeReadOnly    Code = "E_READONLY"
	CodeRate        Code = "E_RATE"
	CodeSlow        Code = "E_SLOW"
	CodeIdle        Code = "E_IDLE"
	CodeHelloTime   Code = "E_HELLO_TIMEOUT"
	CodeAuth        Code = "E_AUTH"
	CodeInvite      Code = "E_CODE"
	CodeVersion     Code = "E_VERSION"
	CodeRevoked     Code = "E_REVOKED"
	CodeReplaced    Code = "E_REPLACED"
	CodeTooMany     Code = "E_TOO_MANY"
	CodeIPLimit     Code = "E_IP_LIMIT"
	CodeForbidden   Code = "E_FORBIDDEN"
	CodeNotFound    Code = "E_NOT_FOUND"
	CodeTextTooLong Code = "E_TEXT_TOO_LONG"
	CodeIDReused    Code = "E_ID_REUSED"
	CodeConvClosed  Code = "E_CONV_CLOSED"
	CodeConvLimit   Code = "E_CONV_LIMIT"
	CodeQueueFull   Code = "E_QUEUE_FULL"
	CodeTaken       Code = "E_TAKEN"
	CodeNotOwner    Code = "E_NOT_OWNER"
	CodeNoAgent     Code = "E_NO_AGENT"
	CodeSession     Code = "E_SESSION"
	CodeSignalRate  Code = "E_SIGNAL_RATE"
	CodeSDP         Code = "E_SDP"
	CodeCandidate   Code = "E_CANDIDATE"
	CodeOffline     Code = "E_OFFLINE"
)

// CodeInfo is one row of the documented table of error codes.
type CodeInfo struct {
	Code    Code
	Meaning string
}

// CodeTable lists every error code.
var CodeTable = []CodeInfo{
	{CodeBadMessage, "The message breaks the protocol. The third one closes the socket with 4500."},
	{CodeTooLarge, "The message is over 64 KiB; the socket closes with 1009."},
	{CodeInternal, "Something went wrong on the server; its log has the details."},
	{CodeBusy, "The server is at a limit; try again after retryAfterMs."},
	{CodeRetry, "Whether the message was stored is not known; send it again with the same id."},
	{CodeReadOnly, "The disk is full; messages can't be saved right now."},
	{CodeRate, "Too many messages; wait retryAfterMs. Persisting closes with 4003."},
	{CodeSlow, "The client reads too slowly; closes with 4001."},
	{CodeIdle, "No sign of life for 27 s; closes with 4002."},
	{CodeHelloTime, "No valid hello within 5 s; closes with 4002."},
	{CodeAuth, "The key proof is not accepted; closes with 4501."},
	{CodeInvite, "The invite is unknown, used or expired; closes with 4501."},
	{CodeVersion, "No protocol version in common; closes with 4504."},
	{CodeRevoked, "The device or agent was removed; closes with 4502."},
	{CodeReplaced, "The conversation was opened in another tab; closes with 4503."},
	{CodeTooMany, "This device has too many sockets open."},
	{CodeIPLimit, "This address has too many sockets open."},
	{CodeForbidden, "This identity may not do that."},
	{CodeNotFound, "There is no such thing, or it is not yours to see."},
	{CodeTextTooLong, "A chat text is over 4,000 characters or 16,000 bytes."},
	{CodeIDReused, "This id was already used for another text."},
	{CodeConvClosed, "The conversation is closed and can't be reopened."},
	{CodeConvLimit, "Too many new conversations."},
	{CodeQueueFull, "500 people are waiting already."},
	{CodeTaken, "Another agent claimed the conversation first."},
	{CodeNotOwner, "The conversation is not claimed by you."},
	{CodeNoAgent, "No agent has this conversation yet."},
	{CodeSession, "The peer session does not allow this step now, or has ended."},
	{CodeSignalRate, "More than 60 session messages in 10 s, 30 candidates or 6 ICE restarts a minute."},
	{CodeSDP, "The session description is not acceptable."},
	{CodeCandidate, "The ICE candidate is not acceptable."},
	{CodeOffline, "The other side is not connected right now."},
}
