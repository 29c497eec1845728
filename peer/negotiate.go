// Offers, answers and candidates. The agent's end offers, also for each ICE restart; the other end answers.

package peer

import (
	"strings"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/lookalong/lookalong/internal/sdppolicy"
	"github.com/lookalong/lookalong/protocol"
)

// staleOffer is the age at which an answered offer's candidates may be those of a network that we have left.
const staleOffer = 10 * time.Second

// negotiation is owned by the loop.
type negotiation struct {
	fingerprint string    // of the other end, from its first description on
	remoteUfrag string    // of the other end's present ICE generation
	localUfrag  string    // of ours
	offered     time.Time // when the last offer was made or repeated
	made        time.Time // when the last offer was made
	lastOffer   string

	sent    []protocol.SessionCandidate // of the present generation, to repeat them with a repeated offer
	waiting []protocol.SessionCandidate // before the description that they belong to, or late ones of an earlier generation
	renew   bool                        // pion does not have cfg.ICEServers yet
	arrived int                         // candidates in the other end's present generation
}

// offer makes an offer; with restart, one for a new ICE generation. An offer that still waits for its answer is
// repeated with its candidates instead: it or its answer was lost with a socket, and WebRTC has no way to replace it.
func (p *Peer) offer(restart bool) {
	n := &p.nego
	n.offered = time.Now()
	p.alive.pathAt = time.Time{}
	if p.pc.SignalingState() == webrtc.SignalingStateHaveLocalOffer {
		p.cfg.Signaler.SendOffer(n.lastOffer)
		for _, c := range n.sent {
			p.cfg.Signaler.SendCandidate(c)
		}
		return
	}
	offer, err := p.pc.CreateOffer(&webrtc.OfferOptions{
		OfferAnswerOptions: webrtc.OfferAnswerOptions{ICETricklingSupported: true},
		ICERestart:         restart,
	})
	if err == nil {
		err = p.pc.SetLocalDescription(offer)
	}
	if err != nil {
		p.log.Error("peer session ends: no offer could be made", "err", err)
		p.end("failed", true)
		return
	}
	n.made, n.lastOffer = n.offered, offer.SDP
	n.localUfrag, n.sent = ufragOf(offer.SDP), nil
	p.cfg.Signaler.SendOffer(offer.SDP)
}

// restart brings ICE up anew: the agent's end offers, the other end asks it to.
func (p *Peer) restart() {
	if p.cfg.Role == Answerer {
		p.cfg.Signaler.SendRestart()
		return
	}
	if time.Since(p.nego.offered) < p.cfg.Timers.RestartGap || p.settling(time.Now()) {
		return // both ends, or two reasons, ask at about the same time; or one asks that has not heard yet
	}
	p.log.Info("peer session restarts ICE")
	p.offer(true)
}

type restartAsked struct{}

func (restartAsked) apply(p *Peer) {
	if !p.ended && p.cfg.Role == Offerer {
		p.restart()
	}
}

type serversChanged struct{ servers []protocol.ICEServer }

func (e serversChanged) apply(p *Peer) {
	if p.ended {
		return
	}
	p.cfg.ICEServers = e.servers
	p.nego.renew = true
	p.renewServers()
}

// renewServers hands new ICE servers to pion, which must not be gathering: it reads the old ones without a lock.
func (p *Peer) renewServers() {
	if !p.nego.renew || p.ended || p.pc.ICEGatheringState() == webrtc.ICEGatheringStateGathering {
		return // with a later tick
	}
	p.nego.renew = false
	if err := p.pc.SetConfiguration(p.configuration()); err != nil {
		p.log.Warn("new ICE servers refused", "err", err)
		return
	}
	if p.cfg.Role == Offerer && (p.State() == Reconnecting || p.pc.SignalingState() == webrtc.SignalingStateHaveLocalOffer) {
		p.restart()
	}
}

// accept checks a description of the other end and hands it to pion.
func (p *Peer) accept(kind webrtc.SDPType, text string) bool {
	rebuilt, fingerprint, err := sdppolicy.CheckSDP(text, p.nego.fingerprint)
	if err != nil { //guard:T19
		p.log.Warn("peer session ends: a description was refused", "type", kind.String(), "err", err)
		p.end("failed", true)
		return false
	}
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: rebuilt}); err != nil {
		p.log.Warn("peer session ends: a description could not be used", "type", kind.String()) // the error may quote it
		p.end("failed", true)
		return false
	}
	n := &p.nego
	n.fingerprint = fingerprint
	if ufrag := ufragOf(rebuilt); ufrag != n.remoteUfrag {
		n.remoteUfrag, n.arrived = ufrag, 0
	}
	waiting := n.waiting
	n.waiting = nil
	for _, c := range waiting {
		candidateArrived{c}.apply(p)
	}
	n.waiting = nil // those of an earlier generation
	return true
}

