package viewer

// Which user's program is at the other end of a loopback connection: Linux lists it in /proc/net/tcp.

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// foreignUser reports whether the socket at from belongs to a user other than this process's and root. False where
// the kernel does not say.
func foreignUser(from netip.AddrPort) bool {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil || !from.Addr().Is4() {
		return false
	}
	uid, ok := socketUser(string(table), from)
	return ok && uid != 0 && uid != os.Getuid()
}

// socketUser finds the owner of the socket with the local address addr in the text of /proc/net/tcp (proc_net(5)).
func socketUser(table string, addr netip.AddrPort) (uid int, ok bool) {
	a := addr.Addr().As4()
	local := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(a[:]), addr.Port())
	for line := range strings.Lines(table) {
		f := strings.Fields(line) // sl local remote st queues timer retransmits uid
		if len(f) > 7 && f[1] == local && f[3] == "01" {
			uid, err := strconv.Atoi(f[7])
			return uid, err == nil
		}
	}
	return 0, false
}
