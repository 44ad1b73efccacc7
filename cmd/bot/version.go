package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker (-X main.version=…) for releases.
var version = ""

type versionInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func versionCommand(s std) *cobra.Command {
	var o output
	cmd := command("version", "print the version", "Prints the version of this binary.", "  towpath version -o json", cobra.NoArgs,
		func(*cobra.Command, []string) error {
			if err := o.check(); err != nil {
				return err
			}
			v := readVersion()
			return o.print(s.out, v, func(w io.Writer) {
				fmt.Fprintf(w, "towpath %s %s/%s %s\n", v.Version, v.OS, v.Arch, v.Go)
			})
		})
	o.flag(cmd)
	return cmd
}

func readVersion() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value
		}
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	return v
}
