// Package protocol is the wire contract of Lookalong: every message that a customer, an agent, the signaling
// server and the viewer page may send, in one [Table]. The TypeScript types, docs/protocol.md and the tests of
// both sides are generated from it or checked against it. Standard library only.
//
// # Signaling: one WebSocket, JSON text frames, subprotocol "lookalong.v1"
//
//	customer                     signaling                        agent
//	   |<-- hello.challenge ---------|---------- hello.challenge --->|
//	   |--- hello.proof ------------>|<-------------- hello.proof ---|
//	   |<-- hello.welcome -----------|------------ hello.welcome --->|
//	   |--- conversation.open ------>|                               |
//	   |<-- conversation.state ------|---------- queue.state ------->|
//	   |--- chat.send -------------->| (commit)                      |
//	   |<-- ack{seq} ----------------|                               |
//	   |                             |<-------------- queue.claim ---|
//	   |<-- conversation.state ------|----- conversation.state ----->|
//	   |                             |<---------------- chat.send ---|
//	   |<-- chat.message ------------| (commit)  ------------ ack -->|
//	   |--- session.request -------->|------- session.state -------->|
//	   |<-- session.state -----------|<----------- session.accept ---|
//	   |<-- session.offer -----------|<------------ session.offer ---|
//	   |--- session.answer --------->|-------- session.answer ------>|
//	   |<-> session.candidate <----->|<----> session.candidate <---->|
//
// # Peer to peer: pre-negotiated data channels, end to end encrypted
//
//	customer                                                      agent
//	   |<============ control (id 1): peer.ping, peer.pong ==========>|
//	   |<============ direct  (id 2): direct.message, direct.ack ====>|
//	   |<============ copies  (id 5): the same, once more ===========>|
//	   |<-- control: screen.codecs -----------------------------------|
//	   |--- control: screen.config ---------------------------------->|
//	   |--- control: lane.hello ------------------------------------->|
//	   |<-- control: lane.offer --------------------------------------|
//	   |--- control: lane.answer ------------------------------------>|
//	   |<-> control: lane.candidate, lane.closed <------------------->|
//	   |==== screen (id 3): chunks of encoded frames, stills ========>|
//	   |==== lane (a connection of its own): fragments of frames ====>|
//	   |<=== lane: reports of what has arrived =======================|
//	   |<-- control: screen.feedback, screen.keyframe ----------------|
//
// Frames go over screen until a lane is open, and where the other end can't use one. A lane is unordered and never
// retransmits: its ends repair what is lost by parity ([Fragment]) and by sending it again as new packets ([Report]).
//
// Rules. A request carries the client's id and gets exactly one answer with that id: the row's Reply, or
// "error". Client to server is strict: an unknown type or field, a duplicate key, invalid UTF-8 or trailing
// bytes are an error, and the third such message closes the socket with [CloseBadMessage]. Server to client and
// peer to peer ignore unknown fields and count unknown types. Sequence numbers are dense in a conversation, so
// a client sees a gap and asks for it with chat.history. An ack for chat.send means that the message is on disk.
package protocol
