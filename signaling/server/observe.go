package server

// What an operator looks at, on listeners of its own: figures and profiles.

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// checkObservers reads the addresses without opening them.
func (o *ServeOptions) checkObservers() error {
	if o.MetricsListen != "" {
		host, _, err := net.SplitHostPort(o.MetricsListen)
		if err != nil {
			return usageError{fmt.Errorf("--metrics-listen %q is no address such as 127.0.0.1:9100", o.MetricsListen)}
		}
		// Who types one public address means it (a firewall may stand before it); all addresses are rarely meant.
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			return usageError{fmt.Errorf("--metrics-listen %s would show the figures on every network: name one address, such as 127.0.0.1:9100", o.MetricsListen)}
		}
	}
	if o.PprofListen != "" {
		ap, err := netip.ParseAddrPort(o.PprofListen)
		if err != nil || !ap.Addr().IsLoopback() {
			return usageError{fmt.Errorf("--pprof %q is no loopback address such as 127.0.0.1:6060: profiles hold what is in memory", o.PprofListen)}
		}
	}
	return nil
}

// observe opens them.
func (o *ServeOptions) observe(ctx context.Context, cfg *Config) (err error) {
	var lc net.ListenConfig
	if o.MetricsListen != "" {
		if cfg.Metrics, err = lc.Listen(ctx, "tcp", o.MetricsListen); err != nil {
			return portError("--metrics-listen", o.MetricsListen, err)
		}
	}
	if o.PprofListen != "" {
		if cfg.Pprof, err = lc.Listen(ctx, "tcp", o.PprofListen); err != nil {
			return portError("--pprof", o.PprofListen, err)
		}
	}
	cfg.WatchdogEvery = watchdogInterval()
	return nil
}
