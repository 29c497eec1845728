//go:build !linux

package viewer

// Elsewhere the single-use code alone keeps other users of the machine out.

import "net/netip"

func foreignUser(netip.AddrPort) bool { return false }
