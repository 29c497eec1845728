package cli

// version: what this build is.

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/lookalong/lookalong/protocol"
)

func newVersionCmd(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Show the version of this program",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			version := buildVersion()
			if asJSON {
				return printJSON(a.io.Out, struct {
					Version  int    `json:"version"`
					Program  string `json:"program"`
					Build    string `json:"build"`
					Protocol []int  `json:"protocol"`
					Go       string `json:"go"`
				}{1, "lookalong", version, protocol.Versions, runtime.Version()})
			}
			_, err := fmt.Fprintf(a.io.Out, "lookalong %s, protocol %d, %s %s/%s\n", version, protocol.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	jsonFlag(cmd, &asJSON, "print one JSON object")
	return cmd
}

// buildVersion is the module's version, or the commit that it was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(len(s.Value), 12)]
		}
	}
	return "devel"
}
