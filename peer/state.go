// The session's state machine as a table; testdata/peer_states.golden is its picture.

package peer

import "fmt"

// State is the state of one peer session.
type State int

// The states. Ended is permanent: a new session is a new Peer.
const (
	Idle State = iota // before Run
	Connecting
	Connected
	Reconnecting // connected before, but nothing was heard on control for Timers.Silent
	Ended
)

// String gives the name as in protocol.SessionState.
func (s State) String() string {
	return [...]string{"idle", "connecting", "connected", "reconnecting", "ended"}[s]
}

// step is something that moves the state machine.
type step int

const (
	start  step = iota // Run began
	open               // every channel is open
	silent             // nothing heard for Timers.Silent
	heard              // a control message arrived
	stop               // an end was asked for, here or there
	fail               // it can't go on
)

func (s step) String() string {
	return [...]string{"start", "open", "silent", "heard", "stop", "fail"}[s]
}

var next = map[State]map[step]State{
	Idle:         {start: Connecting, stop: Ended, fail: Ended},
	Connecting:   {open: Connected, stop: Ended, fail: Ended},
	Connected:    {silent: Reconnecting, heard: Connected, stop: Ended, fail: Ended},
	Reconnecting: {heard: Connected, stop: Ended, fail: Ended},
	Ended:        {},
}

// move returns the state after s, or an error where the step is not allowed.
func move(from State, s step) (State, error) {
	to, ok := next[from][s]
	if !ok {
		return from, fmt.Errorf("peer: %s is not allowed while %s", s, from)
	}
	return to, nil
}
