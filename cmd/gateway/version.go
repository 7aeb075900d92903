package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what `gateway version` says.
type versionInfo struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	// Variant is the level of the architecture that it was built for, such as GOARM 6.
	Variant string `json:"variant,omitempty"`
}

func currentVersion() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		v.Version = cmp.Or(v.Version, "unknown")
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Version = cmp.Or(v.Version, s.Value)
		case "GOARM", "GOARM64", "GOAMD64", "GO386":
			v.Variant = s.Value
		}
	}
	v.Version = cmp.Or(v.Version, info.Main.Version, "unknown")
	return v
}

func newVersion(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and what it was built with and for",
		Example: "  gateway version\n  gateway version --json",
		Args:    cobra.NoArgs,
		RunE: action(func(*cobra.Command, []string) error {
			v := currentVersion()
			if asJSON {
				return writeJSON(std.out, v)
			}
			_, err := fmt.Fprintf(std.out, "gateway %s (%s, %s/%s %s)\n", v.Version, v.Go, v.OS, v.Arch, v.Variant)
			return err
		}),
	}
	addJSON(cmd, &asJSON)
	return cmd
}

func addJSON(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON, for scripts")
}

// writeJSON writes v as indented JSON with an end of line.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
