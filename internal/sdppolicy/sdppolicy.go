// Package sdppolicy is the one judge of foreign session descriptions and ICE candidates. The server and both ends
// of a peer session call it, so that nothing reaches a WebRTC stack that was not rebuilt from checked values
// (security.md T19, T20). It imports pion/sdp and the standard library only.
package sdppolicy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// The limits of security.md T19.
const (
	MaxSDPBytes      = 16 << 10 // of one session description
	MaxCandidates    = 30       // in one description, and trickled in one ICE generation
	MaxCandidateByte = 512      // of one candidate line
)

var (
	// ErrSDP is wrapped by every refusal of a session description.
	ErrSDP = errors.New("session description refused")
	// ErrCandidate is wrapped by every refusal of a candidate.
	ErrCandidate = errors.New("candidate refused")
)

func badSDP(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSDP, fmt.Sprintf(format, args...))
}

// CheckSDP checks an offer or answer for data channels and writes it anew from the values it understood: one
// m=application section, one sha-256 fingerprint, ICE credentials, role, SCTP port; everything else is left out.
// Candidate lines that can be read but are refused by CheckCandidate are left out too, loopback ones always; an
// unreadable one is an error. The fingerprint comes back as "sha-256 AA:BB:…" in capitals; where pinned is not
// empty, it must be the same (an ICE restart keeps the DTLS identity). CheckSDP of its own output returns that
// output. Errors wrap ErrSDP and never quote the description.
func CheckSDP(text, pinned string) (rebuilt, fingerprint string, err error) {
	if len(text) > MaxSDPBytes {
		return "", "", badSDP("larger than %d bytes", MaxSDPBytes)
	}
	for i := range len(text) {
		if b := text[i]; b != '\r' && b != '\n' && (b < 0x20 || b > 0x7e) {
			return "", "", badSDP("a byte is not printable ASCII")
		}
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return "", "", badSDP("not SDP")
	}
	if len(d.MediaDescriptions) != 1 { //guard:T19
		return "", "", badSDP("%d media sections, want one", len(d.MediaDescriptions))
	}
	m := d.MediaDescriptions[0]
	proto := strings.Join(m.MediaName.Protos, "/")
	if m.MediaName.Media != "application" || proto != "UDP/DTLS/SCTP" && proto != "TCP/DTLS/SCTP" ||
		!slices.Equal(m.MediaName.Formats, []string{"webrtc-datachannel"}) || m.MediaName.Port.Value == 0 {
		return "", "", badSDP("the media section is not a data channel")
	}
	a := attributes{session: d.Attributes, media: m.Attributes}
	if a.count("ice-lite") > 0 {
		return "", "", badSDP("ICE lite")
	}
	fingerprint, err = a.fingerprint()
	if err != nil {
		return "", "", err
	}
	if pinned != "" && fingerprint != pinned { //guard:T19
		return "", "", badSDP("the fingerprint has changed")
	}
	ufrag, err := a.one("ice-ufrag", 4, 256, isICEChar)
	if err != nil {
		return "", "", err
	}
	pwd, err := a.one("ice-pwd", 22, 256, isICEChar)
	if err != nil {
		return "", "", err
	}
	mid, err := a.one("mid", 1, 16, isToken)
	if err != nil {
		return "", "", err
	}
	setup, err := a.one("setup", 6, 7, isToken)
	if err != nil {
		return "", "", err
	}
	if setup != "actpass" && setup != "active" && setup != "passive" {
		return "", "", badSDP("setup is not actpass, active or passive")
	}
	sctpPort, err := a.number("sctp-port", 5000, 1, 65535)
	if err != nil {
		return "", "", err
	}
	maxSize, err := a.number("max-message-size", 0, 0, 1<<31-1)
	if err != nil {
		return "", "", err
	}
	candidates, err := a.candidates()
	if err != nil {
		return "", "", err
	}

	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("v=0")
	line("o=- %d %d IN IP4 127.0.0.1", d.Origin.SessionID, d.Origin.SessionVersion)
	line("s=-")
	line("t=0 0")
	if group, _ := d.Attribute("group"); group == "BUNDLE "+mid {
		line("a=group:BUNDLE %s", mid)
	}
	line("m=application 9 UDP/DTLS/SCTP webrtc-datachannel")
	line("c=IN IP4 0.0.0.0")
	line("a=ice-ufrag:%s", ufrag)
	line("a=ice-pwd:%s", pwd)
	if a.trickles() {
		line("a=ice-options:trickle")
	}
	line("a=fingerprint:%s", fingerprint)
	line("a=setup:%s", setup)
	line("a=mid:%s", mid)
	line("a=sctp-port:%d", sctpPort)
	if a.count("max-message-size") > 0 {
		line("a=max-message-size:%d", maxSize)
	}
	for _, c := range candidates {
		line("a=candidate:%s", c)
	}
	return b.String(), fingerprint, nil
}

