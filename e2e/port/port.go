// Package port finds ports for programs that tests start.
package port

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// The range that systems give to nobody by themselves: a port which ":0" has found and given back is soon that of
// somebody's outgoing connection, long before the program that should have it listens.
const first, last = 10_000, 32_000

var (
	mu    sync.Mutex
	taken = map[int]bool{}
)

// Free returns an address of 127.0.0.1 on which nobody listens, and which no other call in this process returns.
func Free(t testing.TB) string {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	for range 1000 {
		n := first + rand.IntN(last-first)
		if taken[n] {
			continue
		}
		taken[n] = true
		addr := fmt.Sprintf("127.0.0.1:%d", n)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp", addr)
		l.Close()
		if err != nil {
			continue
		}
		u.Close()
		return addr
	}
	t.Fatal("port: none is free")
	return ""
}
