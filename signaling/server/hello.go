package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/store"
)

var errProof = &protocol.UserError{Code: protocol.CodeAuth, Text: "The server does not know this key. Log in again."}

// verifyHello checks a proof against the challenge's nonce and the name that this socket was opened under. role is
// the endpoint's. It returns the public key. A nonce is good for one call.
func verifyHello(p protocol.HelloProof, role, host string, nonce []byte) (pub []byte, err error) {
	pub, err1 := protocol.B64.DecodeString(p.Pub)
	cnonce, err2 := protocol.B64.DecodeString(p.CNonce)
	sig, err3 := protocol.B64.DecodeString(p.Sig)
	if err := errors.Join(err1, err2, err3); err != nil || len(cnonce) < 16 || len(cnonce) > 32 || len(sig) != 64 {
		return nil, errProof
	}
	if p.Role != role || p.Host != host { // a look-alike host can't forward our challenge
		return nil, errProof
	}
	if role != roleAgent && p.Invite != "" {
		return nil, errProof
	}
	signed := protocol.HelloBytes(role, host, nonce, cnonce, pub)
	if role == roleCustomer {
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), pub)
		digest := sha256.Sum256(signed)
		if err != nil || !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
			return nil, errProof
		}
		return pub, nil
	}
	if len(pub) != ed25519.PublicKeySize || !ed25519.Verify(pub, signed, sig) {
		return nil, errProof
	}
	return pub, nil
}

// hello runs the three steps of the hello on a fresh socket and returns who it is, or the close code.
func (s *Server) hello(ctx context.Context, ws *websocket.Conn, r *http.Request, t *ticket) (identity, protocol.CloseCode, error) {
	nonce := make([]byte, 32)
	_, _ = rand.Read(nonce) // never fails
	challenge := protocol.HelloChallenge{Nonce: protocol.B64.EncodeToString(nonce), ServerTime: s.now(), Versions: protocol.Versions}
	deadline := time.Now().Add(s.cfg.Limits.Hello)
	if err := errors.Join(ws.SetReadDeadline(deadline), ws.SetWriteDeadline(deadline), ws.WriteMessage(websocket.TextMessage, protocol.Encode(challenge))); err != nil {
		return identity{}, protocol.CloseIdle, protocol.Userf(protocol.CodeHelloTime, "No hello in time.")
	}
	kind, data, err := ws.ReadMessage()
	if errors.Is(err, websocket.ErrReadLimit) {
		return identity{}, protocol.CloseTooLarge, protocol.Userf(protocol.CodeTooLarge, "The message is larger than 64 KiB.")
	}
	if err != nil {
		return identity{}, protocol.CloseIdle, protocol.Userf(protocol.CodeHelloTime, "No hello in time.") //guard:T10
	}
	role := roleOf(r.URL.Path)
	msg, err := protocol.Decode(data, senderOf(role))
	proof, ok := msg.(protocol.HelloProof)
	if err != nil || !ok || kind != websocket.TextMessage {
		return identity{}, protocol.CloseBadMessage, protocol.Userf(protocol.CodeBadMessage, "The first message must be a valid hello.proof. Update the program, or reload the page.")
	}
	if !slices.Contains(protocol.Versions, proof.Version) {
		return identity{}, protocol.CloseVersion, protocol.Userf(protocol.CodeVersion, "This program speaks another version than the server. Update it, or reload the page.")
	}
	t.proof()
	pub, err := s.check(deadline, proof, role, r.Host, nonce)
	if busy, ok := errors.AsType[*protocol.UserError](err); ok && busy.Code == protocol.CodeBusy {
		return identity{}, protocol.CloseTryLater, err
	}
	if err != nil {
		t.failedProof()
		return identity{}, protocol.CloseAuth, err
	}
	ctx, cancel := context.WithTimeout(ctx, store.CommitDeadline)
	defer cancel()
	id, err := s.identify(ctx, role, pub, proof)
	switch user, isUser := errors.AsType[*protocol.UserError](err); {
	case err == nil:
		return id, 0, nil
	case isUser && user.Code == protocol.CodeRevoked:
		return identity{}, protocol.CloseRevoked, err
	case isUser && (user.Code == protocol.CodeAuth || user.Code == protocol.CodeInvite):
		t.failedProof()
		return identity{}, protocol.CloseAuth, err
	default: // the store's trouble is not the client's fault: it comes back
		return identity{}, protocol.CloseTryLater, err
	}
}

// check verifies a proof, at most limits.Proofs at once: in a storm the others wait for their turn, and those whose time
// runs out come back over the time that the server needs.
func (s *Server) check(deadline time.Time, proof protocol.HelloProof, role, host string, nonce []byte) ([]byte, error) {
	wait := time.NewTimer(time.Until(deadline))
	defer wait.Stop()
	select {
	case s.proofs <- struct{}{}:
		defer func() { <-s.proofs }()
	case <-wait.C:
		return nil, &protocol.UserError{Code: protocol.CodeBusy, Text: "The server is busy. It is tried again.", RetryAfterMs: (time.Second + s.edge.spread()).Milliseconds()}
	}
	return verifyHello(proof, role, host, nonce)
}

