package server

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	sources, err := configure(cmd.Flags(), func(name string) (string, bool) { v, ok := env[name]; return v, ok })
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

func TestVariablesThatLookLikeSettings(t *testing.T) {
	s, out, errs := term.Test("")
	strangers(s, []string{"LOOKALONG_LISTN=x", "LOOKALONG_LISTEN=y", "LOOKALONG_CONFIG=z", "LOOKALONG_HOME=h", "PATH=p", "LOOKALONG_TRUN_LISTEN=secret-value"})
	if got := errs.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "did you mean LOOKALONG_LISTEN?") ||
		!strings.Contains(got, "did you mean LOOKALONG_TURN_LISTEN?") || strings.Contains(got, "secret-value") || out.Len() > 0 {
		t.Errorf("warned of:\n%s", got)
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
		sources, err := configure(cmd.Flags(), func(string) (string, bool) { return "", false })
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
