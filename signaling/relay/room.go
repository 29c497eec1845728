package relay

import "time"

// SilentAfter is for how long a connection may wait that has not shown yet what it is for.
const SilentAfter = time.Second

// Room is how many connections may wait for longer than SilentAfter, wherever they wait: to say what they speak, to prove
// a key, to ask for something. In a storm of reconnects many more are younger than that: they have spoken and are not
// read yet, and dropping them would make the storm worse.
type Room int

// Full says whether the one that has waited longest, for this time, must make room for another one beside n that wait:
// once it has been silent, or whatever its age when there are eight times too many.
func (r Room) Full(n int, waited time.Duration) bool {
	return n >= int(r) && (waited >= SilentAfter || n >= 8*int(r))
}
