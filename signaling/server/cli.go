package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/signaling/store"
)

// ServeOptions are the flags of serve.
type ServeOptions struct {
	Listen, URL, Data, TurnListen, RelayAddress, RelayPorts string
	SiteName, TLSCert, TLSKey, LogLevel                     string
	MetricsListen, PprofListen                              string
	RelayAllow, TurnURLs, TrustedProxies                    []string
	RelayOnly, NoRelay                                      bool
	MaxSockets, RetentionChat, RetentionAudit               int
	DiskStopNew, DiskReadOnly                               byteSize
	streams                                                 term.Streams
	passed                                                  *passedSockets // nil: none, the flags' addresses are opened
}

// usageError is a wrong flag or argument: exit code 2.
type usageError struct{ error }

// hint adds the line that says what to do.
type hint struct {
	error
	todo string
}

func (h hint) Unwrap() error { return h.error }

// Main runs the program and returns its exit code: 0 done, 1 failed, 2 wrong usage.
func Main(ctx context.Context, args []string, s term.Streams) int {
	root := newRootCmd(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	text := strings.ReplaceAll(err.Error(), "store: ", "") // at each level that added a fact
	if strings.HasPrefix(text, "unknown command") {
		text, _, _ = strings.Cut(text, "\n")
		err = hint{usageError{err}, "lookalong-signaling --help lists the commands"}
	}
	fmt.Fprintf(s.Err, "lookalong-signaling: %s\n", term.Line(text))
	if h, ok := errors.AsType[hint](err); ok {
		fmt.Fprintf(s.Err, "hint: %s\n", h.todo)
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}

func newRootCmd(s term.Streams) *cobra.Command {
	root := &cobra.Command{
		Use: "lookalong-signaling", Short: "The server of Lookalong: chat, presence, session set-up and the relay",
		Example: `  lookalong-signaling serve --data ./data
  lookalong-signaling serve --listen :443 --url https://help.example.com --tls-cert cert.pem --tls-key key.pem --data /var/lib/lookalong
  lookalong-signaling invite --name "Ana" --role agent --data ./data`,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetIn(s.In)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(configured(append(dataCmds(s), newServeCmd(s, runServe), newInviteCmd(s))...)...)
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no argument, got %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

func newServeCmd(s term.Streams, run func(context.Context, *ServeOptions) error) *cobra.Command {
	o := &ServeOptions{streams: s, DiskStopNew: byteSize(store.StopNewBelow), DiskReadOnly: byteSize(store.ReadOnlyBelow)}
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the server", Args: noArgs,
		Example: `  lookalong-signaling serve --data ./data                       # on this machine: http://localhost:8080
  lookalong-signaling serve --listen :443 --url https://help.example.com --tls-cert cert.pem --tls-key key.pem --relay-address 203.0.113.5`,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8080", "TCP address for HTTP, WebSocket and TURN over TCP")
	f.StringVar(&o.URL, "url", "", "public address, such as https://help.example.com; empty: this machine only")
	f.StringVar(&o.Data, "data", "data", "data folder; made if missing")
	f.StringVar(&o.TurnListen, "turn-listen", "127.0.0.1:3478", "UDP address for STUN and TURN")
	f.StringArrayVar(&o.TurnURLs, "turn-url", nil, "TURN address told to clients, such as turn:turn.example.com:3478?transport=udp, where it is not this machine's own; repeat for more")
	f.StringVar(&o.RelayAddress, "relay-address", "", "IP address that relays are reached at; PUBLIC or PUBLIC/LOCAL behind a NAT")
	f.StringVar(&o.RelayPorts, "relay-ports", "49152-65535", "UDP ports of relays, FIRST-LAST")
	f.StringArrayVar(&o.RelayAllow, "relay-allow", nil, "private network that relays may reach, such as 10.1.0.0/16; repeat for more")
	f.BoolVar(&o.RelayOnly, "relay-only", false, "send every session through the relay, so that the two sides do not see each other's address")
	f.BoolVar(&o.NoRelay, "no-relay", false, "no STUN and TURN: only direct paths work")
	f.StringVar(&o.SiteName, "site-name", "Lookalong", "name that customers see")
	f.StringVar(&o.TLSCert, "tls-cert", "", "certificate chain (PEM)")
	f.StringVar(&o.TLSKey, "tls-key", "", "private key (PEM)")
	f.StringArrayVar(&o.TrustedProxies, "trusted-proxy", nil, "address or network of a proxy before this server, such as 127.0.0.1 or 10.0.0.0/24: its X-Forwarded-For says where a client is; repeat for more")
	f.IntVar(&o.MaxSockets, "max-sockets", 0, "connections at once; 0: the limit of open files less 800")
	f.Var(&o.DiskStopNew, "disk-stop-new", "free disk space below which no new conversation begins; off: no such limit")
	f.Var(&o.DiskReadOnly, "disk-read-only", "free disk space below which nothing more is stored; off: no such limit")
	f.IntVar(&o.RetentionChat, "retention-chat", 90, "days after which an ended conversation is deleted; 0: never")
	f.IntVar(&o.RetentionAudit, "retention-audit", 400, "days after which an entry of the audit log is deleted; 0: never")
	f.StringVar(&o.MetricsListen, "metrics-listen", "", "address for /metrics, /healthz and /readyz, such as 127.0.0.1:9100; empty: none. Anybody who reaches it can read them")
	f.StringVar(&o.PprofListen, "pprof", "", "loopback address for Go's profiles, such as 127.0.0.1:6060; empty: none")
	f.StringVar(&o.LogLevel, "log-level", "warn", "debug, info, warn or error")
	return cmd
}

// runServe opens what the server needs, says how to use it, and serves until ctx ends.
func runServe(ctx context.Context, o *ServeOptions) error {
	passed, err := systemdSockets()
	if err != nil {
		return err
	}
	o.passed = passed
	cfg, err := o.config(ctx)
	if err != nil {
		passed.close()
		return err
	}
	if err := o.observe(ctx, &cfg); err != nil {
		cfg.close()
		return err
	}
	srv, err := New(cfg)
	if err != nil {
		cfg.close()
		return err
	}
	invite, err := prepareInvite(ctx, o.Data)
	if err != nil {
		cfg.close()
		return err
	}
	limitMemory(cfg.Log)
	o.banner(cfg, invite)
	return srv.Run(ctx)
}

// close frees what config opened when the server does not get to run.
func (c *Config) close() {
	if c.Listener != nil {
		c.Listener.Close()
	}
	if c.UDP != nil {
		c.UDP.Close()
	}
	for _, l := range []net.Listener{c.Metrics, c.Pprof} {
		if l != nil {
			l.Close()
		}
	}
	if c.Store != nil {
		c.Store.Close()
	}
}
