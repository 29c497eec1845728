package viewer

import (
	"net/netip"
	"testing"
)

func TestForeignUser(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1
   1: 0100007F:C001 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 2
`
	if uid, ok := socketUser(table, netip.MustParseAddrPort("127.0.0.1:49153")); !ok || uid != 1001 {
		t.Errorf("got %d, %v", uid, ok)
	}
	if _, ok := socketUser(table, netip.MustParseAddrPort("127.0.0.1:8080")); ok {
		t.Error("a listening socket is nobody's request")
	}
}
