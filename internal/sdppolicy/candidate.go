// What an ICE candidate may look like, and which addresses another party may make us send packets to.

package sdppolicy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// candidate is the part of a candidate line (RFC 8839, 5.1) that decides.
type candidate struct {
	second  bool // component 2 (RTCP), which data channels do not have; pion writes it into descriptions
	tcp     bool
	tcpType string
	name    string     // an mDNS name, where there is no address
	addr    netip.Addr // of the candidate
	ufrag   string
}

// CheckCandidate checks one trickled candidate, with or without the leading "candidate:" or "a=". An empty one
// (end of candidates) is fine. Refused: what can't be read, more than 512 bytes, TCP other than active, loopback
// unless loopbackOK, link-local, multicast, unspecified, broadcast and cloud metadata addresses. Names ending in
// .local are accepted (RFC 8828). Errors wrap ErrCandidate and never quote the address.
func CheckCandidate(c string, loopbackOK bool) error {
	if c == "" {
		return nil
	}
	parsed, err := parseCandidate(c)
	if err != nil {
		return err
	}
	if reason := parsed.refused(loopbackOK); reason != "" { //guard:T20
		return fmt.Errorf("%w: %s", ErrCandidate, reason)
	}
	return nil
}

// Ufrag returns the ufrag extension of a candidate line, which names its ICE generation, or "".
func Ufrag(c string) string {
	parsed, err := parseCandidate(c)
	if err != nil {
		return ""
	}
	return parsed.ufrag
}

// IPAllowed reports whether packets may be sent to an address that the other side named.
func IPAllowed(addr netip.Addr, loopbackOK bool) bool { return refusedIP(addr, loopbackOK) == "" }

func parseCandidate(line string) (candidate, error) {
	bad := func(reason string) (candidate, error) {
		return candidate{}, fmt.Errorf("%w: %s", ErrCandidate, reason)
	}
	if len(line) > MaxCandidateByte {
		return bad("larger than 512 bytes")
	}
	for i := range len(line) {
		if line[i] < 0x20 || line[i] > 0x7e {
			return bad("a byte is not printable ASCII")
		}
	}
	line = strings.TrimPrefix(strings.TrimPrefix(line, "a="), "candidate:")
	f := strings.Split(line, " ")
	if len(f) < 8 || f[6] != "typ" {
		return bad("fields are missing")
	}
	if len(f[0]) < 1 || len(f[0]) > 32 {
		return bad("the foundation has the wrong length")
	}
	for i := range len(f[0]) {
		if !isICEChar(f[0][i]) && f[0][i] != '-' {
			return bad("the foundation has a character that may not be there")
		}
	}
	var c candidate
	if component, err := strconv.ParseUint(f[1], 10, 16); err != nil || component < 1 || component > 256 {
		return bad("the component is out of range")
	} else if component != 1 {
		c.second = true
	}
	switch {
	case strings.EqualFold(f[2], "udp"):
	case strings.EqualFold(f[2], "tcp"):
		c.tcp = true
	default:
		return bad("the transport is neither UDP nor TCP")
	}
	if _, err := strconv.ParseUint(f[3], 10, 32); err != nil {
		return bad("the priority is not a number")
	}
	if name, ok := strings.CutSuffix(f[4], ".local"); ok {
		if name == "" || len(name) > 63 || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return bad("the name is not an mDNS name")
		}
		c.name = f[4]
	} else {
		addr, err := netip.ParseAddr(f[4])
		if err != nil || addr.Zone() != "" {
			return bad("the address can't be read")
		}
		c.addr = addr
	}
	if port, err := strconv.ParseUint(f[5], 10, 16); err != nil || port == 0 {
		return bad("the port is out of range")
	}
	switch f[7] {
	case "host", "srflx", "prflx", "relay":
	default:
		return bad("the type is unknown")
	}
	if c.name != "" && f[7] != "host" {
		return bad("only a host candidate may have a name")
	}
	rest := f[8:]
	if len(rest)%2 != 0 || len(rest) > 32 {
		return bad("the extensions are not pairs")
	}
	for i := 0; i < len(rest); i += 2 {
		key, value := rest[i], rest[i+1]
		if key == "" {
			return bad("an extension has no name")
		}
		switch key {
		case "raddr": // never sent to; browsers write 0.0.0.0 here to hide it
			if addr, err := netip.ParseAddr(value); err != nil || addr.Zone() != "" {
				return bad("the related address can't be read")
			}
		case "rport":
			if _, err := strconv.ParseUint(value, 10, 16); err != nil {
				return bad("the related port is out of range")
			}
		case "tcptype":
			c.tcpType = value
		case "ufrag":
			c.ufrag = value
		}
	}
	return c, nil
}

// refused says why the candidate is not acceptable, or "".
func (c candidate) refused(loopbackOK bool) string {
	if c.second {
		return "not component 1"
	}
	if c.tcp && c.tcpType != "active" {
		// A passive one would make us connect to any TCP service that the other side names.
		return "TCP that is not active"
	}
	if c.name != "" {
		return "" // judged again once it is resolved
	}
	return refusedIP(c.addr, loopbackOK)
}

// metadata are addresses of cloud metadata services outside the link-local ranges.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("100.100.100.200"), // Alibaba
	netip.MustParseAddr("192.0.0.192"),     // Oracle
	netip.MustParseAddr("168.63.129.16"),   // Azure
}

var (
	v4InV6 = netip.MustParsePrefix("::/96")        // IPv4-compatible (RFC 4291, deprecated)
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056
	thisV4 = netip.MustParsePrefix("0.0.0.0/8")    // RFC 1122, 3.2.1.3
	highV4 = netip.MustParsePrefix("240.0.0.0/4")  // reserved and broadcast
)

func refusedIP(addr netip.Addr, loopbackOK bool) string {
	addr = addr.Unmap()
	switch {
	case !addr.IsValid():
		return "no address"
	case addr.IsLoopback():
		if loopbackOK {
			return ""
		}
		return "a loopback address"
	case addr.IsUnspecified():
		return "the unspecified address"
	case addr.IsMulticast():
		return "a multicast address"
	case addr.IsLinkLocalUnicast():
		return "a link-local address"
	case thisV4.Contains(addr), highV4.Contains(addr):
		return "a reserved address"
	}
	for _, m := range metadata {
		if addr == m {
			return "a metadata address"
		}
	}
	if addr.Is6() { // an address that a translator turns into IPv4 is judged as that
		b := addr.As16()
		switch {
		case v4InV6.Contains(addr), nat64.Contains(addr):
			return refusedIP(netip.AddrFrom4([4]byte(b[12:16])), false)
		case sixTo4.Contains(addr):
			return refusedIP(netip.AddrFrom4([4]byte(b[2:6])), false)
		}
	}
	return ""
}
