package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lookalong/lookalong/signaling/store"
)

func (o *ServeOptions) config(ctx context.Context) (cfg Config, err error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil {
		return cfg, usageError{fmt.Errorf("--log-level %q is not debug, info, warn or error", o.LogLevel)}
	}
	handler := slog.Handler(slog.NewJSONHandler(o.streams.Err, &slog.HandlerOptions{Level: level}))
	if o.streams.ErrTTY {
		handler = slog.NewTextHandler(o.streams.Err, &slog.HandlerOptions{Level: level})
	}
	cfg = Config{SiteName: o.SiteName, RelayOnly: o.RelayOnly, MaxSockets: o.MaxSockets, Log: slog.New(handler), Notify: notifySystemd}
	defer func() {
		if err != nil {
			cfg.close()
		}
	}()
	if o.URL != "" {
		if cfg.URL, err = url.Parse(o.URL); err != nil || cfg.URL.Host == "" || cfg.URL.Scheme != "http" && cfg.URL.Scheme != "https" {
			return cfg, usageError{fmt.Errorf("--url %q is not an address such as https://help.example.com", o.URL)}
		}
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return cfg, usageError{errors.New("--tls-cert and --tls-key belong together")}
	}
	if o.TLSCert != "" {
		if o.URL == "" {
			return cfg, usageError{errors.New("--tls-cert needs --url, the address that the certificate is for")}
		}
		cert, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
		if err != nil {
			return cfg, hint{fmt.Errorf("the certificate can't be used: %w", err), "check --tls-cert and --tls-key: both are PEM files and belong together"}
		}
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	}
	if most := mostSockets(); o.MaxSockets < 0 || o.MaxSockets > most {
		return cfg, usageError{fmt.Errorf("--max-sockets %d is not a number from 1 to %d, nor 0 for as many: this process's limit is %d open files (ulimit -n, LimitNOFILE), of which %d are kept for others",
			o.MaxSockets, most, fileLimit(), fdReserve)}
	}
	if o.RelayOnly && o.NoRelay {
		return cfg, usageError{errors.New("--relay-only needs the relay that --no-relay switches off: leave one out")}
	}
	if err := o.relay(ctx, &cfg); err != nil {
		return cfg, err
	}
	if cfg.TrustedProxies, err = proxies(o.TrustedProxies); err != nil {
		return cfg, err
	}
	for flag, days := range map[string]int{"chat": o.RetentionChat, "audit": o.RetentionAudit} {
		if days < 0 || days > maxDays {
			return cfg, usageError{fmt.Errorf("--retention-%s %d is not a number of days from 1 to %d, nor 0 for ever", flag, days, maxDays)}
		}
	}
	cfg.Retention = store.RetentionPolicy{Chat: time.Duration(o.RetentionChat) * 24 * time.Hour, Audit: time.Duration(o.RetentionAudit) * 24 * time.Hour}
	if err := o.checkObservers(); err != nil {
		return cfg, err
	}
	if err := o.listen(ctx, &cfg); err != nil {
		return cfg, err
	}
	if cfg.Store, err = store.Open(ctx, store.Options{Dir: o.Data, StopNewBelow: int64(o.DiskStopNew), ReadOnlyBelow: int64(o.DiskReadOnly)}); err != nil {
		return cfg, folderError(err)
	}
	return cfg, nil
}

const maxDays = 36500 // a century: more is a slip of the finger

// listen opens the public sockets, or takes those that systemd has opened.
func (o *ServeOptions) listen(ctx context.Context, cfg *Config) (err error) {
	var lc net.ListenConfig
	if cfg.Listener, cfg.UDP = o.passed.take(); cfg.Listener == nil {
		if cfg.Listener, err = lc.Listen(ctx, "tcp", o.Listen); err != nil {
			return portError("--listen", o.Listen, err)
		}
	}
	if o.URL == "" && !isLoopback(cfg.Listener.Addr()) {
		return usageError{fmt.Errorf("%s is open to other machines: name the public address with --url https://HOST", cfg.Listener.Addr())}
	}
	if o.NoRelay && cfg.UDP != nil {
		return usageError{errors.New("systemd passes a UDP socket, and --no-relay wants none: take ListenDatagram out of the socket unit")}
	}
	if !o.NoRelay && cfg.UDP == nil {
		if cfg.UDP, err = lc.ListenPacket(ctx, "udp", o.TurnListen); err != nil {
			return portError("--turn-listen", o.TurnListen, err)
		}
	}
	return nil
}

