package server

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/internal/term"
)

// parsed is what serve gets from a command line, an environment and a file.
func parsed(t *testing.T, env map[string]string, file string, args ...string) (*ServeOptions, map[string]string, error) {
	t.Helper()
	var got *ServeOptions
	cmd := newServeCmd(term.Streams{}, nil)
	configured(cmd)
	if file != "" {
		path := filepath.Join(t.TempDir(), "lookalong.toml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	var environ []string
	for name, value := range env {
		environ = append(environ, name+"="+value)
	}
	sources, err := configure(cmd.Flags(), environ)
	if err != nil {
		return nil, nil, err
	}
	got = &ServeOptions{}
	f := cmd.Flags()
	got.Listen, _ = f.GetString("listen")
	got.SiteName, _ = f.GetString("site-name")
	got.RelayOnly, _ = f.GetBool("relay-only")
	got.RelayAllow, _ = f.GetStringArray("relay-allow")
	got.Data, _ = f.GetString("data")
	return got, sources, nil
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	env := map[string]string{"LOOKALONG_LISTEN": ":2", "LOOKALONG_SITE_NAME": "env", "LOOKALONG_DATA": "", "LOOKALONG_RELAY_ALLOW": "10.0.0.0/8, 10.1.0.0/16"}
	file := "listen = ':3'\nsite-name = 'file'\ndata = 'kept'\nrelay-only = true\nrelay-allow = ['192.168.0.0/16']\n"
	got, from, err := parsed(t, env, file, "--listen", ":1")
	if err != nil {
		t.Fatal(err)
	}
	if got.Listen != ":1" || from["listen"] != "--listen" {
		t.Errorf("a flag: %q from %s", got.Listen, from["listen"])
	}
	if got.SiteName != "env" || from["site-name"] != "LOOKALONG_SITE_NAME" {
		t.Errorf("the environment: %q from %s", got.SiteName, from["site-name"])
	}
	if got.Data != "kept" || !got.RelayOnly || !strings.HasSuffix(from["data"], "lookalong.toml") {
		t.Errorf("the file, where the variable is empty: %q %v from %s", got.Data, got.RelayOnly, from["data"])
	}
	if !slices.Equal(got.RelayAllow, []string{"10.0.0.0/8", "10.1.0.0/16"}) {
		t.Errorf("a list from the environment: %q", got.RelayAllow)
	}
	if from["tls-key"] != "default" {
		t.Errorf("nothing: %s", from["tls-key"])
	}
	got, _, err = parsed(t, nil, file)
	if err != nil || !slices.Equal(got.RelayAllow, []string{"192.168.0.0/16"}) {
		t.Errorf("a list from the file: %+v %v", got, err)
	}
}

func TestConfigMistakesNameTheSetting(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		file string
		want []string
	}{
		"near":             {file: "lisen = ':1'", want: []string{`"lisen" is no setting`, `"listen"`}},
		"underscore":       {file: "site_name = 'x'", want: []string{`did you mean "site-name"`}},
		"not near":         {file: "wallpaper = 'x'", want: []string{`"wallpaper" is no setting`}},
		"not a setting":    {file: "help = true", want: []string{`"help" is no setting`}},
		"config in itself": {file: "config = 'x'", want: []string{`"config" is no setting`}},
		"syntax":           {file: "listen = ':1'\ndata = ", want: []string{"line 2"}},
		"twice":            {file: "listen = ':1'\nlisten = ':2'", want: []string{"line 2"}},
		"a table":          {file: "[listen]\nx = 1", want: []string{"listen", "takes a text"}},
		"a list":           {file: "listen = ['a', 'b']", want: []string{"listen", "not a list"}},
		"a list of lists":  {file: "relay-allow = [['a']]", want: []string{"relay-allow", "not a list"}},
		"wrong kind":       {file: "relay-only = 'perhaps'", want: []string{"relay-only", "true or false"}},
		"wrong in env":     {env: map[string]string{"LOOKALONG_RELAY_ONLY": "perhaps"}, want: []string{"LOOKALONG_RELAY_ONLY", "true or false"}},
		"no file":          {env: map[string]string{"LOOKALONG_CONFIG": "/nowhere/x.toml"}, want: []string{"LOOKALONG_CONFIG", "no such file"}},
		"a folder":         {env: map[string]string{"LOOKALONG_CONFIG": os.TempDir()}, want: []string{"LOOKALONG_CONFIG", "can't be read"}},
		"too large":        {file: "listen = ':1'\n#" + strings.Repeat("x", configBytes), want: []string{"larger than"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := parsed(t, c.env, c.file)
			if _, ok := errors.AsType[usageError](err); !ok {
				t.Fatalf("got %v, want a wrong usage", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

// TestVariablesThatLookLikeSettings: a slip of the finger is refused with the right name, and what belongs to others is
// left alone: to the agent's program, to tests, to Kubernetes (which writes such for a service called lookalong), to cobra.
func TestVariablesThatLookLikeSettings(t *testing.T) {
	known := settings()
	for entry, want := range map[string]string{
		"LOOKALONG_LISTN=:8080":              "LOOKALONG_LISTN is no setting; did you mean LOOKALONG_LISTEN?",
		"LOOKALONG_TRUN_LISTEN=secret-value": "LOOKALONG_TRUN_LISTEN is no setting; did you mean LOOKALONG_TURN_LISTEN?",
		"LOOKALONG_listen=:8080":             "LOOKALONG_listen is no setting; did you mean LOOKALONG_LISTEN?",
		"LOOKALONG_DTA=/srv":                 "LOOKALONG_DTA is no setting; did you mean LOOKALONG_DATA?",
		"LOOKALONG_CONFG=x.toml":             "LOOKALONG_CONFG is no setting; did you mean LOOKALONG_CONFIG?",
	} {
		err := checkVariables(known, []string{"PATH=p", entry, "LOOKALONG_LISTEN=y"})
		if _, ok := errors.AsType[usageError](err); !ok || err.Error() != want {
			t.Errorf("%s: %v, want %s", entry, err, want)
		}
	}
	if err := checkVariables(known, []string{"LOOKALONG_LISTN=x", "LOOKALONG_DTA=y"}); err == nil || strings.Count(err.Error(), "did you mean") != 2 {
		t.Errorf("of two: %v", err)
	}
	others := []string{"PATH=p", "LISTN=x", "LOOKALONG_LISTN=", "LOOKALONG_LISTEN=y", "LOOKALONG_CONFIG=z"}
	for _, name := range append(ofClients, "LOOKALONG_BROWSER", "LOOKALONG_SEED", "LOOKALONG_SOAK", "LOOKALONG_ROUNDS",
		"LOOKALONG_SERVICE_HOST", "LOOKALONG_SERVICE_PORT", "LOOKALONG_SERVICE_PORT_HTTP", "LOOKALONG_PORT", "LOOKALONG_PORT_8080_TCP",
		"LOOKALONG_PORT_8080_TCP_ADDR", "LOOKALONG_PORT_8080_TCP_PORT", "LOOKALONG_PORT_8080_TCP_PROTO", "LOOKALONG_SIGNALING_ACTIVE_HELP") {
		others = append(others, name+"=x")
	}
	if err := checkVariables(known, others); err != nil {
		t.Errorf("of what belongs to others: %v", err)
	}
}

// TestSocketsFitIntoTheFileLimit: the flag at the most that fits, one above and ten times above; 0 is the most.
func TestSocketsFitIntoTheFileLimit(t *testing.T) {
	most := mostSockets()
	for n, want := range map[int]int{0: 0, 1: 0, most: 0, most + 1: 2, 10 * most: 2, -1: 2} {
		s, out, errs := term.Test("")
		code := Main(t.Context(), []string{"config-check", "--data", filepath.Join(t.TempDir(), "data"), "--max-sockets", strconv.Itoa(n)}, s)
		if code != want || want == 2 && !strings.Contains(errs.String(), "--max-sockets") {
			t.Errorf("%d of %d sockets: exit code %d, want %d\n%s%s", n, most, code, want, out, errs)
		}
	}
}

// FuzzConfig: whatever the file, it gives settings or a wrong usage, and no setting that isn't in it changes.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{"", "listen = ':8080'", "relay-allow = ['10.0.0.0/8']", "relay-only = true", "[a.b]\nc = 1", "listen = 1979-05-27", "data = \"\"\"\n\"\"\"", "no-relay = 0x1", "x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parseConfig(data)
		if err != nil {
			return
		}
		known := settings()
		if err := checkKeys(known, file); err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "x.toml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := newServeCmd(term.Streams{}, nil)
		configured(cmd)
		if err := cmd.ParseFlags([]string{"--config", path}); err != nil {
			t.Fatal(err)
		}
		sources, err := configure(cmd.Flags(), nil)
		if err != nil {
			if _, ok := errors.AsType[usageError](err); !ok {
				t.Fatal(err)
			}
			return
		}
		for name, from := range sources {
			if _, in := file[name]; in != (from == path) || !in && cmd.Flags().Lookup(name).Changed {
				t.Fatalf("%s is from %s", name, from)
			}
		}
	})
}
