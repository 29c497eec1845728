package server

import "time"

// Every limit of the gateway and the hub, in one place (security.md 4). Those of the wire itself are in protocol.
const (
	helloBytes       = 4 << 10          // of the first message
	flushTimeout     = 2 * time.Second  // for what waits for a socket that is being closed
	helloTimeout     = 5 * time.Second  // header, and the proof after the challenge
	pingEvery        = 12 * time.Second // server's WebSocket ping; below the common 60 s of proxies
	deadAfter        = 27 * time.Second // without any frame or pong
	writeTimeout     = 10 * time.Second
	outboxLen        = 256     // messages that may wait for one socket
	outboxBytes      = 1 << 20 // bytes that may wait for one socket
	maxUnproven      = 1000    // sockets that have not proved their key; the oldest makes room
	fdReserve        = 800     // file descriptors kept for files, relays and the store
	ipNew            = 200     // new sockets per address …
	ipNewWindow      = 10 * time.Second
	ipSockets        = 1000             // sockets per address
	failedProofs     = 10               // per address …
	failedWindow     = time.Minute      // … in this time
	failedPause      = 10 * time.Minute // then no proof is looked at for this time
	customerSockets  = 5                // per customer key; the oldest makes room (4503)
	agentSockets     = 16               // per device; the newest is refused
	socketPerSecond  = 50               // messages read per socket; reading slows down beyond
	socketBurst      = 200
	customerChat     = 5 // chat messages a second per customer, burst 20
	customerBurst    = 20
	agentChat        = 20 // chat messages a second per device, burst 100
	agentBurst       = 100
	refusalsToClose  = 200 // messages sent in spite of E_RATE, then 4003
	badToClose       = 3   // messages that break the protocol, then 4500
	queueCap         = 500
	queueShown       = 100 // items of one queue.state
	historyBytes     = 48 << 10
	maxReads         = 16 // store reads at once
	lapseAfterHold   = time.Minute
	lapseOneShot     = 15 * time.Minute
	requestExpires   = 60 * time.Second
	sessionUnbound   = 5 * time.Minute // both or one end without a socket; F15: the view ends then
	signalsPerWindow = 60              // session messages of one end …
	signalWindow     = 10 * time.Second
	maxCandidates    = 30 // of one end between two descriptions
	restartsPerMin   = 6  // ICE restarts
	maxDescription   = 16 << 10
	tickEvery        = 250 * time.Millisecond
	positionEvery    = 5 * time.Second
	eventsLen        = 1024 // of the hub's mailbox; who posts waits, the hub never does
	queueTextShown   = 100  // characters of the last text in a list, of a page's title 80, of its address 200
	typingPerSecond  = 5    // chat.typing of one socket that is passed on, burst 10
)
