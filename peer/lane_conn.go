// The connection of a lane: ICE, DTLS, SCTP and one channel, each of pion's, without the PeerConnection around them,
// because an acknowledgement must be changed between SCTP and DTLS (sack.go).

package peer

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/dtls/v3/pkg/net"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/sctp"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"

	"github.com/lookalong/lookalong/protocol"
)

const (
	laneConnect   = 20 * time.Second
	laneHandshake = 10 * time.Second
	laneFlight    = 250 * time.Millisecond // until a lost flight goes out again; doubles (pion's own default is 1 s)
	laneMinCwnd   = 64 << 10               // bytes of reports on their way: their pace is given, not sought
)

// laneConn is one lane's connection; run owns everything behind ice.
type laneConn struct {
	number int
	agent  *ice.Agent
	cert   tls.Certificate
	cancel context.CancelFunc
	ctx    context.Context // ends the connection, from any goroutine
}

// newLaneConn makes the ICE agent and begins to gather; found is called with each candidate, from another goroutine.
func (p *Peer) newLaneConn(number int, found func(candidate string)) (*laneConn, error) {
	cert, err := selfsign.GenerateSelfSigned()
	if err != nil {
		return nil, fmt.Errorf("peer: lane: certificate: %w", err)
	}
	t := p.cfg.Timers
	options := []ice.AgentOption{
		ice.WithNetworkTypes(iceNetworks(p.networkTypes())),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeQueryOnly),
		ice.WithRemoteIPFilter(p.remoteIP),
		ice.WithDisableActiveTCP(),
		ice.WithDisconnectedTimeout(t.ICEDisconnected),
		ice.WithFailedTimeout(t.ICEFailed),
		ice.WithKeepaliveInterval(t.ICEKeepAlive),
		ice.WithPrflxAcceptanceMinWait(betterHidden),
		ice.WithUrls(iceURLs(p.cfg.ICEServers)),
		ice.WithLoggerFactory(quiet),
	}
	if p.loopback() {
		options = append(options, ice.WithIncludeLoopback())
	}
	if p.cfg.RelayOnly {
		options = append(options, ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeRelay}), ice.WithRelayAcceptanceMinWait(0))
	}
	if p.cfg.Net != nil {
		options = append(options, ice.WithNet(p.cfg.Net))
	}
	agent, err := ice.NewAgentWithOptions(options...)
	if err != nil {
		return nil, fmt.Errorf("peer: lane: %w", err)
	}
	c := &laneConn{number: number, agent: agent, cert: cert}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	err = errors.Join(
		agent.OnCandidate(func(one ice.Candidate) {
			if one != nil {
				found("candidate:" + one.Marshal())
			}
		}),
		agent.OnConnectionStateChange(func(s ice.ConnectionState) {
			if s == ice.ConnectionStateFailed {
				c.cancel()
			}
		}),
		agent.GatherCandidates(),
	)
	if err != nil {
		c.cancel()
		_ = agent.Close() // it has not been used
		return nil, fmt.Errorf("peer: lane: %w", err)
	}
	return c, nil
}

// run connects to the other end, tells up, and then every message with its arrival, until the lane ends.
func (c *laneConn) run(remote protocol.LaneAnswer, up func(*datachannel.DataChannel), message func([]byte, time.Time)) error {
	defer c.cancel()
	connecting, stop := context.WithTimeout(c.ctx, laneConnect)
	defer stop()
	conn, err := c.agent.Dial(connecting, remote.Ufrag, remote.Pwd)
	if err != nil {
		return err
	}
	context.AfterFunc(c.ctx, func() { _ = c.agent.Close() }) // whatever is read or written below ends
	secure, err := dtls.ServerWithOptions(net.PacketConnFromConn(conn), conn.RemoteAddr(),
		dtls.WithCertificates(c.cert),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80), // browsers insist, also without media
		dtls.WithClientAuth(dtls.RequireAnyClientCert),                                                // no authority signs it: its fingerprint is checked below
		dtls.WithFlightInterval(laneFlight),
		dtls.WithVerifyPeerCertificate(expect(remote.Fingerprint)),
		dtls.WithLoggerFactory(quiet),
	)
	if err != nil {
		return err
	}
	defer func() { _ = secure.Close() }() // the lane is over either way
	shaking, done := context.WithTimeout(connecting, laneHandshake)
	defer done()
	if err := secure.HandshakeContext(shaking); err != nil {
		return err
	}
	association, err := sctp.ClientContext(connecting,
		sctp.WithNetConn(&gapless{Conn: secure}),
		sctp.WithEnableInterleaving(false), // sack.go knows plain DATA
		sctp.WithRTOMax(float64((2 * time.Second).Milliseconds())),
		sctp.WithMinCwnd(laneMinCwnd),
		sctp.WithLoggerFactory(quiet),
	)
	if err != nil {
		return err
	}
	defer func() { _ = association.Close() }()
	channel, err := reportsOn(association)
	if err != nil {
		return err
	}
	up(channel)
	for {
		b := make([]byte, protocol.FragmentHeaderBytes+protocol.MaxFragmentPayload+1)
		n, err := channel.Read(b)
		if err != nil {
			return err
		}
		message(b[:n], time.Now())
	}
}

// reportsOn opens the channel for the reports: without order, so that none waits for one that was lost before it.
// datachannel.Dial would leave the stream of a negotiated channel as it is, ordered. Repair costs little (what comes
// late tells of nothing new), and pion sends a FORWARD-TSN behind each message that is not repaired, which the other end
// acknowledges: three packets for one.
func reportsOn(a *sctp.Association) (*datachannel.DataChannel, error) {
	stream, err := a.OpenStream(protocol.ChannelLane, sctp.PayloadTypeWebRTCBinary)
	if err != nil {
		return nil, err
	}
	stream.SetReliabilityParams(true, sctp.ReliabilityTypeReliable, 0)
	return datachannel.Client(stream, &datachannel.Config{
		Negotiated: true, Label: protocol.LabelLane, ChannelType: datachannel.ChannelTypeReliableUnordered, LoggerFactory: quiet,
	})
}

// expect refuses every certificate but the one with this fingerprint.
func expect(fingerprint string) func([][]byte, [][]*x509.Certificate) error {
	return func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) == 0 || !strings.EqualFold(fingerprintOf(raw[0]), fingerprint) { //guard:T19
			return errors.New("peer: lane: another certificate than the other end told")
		}
		return nil
	}
}

// fingerprintOf writes a certificate's fingerprint as in SDP.
func fingerprintOf(der []byte) string {
	digest := sha256.Sum256(der)
	return "sha-256 " + strings.ReplaceAll(fmt.Sprintf("% X", digest[:]), " ", ":")
}

func iceNetworks(types []webrtc.NetworkType) []ice.NetworkType {
	out := make([]ice.NetworkType, 0, len(types))
	for _, t := range types {
		if t == webrtc.NetworkTypeUDP6 {
			out = append(out, ice.NetworkTypeUDP6)
		} else {
			out = append(out, ice.NetworkTypeUDP4)
		}
	}
	return out
}

// iceURLs leaves out what can't be read: the session itself would have said so.
func iceURLs(servers []protocol.ICEServer) []*stun.URI {
	var out []*stun.URI
	for _, s := range servers {
		for _, u := range s.URLs {
			uri, err := stun.ParseURI(u)
			if err != nil {
				continue
			}
			uri.Username, uri.Password = s.Username, s.Credential
			out = append(out, uri)
		}
	}
	return out
}

var quiet = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled} // pion logs addresses