// attributes are those of the session and of its one media section.
type attributes struct{ session, media []sdp.Attribute }

func (a attributes) all(key string) []string {
	var out []string
	for _, list := range [][]sdp.Attribute{a.session, a.media} {
		for _, attr := range list {
			if attr.Key == key {
				out = append(out, attr.Value)
			}
		}
	}
	return out
}

func (a attributes) count(key string) int { return len(a.all(key)) }

func (a attributes) one(key string, shortest, longest int, ok func(byte) bool) (string, error) {
	values := a.all(key)
	if len(values) != 1 {
		return "", badSDP("%d attributes %s, want one", len(values), key)
	}
	v := values[0]
	if len(v) < shortest || len(v) > longest {
		return "", badSDP("%s has the wrong length", key)
	}
	for i := range len(v) {
		if !ok(v[i]) {
			return "", badSDP("%s has a character that may not be there", key)
		}
	}
	return v, nil
}

func (a attributes) number(key string, missing, lowest, highest uint64) (uint64, error) {
	values := a.all(key)
	switch len(values) {
	case 0:
		return missing, nil
	case 1:
		n, err := strconv.ParseUint(values[0], 10, 64)
		if err != nil || n < lowest || n > highest {
			return 0, badSDP("%s is out of range", key)
		}
		return n, nil
	}
	return 0, badSDP("%d attributes %s, want one", len(values), key)
}

// fingerprint reads the one a=fingerprint (RFC 8122): sha-256 and 32 bytes in hexadecimal.
func (a attributes) fingerprint() (string, error) {
	values := a.all("fingerprint")
	if len(values) != 1 { //guard:T19
		return "", badSDP("%d fingerprints, want one", len(values))
	}
	hash, value, _ := strings.Cut(values[0], " ")
	value = strings.ToUpper(value)
	if !strings.EqualFold(hash, "sha-256") || len(value) != 32*3-1 {
		return "", badSDP("the fingerprint is not sha-256")
	}
	for i := range len(value) {
		if i%3 == 2 && value[i] != ':' || i%3 != 2 && !strings.ContainsRune("0123456789ABCDEF", rune(value[i])) {
			return "", badSDP("the fingerprint is not hexadecimal")
		}
	}
	return "sha-256 " + value, nil
}

func (a attributes) trickles() bool {
	for _, v := range a.all("ice-options") {
		if slices.Contains(strings.Fields(v), "trickle") {
			return true
		}
	}
	return false
}

func (a attributes) candidates() ([]string, error) {
	values := a.all("candidate")
	if len(values) > MaxCandidates {
		return nil, badSDP("%d candidates, want at most %d", len(values), MaxCandidates)
	}
	var out []string
	for _, v := range values {
		c, err := parseCandidate("candidate:" + v)
		if err != nil {
			return nil, badSDP("a candidate can't be read")
		}
		if c.refused(false) == "" {
			out = append(out, v)
		}
	}
	return out, nil
}

// isICEChar: RFC 8839, 5.4 (ice-char).
func isICEChar(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '+' || b == '/'
}

func isToken(b byte) bool {
	return isICEChar(b) && b != '+' && b != '/' || b == '-' || b == '_' || b == '.'
}
