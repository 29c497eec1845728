package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/signaling/store"
)

// firstInvite is the file in the data folder that holds the first agent's invite until somebody used it.
const firstInvite = "first-invite"

// ServeOptions are the flags of serve.
type ServeOptions struct {
	Listen, URL, Data, TurnListen, RelayAddress, RelayPorts string
	SiteName, TLSCert, TLSKey, LogLevel                     string
	RelayAllow, TurnURLs                                    []string
	RelayOnly, NoRelay                                      bool
	streams                                                 term.Streams
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
	fmt.Fprintf(s.Err, "lookalong-signaling: %s\n", term.Line(strings.TrimPrefix(err.Error(), "store: ")))
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
	root.AddCommand(newServeCmd(s, runServe), newInviteCmd(s))
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no argument, got %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

func newServeCmd(s term.Streams, run func(context.Context, *ServeOptions) error) *cobra.Command {
	o := &ServeOptions{streams: s}
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
	f.StringVar(&o.LogLevel, "log-level", "warn", "debug, info, warn or error")
	return cmd
}

// runServe opens what the server needs, says how to use it, and serves until ctx ends.
func runServe(ctx context.Context, o *ServeOptions) error {
	cfg, err := o.config(ctx)
	if err != nil {
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
	if c.Store != nil {
		c.Store.Close()
	}
}

func (o *ServeOptions) config(ctx context.Context) (cfg Config, err error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil {
		return cfg, usageError{fmt.Errorf("--log-level %q is not debug, info, warn or error", o.LogLevel)}
	}
	handler := slog.Handler(slog.NewJSONHandler(o.streams.Err, &slog.HandlerOptions{Level: level}))
	if o.streams.ErrTTY {
		handler = slog.NewTextHandler(o.streams.Err, &slog.HandlerOptions{Level: level})
	}
	cfg = Config{SiteName: o.SiteName, RelayOnly: o.RelayOnly, Log: slog.New(handler)}
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
	if err := o.relay(ctx, &cfg); err != nil {
		return cfg, err
	}
	var lc net.ListenConfig
	if cfg.Listener, err = lc.Listen(ctx, "tcp", o.Listen); err != nil {
		return cfg, portError("--listen", o.Listen, err)
	}
	if o.URL == "" && !isLoopback(cfg.Listener.Addr()) {
		return cfg, usageError{fmt.Errorf("--listen %s is open to other machines: name the public address with --url https://HOST", o.Listen)}
	}
	if !o.NoRelay {
		if cfg.UDP, err = lc.ListenPacket(ctx, "udp", o.TurnListen); err != nil {
			return cfg, portError("--turn-listen", o.TurnListen, err)
		}
	}
	if cfg.Store, err = store.Open(ctx, store.Options{Dir: o.Data}); err != nil {
		return cfg, folderError(err)
	}
	return cfg, nil
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
	}
	return hint{err, todo}
}

// prepareInvite writes the first agent's invite into the data folder while there is no agent, and removes it once
// there is one. It returns the file's path, or nothing when it isn't needed any more.
func prepareInvite(ctx context.Context, data string) (string, error) {
	path := filepath.Join(data, firstInvite)
	needed := false
	err := store.Use(ctx, store.Options{Dir: data}, func(ctx context.Context, s *store.Store) error {
		known, err := s.HasAgents(ctx)
		if err != nil || known {
			return err
		}
		needed = true
		token, err := store.Sync(ctx, func(done func(string, error)) error {
			return s.CreateInvite("Admin", store.RoleAdmin, store.InviteTTL, done)
		})
		if err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.WriteFile(path, []byte(token+"\n"), 0o600)
	})
	if err != nil {
		return "", folderError(fmt.Errorf("the first invite could not be written: %w", err))
	}
	if !needed {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", folderError(err)
		}
		return "", nil
	}
	return path, nil
}

// banner says in a few lines what to do next; what was done already is left out.
func (o *ServeOptions) banner(cfg Config, invite string) {
	address := o.URL
	if address == "" {
		_, port, _ := net.SplitHostPort(cfg.Listener.Addr().String())
		address = "http://localhost:" + port
	}
	program := "lookalong"
	if beside := filepath.Join(filepath.Dir(os.Args[0]), "lookalong"); strings.ContainsRune(os.Args[0], filepath.Separator) {
		if _, err := os.Stat(beside); err == nil {
			program = beside
		}
	}
	fmt.Fprintf(o.streams.Out, "Lookalong is running. Stop it with Ctrl-C; everything it keeps is in %s.\n\n", o.Data)
	fmt.Fprintf(o.streams.Out, "  Customer, in a browser:            %s\n", address)
	if invite != "" {
		fmt.Fprintf(o.streams.Out, "  Agent, in a second terminal:       %s login %s < %s && %s chat --next\n\n", program, address, invite, program)
		return
	}
	fmt.Fprintf(o.streams.Out, "  Agent, in a second terminal:       %s chat --next\n\n", program)
}

// newInviteCmd makes invites on the server's machine, also while the server runs.
func newInviteCmd(s term.Streams) *cobra.Command {
	var name, role, data string
	cmd := &cobra.Command{
		Use: "invite", Short: "Make an invite for an agent; prints one line", Args: noArgs,
		Example: `  lookalong-signaling invite --name "Ana" --role agent --data ./data
  lookalong-signaling invite --name "Ana" | ssh ana@laptop lookalong login https://help.example.com`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(name) == "" || len([]rune(name)) > 40 || term.Line(name) != name {
				return usageError{errors.New("--name is needed: what customers see, at most 40 printable characters")}
			}
			if role != "agent" && role != "lead" && role != "admin" {
				return usageError{fmt.Errorf("--role %q is not agent, lead or admin", role)}
			}
			if _, err := os.Stat(data); err != nil {
				return folderError(fmt.Errorf("the data folder %s does not exist", data))
			}
			return store.Use(cmd.Context(), store.Options{Dir: data}, func(ctx context.Context, st *store.Store) error {
				token, err := store.Sync(ctx, func(done func(string, error)) error {
					return st.CreateInvite(name, store.Role(role), store.InviteTTL, done)
				})
				if err != nil {
					return err
				}
				fmt.Fprintln(s.Out, token)
				fmt.Fprintln(s.Err, "Good for 24 hours and one login; give it to the agent on a private way.")
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the agent's name, as customers see it")
	cmd.Flags().StringVar(&role, "role", "agent", "agent, lead or admin")
	cmd.Flags().StringVar(&data, "data", "data", "the server's data folder")
	return cmd
}
