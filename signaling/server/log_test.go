package server_test

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	. "github.com/lookalong/lookalong/signaling/servertest"
)

// TestTheGatewayLogsNoPersonAndNoSecret is T34's at the gateway: what comes with a socket, in its request, its hello and
// its end, is in no line of the log, at no level; what is needed to follow a socket is.
func TestTheGatewayLogsNoPersonAndNoSecret(t *testing.T) {
	s := NewWith(t, func(c *server.Config) { c.TrustedProxies = prefixes("127.0.0.1/32") })
	invite := s.Invite("CANARY-NAME", "lead")
	key := NewAgentKey()
	a := s.Open("agent", key, func(p *protocol.HelloProof) { p.Invite, p.Device = invite, "CANARY-DEVICE" })
	welcome := Want[protocol.HelloWelcome](a, nil)
	stranger := s.Open("agent", NewAgentKey(), func(p *protocol.HelloProof) { p.Invite = "CANARY-INVITE" })
	stranger.WantClose(protocol.CloseAuth)
	ws, _, err := s.Dial("/ws/native?CANARY-QUERY", map[string][]string{"X-Forwarded-For": {"198.51.100.77"}, "User-Agent": {"CANARY-AGENT"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte("CANARY-NOISE")); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = ws.ReadMessage()
	}
	ws.Close()
	a.SendRaw("CANARY-NOISE")
	Want[protocol.Error](a, nil)
	a.Close()
	s.Stop()
	log := s.Log.String()
	for _, word := range []string{"CANARY", invite, "198.51.100.77", protocol.B64.EncodeToString(key.Pub())} {
		if strings.Contains(log, word) {
			t.Errorf("the log holds %q:\n%s", word, log)
		}
	}
	for _, need := range []string{"msg=connected", "conn=" + string(welcome.Connection), "agent=" + string(welcome.Agent.ID), "msg=disconnected"} {
		if !strings.Contains(log, need) {
			t.Errorf("the log lacks %q:\n%s", need, log)
		}
	}
}