// identify finds, or at first use makes, the identity behind a proven key.
func (s *Server) identify(ctx context.Context, role string, pub []byte, proof protocol.HelloProof) (identity, error) {
	if role == roleAgent {
		return s.identifyAgent(ctx, pub, proof)
	}
	digest := sha256.Sum256(pub)
	id, epoch, ok := s.known.get(digest)
	if ok {
		return id, nil
	}
	thumbprint := hex.EncodeToString(digest[:])
	c, err := s.store.CustomerByThumbprint(ctx, thumbprint)
	if errors.Is(err, store.ErrNotFound) {
		kind := "p256"
		if role == roleNative {
			kind = "ed25519"
		}
		c, err = store.Sync(ctx, func(done func(store.Customer, error)) error {
			return s.store.EnsureCustomer(thumbprint, kind, pub, done)
		})
	}
	if err != nil {
		return identity{}, storeError(err)
	}
	id = identity{customer: c.ID, key: thumbprint, generation: c.Generation}
	s.known.remember(digest, id, epoch)
	return id, nil
}

func (s *Server) identifyAgent(ctx context.Context, pub []byte, proof protocol.HelloProof) (identity, error) {
	device, agent, err := s.store.DeviceByPub(ctx, pub)
	if errors.Is(err, store.ErrNotFound) {
		if proof.Invite == "" {
			return identity{}, errProof
		}
		redeemed, rerr := store.Sync(ctx, func(done func(store.Redeemed, error)) error {
			return s.store.RedeemInvite(proof.Invite, pub, proof.Device, done)
		})
		switch {
		case errors.Is(rerr, store.ErrInviteUsed):
			return identity{}, protocol.Userf(protocol.CodeInvite, "This invite was used already. Ask for a new one.")
		case errors.Is(rerr, store.ErrInviteExpired):
			return identity{}, protocol.Userf(protocol.CodeInvite, "This invite has expired. Ask for a new one.")
		case errors.Is(rerr, store.ErrInviteUnknown):
			return identity{}, protocol.Userf(protocol.CodeInvite, "The server does not know this invite. Check it, or ask for a new one.")
		}
		device, agent, err = redeemed.Device, redeemed.Agent, rerr
	}
	switch {
	case errors.Is(err, store.ErrRevoked) || err == nil && !device.RevokedAt.IsZero():
		return identity{}, protocol.Userf(protocol.CodeRevoked, "This device was removed from the team. Ask for a new invite.")
	case err != nil:
		return identity{}, storeError(err)
	}
	return identity{agent: agent.ID, device: device.ID, name: agent.Name, role: string(agent.Role), generation: agent.Generation}, nil
}

// storeError turns the store's errors into what a person is told; others stay what they are. What the disk did is never
// final: the client keeps what it has sent and sends it again with the same id, which is stored once in any case.
func storeError(err error) error {
	var taken *store.TakenError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &taken):
		return protocol.Userf(protocol.CodeTaken, "Taken by %s.", taken.AgentName)
	case errors.Is(err, store.ErrNoneWaiting):
		return protocol.Userf(protocol.CodeNotFound, "Nobody is waiting.")
	case errors.Is(err, store.ErrNotFound):
		return protocol.Userf(protocol.CodeNotFound, "There is no such conversation, or it is not yours to see.")
	case errors.Is(err, store.ErrNotOwner):
		return protocol.Userf(protocol.CodeNotOwner, "You have not claimed this conversation.")
	case errors.Is(err, store.ErrClosed):
		return protocol.Userf(protocol.CodeConvClosed, "This conversation is closed.")
	case errors.Is(err, store.ErrIDReused):
		return protocol.Userf(protocol.CodeIDReused, "This message id was used for another text.")
	case errors.Is(err, store.ErrConflict):
		return protocol.Userf(protocol.CodeSession, "Somebody was faster; look again.")
	case errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrStopped):
		return &protocol.UserError{Code: protocol.CodeBusy, Text: "The server is busy. It is tried again.", RetryAfterMs: 500}
	case errors.Is(err, store.ErrLowSpace):
		return &protocol.UserError{Code: protocol.CodeBusy, Text: "No new conversations can begin right now. It is tried again.", RetryAfterMs: 10_000}
	case errors.Is(err, store.ErrFull), errors.Is(err, store.ErrReadOnly):
		return &protocol.UserError{Code: protocol.CodeReadOnly, Text: "Messages can't be saved right now. Yours is kept here and will be sent.", RetryAfterMs: 5000}
	case errors.Is(err, context.DeadlineExceeded):
		return &protocol.UserError{Code: protocol.CodeRetry, Text: "Saving takes long. It is tried again.", RetryAfterMs: 1000}
	case errors.Is(err, store.ErrStorage): // whether it was written is unknown, so it must not be a final no; see storeWatch for the operator
		return &protocol.UserError{Code: protocol.CodeRetry, Text: "The server's disk failed for a moment. It is tried again.", RetryAfterMs: 1000}
	case errors.Is(err, store.ErrDamaged): // as above; a restored backup takes what clients have kept
		return &protocol.UserError{Code: protocol.CodeReadOnly, Text: "Part of the data on the server is damaged. What you write is kept here and will be sent.", RetryAfterMs: 10_000}
	}
	return err
}
