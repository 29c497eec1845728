package server

import (
	"crypto/sha256"
	"sync"
)

// known remembers who the customers' keys belong to, so that a storm of reconnects asks the store nothing. It keeps at
// least knownCustomers ÷ 2 of those who came last, and at most knownCustomers. Any goroutine.
type known struct {
	mu         sync.Mutex
	epoch      int // raised by each forget: what was read before it is not remembered
	young, old map[[sha256.Size]byte]identity
}

func newKnown() *known {
	return &known{young: map[[sha256.Size]byte]identity{}}
}

// get returns the identity behind the digest of a public key, and the epoch to remember one with.
func (k *known) get(digest [sha256.Size]byte) (id identity, epoch int, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id, ok = k.young[digest]; ok {
		return id, k.epoch, true
	}
	if id, ok = k.old[digest]; ok {
		k.put(digest, id)
	}
	return id, k.epoch, ok
}

// remember keeps what was read from the store at or after epoch.
func (k *known) remember(digest [sha256.Size]byte, id identity, epoch int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if epoch == k.epoch {
		k.put(digest, id)
	}
}

func (k *known) put(digest [sha256.Size]byte, id identity) {
	if len(k.young) >= knownCustomers/2 {
		k.old, k.young = k.young, map[[sha256.Size]byte]identity{}
	}
	k.young[digest] = id
}

// forget drops everything: somebody was revoked or erased. The store is asked again for each, which costs little as
// this is rare.
func (k *known) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.epoch++
	k.young, k.old = map[[sha256.Size]byte]identity{}, nil
}

// ForgetIdentities has every key looked up in the store again when its owner comes back. Call it after somebody was
// revoked or erased. Any goroutine.
func (s *Server) ForgetIdentities() { s.known.forget() }
