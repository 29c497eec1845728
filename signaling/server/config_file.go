package server

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lookalong/lookalong/internal/term"
)

const (
	envPrefix  = "LOOKALONG_"
	configFlag = "config"
	// configBytes is how large a configuration file may be: far above one that uses every setting.
	configBytes = 1 << 20
)

// settings are the flags that may also come from the environment and the file: those of serve, which every other
// command shares where it has a flag of that name. A new flag of serve is a setting without further code.
func settings() *pflag.FlagSet { return newServeCmd(term.Streams{}, nil).Flags() }

// configured lets each command's flags come from the environment and a file too: a flag beats LOOKALONG_…, which
// beats the file that --config or LOOKALONG_CONFIG names, which beats the default.
func configured(cmds ...*cobra.Command) []*cobra.Command {
	for _, cmd := range cmds {
		cmd.Flags().String(configFlag, "", "TOML file with settings (keys are flags' names); or "+envName(configFlag))
		if cmd.PreRunE == nil {
			cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
				_, err := configure(cmd.Flags(), os.Environ())
				return err
			}
		}
	}
	return cmds
}

// envName is the environment's name of a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// configure sets the flags that the command line left alone, and says where each value is from. environ is as
// os.Environ gives it. A slip of the finger in the name of a variable or of a key in the file is a usageError: what
// somebody has set must not be without effect.
func configure(flags *pflag.FlagSet, environ []string) (sources map[string]string, err error) {
	known := settings()
	if err := checkVariables(known, environ); err != nil {
		return nil, err
	}
	lookup := lookupIn(environ)
	sources = map[string]string{}
	path, pathFrom := "", "--"+configFlag
	if f := flags.Lookup(configFlag); f != nil {
		path = f.Value.String()
	}
	if v := lookup[envName(configFlag)]; path == "" && v != "" {
		path, pathFrom = v, envName(configFlag)
	}
	var file map[string]any
	if path != "" {
		if file, err = readConfig(path); err != nil {
			return nil, usageError{fmt.Errorf("%s %s: %w", pathFrom, path, err)}
		}
	}
	if err := checkKeys(known, file); err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", path, err)}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if known.Lookup(f.Name) == nil || err != nil {
			return
		}
		sources[f.Name] = "default"
		name := envName(f.Name)
		value := lookup[name]
		inFile, isInFile := file[f.Name]
		switch {
		case f.Changed:
			sources[f.Name] = "--" + f.Name
		case value != "": // empty means not set: compose files can't leave a variable out
			sources[f.Name] = name
			err = setFlag(flags, f, strings.Split(value, ","), value)
		case isInFile:
			sources[f.Name] = path
			var list []string
			if list, err = texts(inFile, isList(f)); err == nil {
				err = setFlag(flags, f, list, strings.Join(list, ""))
			}
		}
		if err != nil {
			err = usageError{fmt.Errorf("%s: %s: %w", sources[f.Name], f.Name, err)}
		}
	})
	return sources, err
}

func isList(f *pflag.Flag) bool { _, ok := f.Value.(pflag.SliceValue); return ok }

// setFlag sets a flag to one value, or a repeatable one to all of the list.
func setFlag(flags *pflag.FlagSet, f *pflag.Flag, list []string, value string) error {
	if s, ok := f.Value.(pflag.SliceValue); ok {
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		f.Changed = true
		return s.Replace(list)
	}
	if err := flags.Set(f.Name, value); err != nil {
		return fmt.Errorf("%q is no %s", value, kindOf(f))
	}
	return nil
}

// kindOf says what a flag wants, for people.
func kindOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "true or false"
	case "duration":
		return "time such as 90s, 10m or 24h"
	case "string":
		return "text"
	case "size":
		return "size such as 512MiB or 2GiB, nor off"
	}
	return "whole number"
}