// proxies reads --trusted-proxy: networks, or single addresses.
func proxies(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if ip, aerr := netip.ParseAddr(text); err != nil && aerr == nil && ip.Zone() == "" {
			p, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			return nil, usageError{fmt.Errorf("--trusted-proxy %q is not an address or a network such as 10.0.0.0/24", text)}
		}
		if p.Bits() == 0 {
			return nil, usageError{fmt.Errorf("--trusted-proxy %s would believe everybody: name the proxy's own address", text)}
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// relay reads the relay's flags.
func (o *ServeOptions) relay(ctx context.Context, cfg *Config) (err error) {
	if o.RelayAddress != "" {
		public, local, _ := strings.Cut(o.RelayAddress, "/")
		if cfg.RelayIP, err = netip.ParseAddr(public); err != nil {
			return usageError{fmt.Errorf("--relay-address %q is not an IP address", o.RelayAddress)}
		}
		if local != "" {
			if cfg.RelayBindIP, err = netip.ParseAddr(local); err != nil {
				return usageError{fmt.Errorf("--relay-address %q is not an IP address", o.RelayAddress)}
			}
		}
	} else if cfg.URL != nil && !o.NoRelay {
		if cfg.RelayIP = ownAddress(ctx); !cfg.RelayIP.IsValid() {
			return usageError{errors.New("--relay-address is needed: this machine's own address could not be found")}
		}
	}
	for _, u := range o.TurnURLs {
		if !strings.HasPrefix(u, "turn:") && !strings.HasPrefix(u, "turns:") {
			return usageError{fmt.Errorf("--turn-url %q is no address such as turn:HOST:PORT?transport=udp", u)}
		}
	}
	cfg.TurnURLs = o.TurnURLs
	first, last, ok := strings.Cut(o.RelayPorts, "-")
	minPort, err1 := strconv.ParseUint(first, 10, 16)
	maxPort, err2 := strconv.ParseUint(last, 10, 16)
	if !ok || err1 != nil || err2 != nil || minPort == 0 || minPort > maxPort {
		return usageError{fmt.Errorf("--relay-ports %q is not FIRST-LAST", o.RelayPorts)}
	}
	cfg.RelayMinPort, cfg.RelayMaxPort = uint16(minPort), uint16(maxPort)
	for _, p := range o.RelayAllow {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			return usageError{fmt.Errorf("--relay-allow %q is not a network such as 10.1.0.0/16", p)}
		}
		cfg.RelayAllow = append(cfg.RelayAllow, prefix)
	}
	return nil
}

func isLoopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().IsLoopback()
}

func portError(flag, addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return hint{fmt.Errorf("%s is in use by another program", addr), "stop that program, or choose another address with " + flag}
	case errors.Is(err, syscall.EACCES):
		return hint{fmt.Errorf("%s is not allowed for this user", addr), "choose a port above 1023 with " + flag + ", or give the program the right to bind low ports"}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return hint{fmt.Errorf("%s is not an address of this machine", addr), "choose one with " + flag}
	}
	return hint{fmt.Errorf("can't listen on %s: %w", addr, err), "choose another address with " + flag}
}

func folderError(err error) error {
	todo := "choose another folder with --data, or make this one yours alone (chmod 700)"
	switch {
	case errors.Is(err, store.ErrLocked):
		todo = "stop the other server, or choose another folder with --data"
	case errors.Is(err, store.ErrNewer):
		todo = "install the newer version"
	case errors.Is(err, store.ErrBusy):
		todo = "try again in a moment: another program writes to the data folder"
	case errors.Is(err, store.ErrFull):
		todo = "make room on the disk of the data folder; what is stored is safe"
	case errors.Is(err, store.ErrReadOnly):
		todo = "mount the disk of the data folder for writing"
	case errors.Is(err, store.ErrDamaged):
		todo = "keep a copy of the data folder, then restore the last whole backup"
	case errors.Is(err, store.ErrStorage):
		todo = "look at the disk: its health, and what the system's log says of it"
	}
	return hint{err, todo}
}
