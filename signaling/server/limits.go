package server

import (
	"errors"
	"reflect"
	"time"
)

// What the security design fixes: no configuration changes these. Those of the wire itself are in protocol.
const (
	helloBytes     = 4 << 10  // of the first message
	headerBytes    = 8 << 10  // of an HTTP request, its first line included
	headerSlack    = 4 << 10  // which net/http adds to the limit that it is given
	urlBytes       = 2 << 10  // of an HTTP request's target
	bodyBytes      = 64 << 10 // of an HTTP request
	badToClose     = 3        // messages that break the protocol, then 4500
	maxCandidates  = 30       // of one end between two descriptions
	maxDescription = 16 << 10
)

// What is not a limit that an operator could want to move.
const (
	flushTimeout   = 2 * time.Second  // for what waits for a socket that is being closed
	fdReserve      = 800              // file descriptors kept for files, relays and the store
	minSockets     = 100              // that are served even where the file limit leaves no room for the reserve
	maxFarewells   = 100              // refused sockets that are told why at once; others get a bare HTTP answer
	maxHTTP        = 1000             // connections that speak plain HTTP or nothing yet; the one that waited longest makes room
	idleTimeout    = 15 * time.Second // of an HTTP connection between two requests
	outboxLen      = 256              // messages that may wait for one socket
	outboxBytes    = 1 << 20          // bytes that may wait for one socket
	ipNewWindow    = 10 * time.Second
	failedWindow   = time.Minute
	queueShown     = 100 // items of one queue.state
	historyBytes   = 48 << 10
	maxReads       = 16 // store reads at once
	lapseAfterHold = time.Minute
	lapseOneShot   = 15 * time.Minute
	requestExpires = 60 * time.Second
	sessionUnbound = 5 * time.Minute // both or one end without a socket; F15: the view ends then
	signalWindow   = 10 * time.Second
	tickEvery      = 250 * time.Millisecond
	positionEvery  = 5 * time.Second
	eventsLen      = 1024  // of the hub's mailbox; who posts waits, the hub never does
	queueTextShown = 100   // characters of the last text in a list, of a page's title 80, of its address 200
	spreadPerSec   = 2000  // clients that come back in one second after all were cut: a storm of n is spread over n ÷ 2,000 s
	knownCustomers = 50000 // identities kept in memory for those who come back
	tcpUserTimeout = 30 * time.Second
)

// Limits of the hub while they are constants.
const (
	customerSockets  = 5
	agentSockets     = 16
	customerChat     = 5
	customerBurst    = 20
	agentChat        = 20
	agentBurst       = 100
	refusalsToClose  = 200
	queueCap         = 500
	signalsPerWindow = 60
	restartsPerMin   = 6
	typingPerSecond  = 5
)

// Limits are the limits of the gateway and the hub that may be configured. The zero Limits means DefaultLimits; one
// that is not zero must have every field set.
type Limits struct {
	Hello time.Duration // header, and the proof after the challenge
	Ping  time.Duration // between the server's WebSocket pings; below the 60 s after which proxies cut
	Dead  time.Duration // without any frame or pong, then 4002
	Write time.Duration // for one message to leave

	Unproven        int           // sockets that have not sent their proof for a second (eight times as many of any age); the oldest makes room
	Proofs          int           // proofs checked at once; 0: twice the number of cores
	IPSockets       int           // sockets per address (IPv6: /64)
	IPNew           int           // new sockets per address in 10 s
	FailedProofs    int           // per address in a minute, then none is looked at for FailedPause
	FailedPause     time.Duration //
	CustomerSockets int           // per customer's key; the oldest makes room (4503)
	AgentSockets    int           // per device; the newest is refused

	OutboxLen   int // messages that may wait for one socket, then 4001
	OutboxBytes int // bytes that may wait for one socket, then 4001

	SocketPerSecond, SocketBurst     int // messages read per socket; reading slows down beyond
	CustomerPerSecond, CustomerBurst int // chat messages of one customer
	CustomerPerHour                  int
	AgentPerSecond, AgentBurst       int // chat messages of one device
	GlobalPerSecond, GlobalBurst     int // chat messages of all together
	TypingPerSecond                  int // chat.typing of one socket that is passed on; the burst is twice as much
	// RefusalsToClose messages sent in spite of E_RATE, one after the other, close with 4003. A client that comes back with
	// a full outbox is refused for each until the announced time: few would close those who were offline longest.
	RefusalsToClose int

	// New ones of one address (IPv6: /64). A customer begins one a week at most: until then a message reopens the last.
	ConversationsPerHourIP int
	Queue                  int // conversations that wait

	SignalsPerWindow int // session messages of one end in 10 s
	RestartsPerMin   int // ICE restarts of a session
}

// DefaultLimits are the values of the security design's table.
func DefaultLimits() Limits {
	return Limits{
		Hello: 5 * time.Second, Ping: 12 * time.Second, Dead: 27 * time.Second, Write: 10 * time.Second,
		Unproven: 1000, IPSockets: 1000, IPNew: 200, FailedProofs: 10, FailedPause: 10 * time.Minute,
		CustomerSockets: customerSockets, AgentSockets: agentSockets,
		OutboxLen: outboxLen, OutboxBytes: outboxBytes,
		SocketPerSecond: 50, SocketBurst: 200,
		CustomerPerSecond: customerChat, CustomerBurst: customerBurst, CustomerPerHour: 600,
		AgentPerSecond: agentChat, AgentBurst: agentBurst,
		// Two thirds of what the embedded store takes at saturation on two cores: beyond it everybody's ack would be late.
		GlobalPerSecond: 8000, GlobalBurst: 16000,
		TypingPerSecond: typingPerSecond, RefusalsToClose: refusalsToClose,
		ConversationsPerHourIP: 30, Queue: queueCap,
		SignalsPerWindow: signalsPerWindow, RestartsPerMin: restartsPerMin,
	}
}

// validate refuses what no server could work with.
func (l Limits) validate() error {
	v := reflect.ValueOf(l)
	for i := range v.NumField() {
		if n := v.Field(i).Int(); n < 0 || n == 0 && v.Type().Field(i).Name != "Proofs" {
			return errors.New("server: config: limit " + v.Type().Field(i).Name + " must be above 0")
		}
	}
	if l.Dead <= l.Ping {
		return errors.New("server: config: limit Dead must be above Ping: a socket would be dead before it could answer")
	}
	return nil
}
