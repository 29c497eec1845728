package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/signaling/store"
)

// settingLine is one line of the answer of config-check.
type settingLine struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"` // a flag, a variable of the environment, a file, or "default"
}

// newConfigCheckCmd takes the flags of serve and does all that serve does before it starts.
func newConfigCheckCmd(s term.Streams) *cobra.Command {
	var asJSON bool
	opts := &ServeOptions{}
	cmd := newServeCmd(s, func(_ context.Context, o *ServeOptions) error { opts = o; return nil })
	parse := cmd.RunE
	cmd.Use, cmd.Short = "config-check", "Check flags, environment and file as serve would, without starting; prints each setting and where it is from"
	cmd.Example = `  lookalong-signaling config-check --config /etc/lookalong.toml
  LOOKALONG_LISTEN=:8080 lookalong-signaling config-check --url https://help.example.com --json`
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	var sources map[string]string
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		sources, err = configure(cmd.Flags(), os.Environ())
		return err
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := parse(cmd, args); err != nil {
			return err
		}
		if err := printSettings(s, cmd.Flags(), sources, asJSON); err != nil {
			return err
		}
		return opts.dryRun(cmd.Context(), cmd.Flags())
	}
	return cmd
}

// dryRun makes the server with ports that the system chooses and a folder of its own, and throws it away.
func (o *ServeOptions) dryRun(ctx context.Context, flags *pflag.FlagSet) (err error) {
	if err := store.CheckPlace(ctx, o.Data); err != nil {
		return folderError(unwritten(o.Data, err))
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if err != nil || !strings.HasSuffix(f.Name, "listen") && f.Name != "pprof" || f.Value.String() == "" {
			return
		}
		host, port, split := net.SplitHostPort(f.Value.String())
		if split == nil {
			_, split = net.LookupPort("tcp", port)
		}
		if split != nil {
			err = usageError{fmt.Errorf("--%s %q is no address such as 127.0.0.1:8080 or :8080", f.Name, f.Value)}
			return
		}
		err = f.Value.Set(net.JoinHostPort(host, "0"))
	})
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "lookalong-config-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	o.Data = scratch
	cfg, err := o.config(ctx)
	if err != nil {
		return err
	}
	defer func() { cfg.close() }()
	if err := o.observe(ctx, &cfg); err != nil {
		return err
	}
	_, err = New(cfg)
	return err
}

// printSettings lists all settings, secrets left out.
func printSettings(s term.Streams, flags *pflag.FlagSet, sources map[string]string, asJSON bool) error {
	var lines []settingLine
	flags.VisitAll(func(f *pflag.Flag) {
		if source, ok := sources[f.Name]; ok {
			lines = append(lines, settingLine{f.Name, redacted(f), source})
		}
	})
	if asJSON {
		return json.NewEncoder(s.Out).Encode(struct {
			Version  int           `json:"version"`
			Settings []settingLine `json:"settings"`
		}{1, lines})
	}
	w := tabwriter.NewWriter(s.Out, 0, 8, 2, ' ', 0)
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%s\n", l.Name, term.Line(l.Value), term.Line(l.Source))
	}
	return w.Flush()
}

// redacted is a flag's value without what should not be seen on a screen: secrets by the flag's name, and a
// password inside an address.
func redacted(f *pflag.Flag) string {
	value := f.Value.String()
	for _, secret := range []string{"secret", "password", "token"} {
		if strings.HasSuffix(f.Name, secret) && value != "" {
			return "[redacted]"
		}
	}
	if u, err := url.Parse(value); err == nil && u.User != nil {
		return u.Redacted()
	}
	return value
}
