// Package fault breaks what surrounds Lookalong on purpose, in a way that can be
// repeated: the network between a client and the server ([Proxy]), the server's
// process ([Process]), its disk ([Space] for a full one, package disk for a slow,
// failing or cut one) and its clock ([Clock]). A [Script] says when; it comes from
// a text, or from a seed, and the same seed always gives the same script. A test
// that fails prints both.
//
// Package workload plays customers and agents meanwhile, and checks afterwards
// that nothing acknowledged was lost and nothing was shown twice or out of order.
// Program faultserver is the real server on a disk that misbehaves.
//
// For tests only; a rule in internal/deptest keeps it out of the programs.
package fault
