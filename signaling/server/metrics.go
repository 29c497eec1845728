package server

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lookalong/lookalong/signaling/store"
)

// metrics are the figures of one server, in a registry of its own: two servers in one process do not share any. No
// label holds what a person or a device could be told by.
type metrics struct {
	registry    *prometheus.Registry
	commitTime  prometheus.Histogram
	commitSize  prometheus.Histogram
	commitFails prometheus.Counter
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		commitTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "lookalong_commit_seconds", Help: "Time of one commit, from its begin until it is on disk.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 17), // 0.1 ms to 6.6 s: the commit deadline is 5 s
		}),
		commitSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "lookalong_commit_writes", Help: "Writes in one commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9), // to 256, the largest group
		}),
		commitFails: prometheus.NewCounter(prometheus.CounterOpts{Name: "lookalong_commit_failures_total", Help: "Commits of which nothing was stored."}),
	}
	m.registry.MustRegister(m.commitTime, m.commitSize, m.commitFails, figures{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// committed is called by the store's writer after each commit.
func (m *metrics) committed(c store.Commit) {
	m.commitTime.Observe(c.Took.Seconds())
	m.commitSize.Observe(float64(c.Size))
	if c.Err != nil {
		m.commitFails.Inc()
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// figure is one series: its description, and what kind of number it is.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc("lookalong_"+name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc("lookalong_"+name+"_total", help, labels, nil), prometheus.CounterValue}
}

var (
	figConnections = gauge("connections", "Open connections that have proved their key.", "role")
	figUnproven    = gauge("connections_unproven", "Connections that have not sent their proof yet.")
	figRefused     = counter("connections_refused", "Connections that were not let in, by the code that they were told.", "reason")
	figSlow        = counter("slow_closes", "Connections closed because their outbox was full (4001).")
	figDepthMax    = gauge("outbox_messages_max", "The most messages that ever waited for one connection.")
	figBytesMax    = gauge("outbox_bytes_max", "The most bytes that ever waited for one connection.")
	figDraining    = gauge("draining", "1 while the server stops.")
	figHealthy     = gauge("store_healthy", "1 while everything may be written.")
	figWrites      = gauge("write_queue_length", "Writes that wait for the store.")
	figOldest      = gauge("write_queue_oldest_seconds", "Age of the oldest write that is not on disk.")
	figFree        = gauge("disk_free_bytes", "Free space of the data folder's file system.")
	figConvs       = gauge("conversations_in_memory", "Conversations that the hub has in memory.")
	figWaiting     = gauge("queue_waiting", "Conversations that wait for an agent.")
	figLongest     = gauge("queue_longest_wait_seconds", "How long the first of them has waited.")
	figSessions    = gauge("sessions", "Peer sessions by state and path.", "state", "path")
	figMailbox     = gauge("hub_mailbox_length", "Events that wait for the hub.")
	figDelay       = gauge("hub_delay_seconds", "How long an event waits for the hub; the question for these figures was one.")
	figHubStuck    = gauge("hub_stuck", "1 while the hub does not answer.")
	figRelays      = gauge("relay_allocations", "Open relays.")
	figRelayBytes  = counter("relay_bytes", "Bytes that relays have taken, both ways.")

	allFigures = []figure{figConnections, figUnproven, figRefused, figSlow, figDepthMax, figBytesMax, figDraining, figHealthy, figWrites,
		figOldest, figFree, figConvs, figWaiting, figLongest, figSessions, figMailbox, figDelay, figHubStuck, figRelays, figRelayBytes}
)

// figures reads what the parts count, when somebody asks.
type figures struct{ s *Server }

// Describe implements prometheus.Collector.
func (figures) Describe(out chan<- *prometheus.Desc) {
	for _, f := range allFigures {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector. A hub that is stuck leaves its own figures out, and no others.
func (f figures) Collect(out chan<- prometheus.Metric) {
	put := func(f figure, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
	}
	st := f.s.stats
	put(figConnections, float64(st.customers.Load()), "customer")
	put(figConnections, float64(st.agents.Load()), "agent")
	_, unproven := f.s.edge.open()
	put(figUnproven, float64(unproven))
	for code, n := range st.refusals() {
		put(figRefused, float64(n), string(code))
	}
	put(figSlow, float64(st.slow.Load()))
	put(figDepthMax, float64(st.outboxDepth.Load()))
	put(figBytesMax, float64(st.outboxBytes.Load()))
	put(figDraining, one(f.s.draining.Load()))

	health := f.s.store.Health()
	put(figHealthy, one(health.Err == nil))
	put(figWrites, float64(health.Waiting))
	put(figOldest, health.Oldest.Seconds())
	if health.Free >= 0 {
		put(figFree, float64(health.Free))
	}
	if f.s.relay != nil {
		put(figRelays, float64(f.s.relay.Count()))
		put(figRelayBytes, float64(f.s.relay.Bytes()))
	}

	ctx, cancel := context.WithTimeout(context.Background(), hubPatience)
	defer cancel()
	hub, err := f.s.hub.snapshot(ctx)
	put(figHubStuck, one(err != nil))
	if err != nil {
		return
	}
	put(figConvs, float64(hub.Conversations))
	put(figWaiting, float64(hub.Waiting))
	put(figLongest, hub.LongestWait.Seconds())
	put(figMailbox, float64(hub.Mailbox))
	put(figDelay, hub.Delay.Seconds())
	for kind, n := range hub.Sessions {
		put(figSessions, float64(n), kind.State, kind.Path)
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
