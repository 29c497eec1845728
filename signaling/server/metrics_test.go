package server_test

import (
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/server"
	. "github.com/lookalong/lookalong/signaling/servertest"
)

// TestMetrics: the figures are those of what happened, and tell nothing of anybody.
func TestMetrics(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewWith(t, func(c *server.Config) {
		c.Metrics, c.Limits = l, server.DefaultLimits()
		c.Limits.IPSockets = 4
	})
	c := s.Customer(NewCustomerKey())
	conv := c.Conversation()
	s.Customer(NewCustomerKey()).Conversation()
	a, _ := s.Agent("CANARY-NAME")
	c.Say(conv.Conversation, "CANARY-TEXT")
	a.Claim(conv.Conversation)
	c.Send(protocol.SessionRequest{ID: "s", Conversation: conv.Conversation})
	Want(c, func(m protocol.SessionState) bool { return m.ID == "s" })
	unproven := s.Bare("/ws/native")
	Want[protocol.HelloChallenge](unproven, nil)
	s.Bare("/ws/native").WantClose(protocol.CloseTryLater) // the fifth of this address
	code, text := get(t, "http://"+l.Addr().String()+"/metrics")
	if code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	value := func(series string) float64 {
		t.Helper()
		m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(text)
		if m == nil {
			t.Errorf("%s is missing", series)
			return -1
		}
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Error(err)
		}
		return v
	}
	for series, want := range map[string]float64{
		`lookalong_connections{role="customer"}`: 2, `lookalong_connections{role="agent"}`: 1, "lookalong_connections_unproven": 1,
		`lookalong_connections_refused_total{reason="E_IP_LIMIT"}`: 1, "lookalong_slow_closes_total": 0, "lookalong_draining": 0,
		"lookalong_store_healthy": 1, "lookalong_queue_waiting": 1, "lookalong_conversations_in_memory": 2,
		`lookalong_sessions{path="",state="requested"}`: 1, "lookalong_hub_stuck": 0, "lookalong_relay_allocations": 0,
		"lookalong_relay_bytes_total": 0, "lookalong_commit_failures_total": 0,
	} {
		if got := value(series); got != want {
			t.Errorf("%s is %g, want %g", series, got, want)
		}
	}
	for _, series := range []string{
		"lookalong_commit_seconds_count", "lookalong_commit_seconds_sum", "lookalong_commit_writes_sum", "lookalong_outbox_messages_max",
		"lookalong_outbox_bytes_max", "lookalong_disk_free_bytes", "lookalong_queue_longest_wait_seconds", "lookalong_hub_delay_seconds", "go_goroutines",
	} {
		if value(series) <= 0 {
			t.Errorf("%s is not above 0", series)
		}
	}
	for _, series := range []string{"lookalong_write_queue_length", "lookalong_write_queue_oldest_seconds", "lookalong_hub_mailbox_length"} {
		if value(series) < 0 {
			t.Errorf("%s is below 0", series)
		}
	}
	for _, secret := range []string{"CANARY", string(conv.Conversation), string(c.Welcome.Customer), string(a.Welcome.Agent.ID), "127.0.0.1"} {
		if strings.Contains(text, secret) {
			t.Errorf("the figures hold %q", secret)
		}
	}
	a.Close()
	c.Close()
}