// readConfig reads a file of KEY = VALUE.
func readConfig(path string) (map[string]any, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, errors.New("the file can't be read: " + plainReason(err))
	case info.Size() > configBytes:
		return nil, fmt.Errorf("the file is larger than %d bytes", configBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.New("the file can't be read: " + plainReason(err))
	}
	return parseConfig(data)
}

// plainReason is an error of a file without the path, which stands before it already.
func plainReason(err error) string {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

func parseConfig(data []byte) (map[string]any, error) {
	var out map[string]any
	if _, err := toml.Decode(string(data), &out); err != nil {
		if p, ok := errors.AsType[toml.ParseError](err); ok {
			return nil, fmt.Errorf("line %d: %s", p.Position.Line, p.Message)
		}
		return nil, err
	}
	return out, nil
}

// checkKeys refuses what is no setting, and names the nearest that is one.
func checkKeys(known *pflag.FlagSet, file map[string]any) error {
	var unknown []string
	for key := range file {
		if known.Lookup(key) == nil || key == configFlag {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown) // the same sentence each time
	return fmt.Errorf("%q is no setting%s", unknown[0], didYouMean(known, unknown[0]))
}

// ofClients are the variables with our prefix that the agent's and the customer's programs read.
var ofClients = []string{"LOOKALONG_HOME", "LOOKALONG_SERVER"}

// lookupIn is the environment as a table; of a name that is there twice the first counts, as for getenv(3).
func lookupIn(environ []string) map[string]string {
	table := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if _, ok := table[name]; !ok {
			table[name] = value
		}
	}
	return table
}

// checkVariables refuses variables that look like a setting with a slip of the finger, and names the right one. Others
// with our prefix are left alone: Kubernetes makes LOOKALONG_SERVICE_HOST and more for a service of that name.
func checkVariables(known *pflag.FlagSet, environ []string) error {
	var wrong []string
	for name, value := range lookupIn(environ) {
		key, ours := strings.CutPrefix(name, envPrefix)
		if !ours || value == "" || name == envName(configFlag) || slices.Contains(ofClients, name) {
			continue
		}
		flag := strings.ToLower(strings.ReplaceAll(key, "_", "-"))
		near := nearest(known, flag)
		if near == "" && editDistance(flag, configFlag) <= 2 {
			near = configFlag
		}
		if near != "" && name != envName(near) {
			wrong = append(wrong, fmt.Sprintf("%s is no setting; did you mean %s?", name, envName(near)))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong) // the same sentence each time
	return usageError{errors.New(strings.Join(wrong, " "))}
}

// didYouMean names the nearest setting, if one is near.
func didYouMean(known *pflag.FlagSet, key string) string {
	if near := nearest(known, strings.ReplaceAll(key, "_", "-")); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// nearest is the setting with the fewest characters between it and key; "" if none is near.
func nearest(known *pflag.FlagSet, key string) string {
	best, least := "", max(2, len(key)/3)+1
	known.VisitAll(func(f *pflag.Flag) {
		if d := editDistance(strings.ToLower(key), f.Name); d < least && f.Name != configFlag {
			best, least = f.Name, d
		}
	})
	return best
}

// editDistance is Levenshtein's: how many characters are put in, taken out or changed.
func editDistance(a, b string) int {
	if len(a) > 64 {
		return len(a) // no setting is so long
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// texts turns a TOML value into what a flag takes: one text, or several for a flag that may be repeated.
func texts(v any, many bool) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case bool:
		return []string{strconv.FormatBool(v)}, nil
	case int64:
		return []string{strconv.FormatInt(v, 10)}, nil
	case []any:
		if !many {
			return nil, errors.New("takes one value, not a list")
		}
		out := make([]string, 0, len(v))
		for _, e := range v {
			one, err := texts(e, false)
			if err != nil {
				return nil, err
			}
			out = append(out, one...)
		}
		return out, nil
	}
	return nil, errors.New("takes a text in quotes, a number, true or false")
}