type offerArrived struct{ sdp string }

func (e offerArrived) apply(p *Peer) {
	if p.ended || p.cfg.Role != Answerer || !p.accept(webrtc.SDPTypeOffer, e.sdp) {
		return
	}
	answer, err := p.pc.CreateAnswer(&webrtc.AnswerOptions{OfferAnswerOptions: webrtc.OfferAnswerOptions{ICETricklingSupported: true}})
	if err == nil {
		err = p.pc.SetLocalDescription(answer)
	}
	if err != nil {
		p.log.Error("peer session ends: no answer could be made", "err", err)
		p.end("failed", true)
		return
	}
	n := &p.nego
	n.offered = time.Now()
	p.alive.pathAt = time.Time{}
	p.cfg.Signaler.SendAnswer(answer.SDP)
	if ufrag := ufragOf(answer.SDP); ufrag != n.localUfrag {
		n.localUfrag, n.sent = ufrag, nil
	} else { // a repeated offer: our candidates may have been lost too
		for _, c := range n.sent {
			p.cfg.Signaler.SendCandidate(c)
		}
	}
}

type answerArrived struct{ sdp string }

func (e answerArrived) apply(p *Peer) {
	if p.ended || p.cfg.Role != Offerer || p.pc.SignalingState() != webrtc.SignalingStateHaveLocalOffer {
		return // a repeated answer
	}
	if ufrag := ufragOf(e.sdp); ufrag == p.nego.remoteUfrag && ufrag != "" {
		return // a late answer to an earlier offer: every offer after the first is a restart and needs new credentials
	}
	if !p.accept(webrtc.SDPTypeAnswer, e.sdp) {
		return
	}
	// While connecting, an old offer is no reason: a restart would race with pion's first start of ICE.
	if p.State() == Reconnecting && (time.Since(p.nego.made) > staleOffer || p.pc.ICEConnectionState() == webrtc.ICEConnectionStateFailed) {
		p.offer(true) // its candidates are gone
	}
}

type candidateArrived struct{ c protocol.SessionCandidate }

func (e candidateArrived) apply(p *Peer) {
	n := &p.nego
	if p.ended || e.c.Candidate == "" {
		return
	}
	if err := sdppolicy.CheckCandidate(e.c.Candidate, p.cfg.LoopbackOK); err != nil { //guard:T20
		p.log.Warn("candidate left out", "err", err)
		return
	}
	ufrag := e.c.UsernameFragment
	if ufrag == "" {
		ufrag = sdppolicy.Ufrag(e.c.Candidate)
	}
	if p.pc.RemoteDescription() == nil || ufrag != "" && ufrag != n.remoteUfrag {
		if n.waiting = append(n.waiting, e.c); len(n.waiting) > sdppolicy.MaxCandidates {
			n.waiting = n.waiting[1:]
		}
		return
	}
	if n.arrived++; n.arrived > sdppolicy.MaxCandidates { //guard:T19
		return
	}
	if err := p.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: e.c.Candidate}); err != nil {
		p.log.Warn("candidate not usable") // the error may quote it
	}
}

// candidateFound is a candidate of our own; nil ends the generation.
type candidateFound struct{ c *webrtc.ICECandidate }

func (e candidateFound) apply(p *Peer) {
	n := &p.nego
	if p.ended {
		return
	}
	out := protocol.SessionCandidate{SDPMid: "0", UsernameFragment: n.localUfrag}
	if e.c != nil {
		out.Candidate = e.c.ToJSON().Candidate
		if ufrag := sdppolicy.Ufrag(out.Candidate); ufrag != "" && ufrag != n.localUfrag {
			return // found by a gathering that a restart has replaced
		}
		if len(n.sent) >= sdppolicy.MaxCandidates || sdppolicy.CheckCandidate(out.Candidate, p.cfg.LoopbackOK) != nil {
			return // the other end and the server would refuse it
		}
	}
	n.sent = append(n.sent, out)
	p.cfg.Signaler.SendCandidate(out)
}

// ufragOf reads a=ice-ufrag of a description with one media section.
func ufragOf(text string) string {
	_, rest, ok := strings.Cut(text, "a=ice-ufrag:")
	if !ok {
		return ""
	}
	ufrag, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(ufrag)
}
