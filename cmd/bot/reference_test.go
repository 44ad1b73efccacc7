package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite generated pages")

// TestTheCommandReferenceIsTrue keeps docs/reference/cli.md equal to what the
// commands say of themselves.
func TestTheCommandReferenceIsTrue(t *testing.T) {
	t.Setenv("TOWPATH_REPO", "")
	const page = "../../docs/reference/cli.md"
	var b strings.Builder
	b.WriteString("# Command reference\n\nGenerated from the commands: `go test ./cmd/bot -run Reference -update`.\n\n" +
		"Data goes to standard output, progress and logs to standard error. Exit codes:\n\n" +
		"| code | means | of |\n|---|---|---|\n" +
		"| 0 | done; also when there are only warnings | every command |\n" +
		"| 1 | `lint`: an error · `migrate`: nothing to migrate · `plan --exit-code`: something to do · `render`: an app that cannot be rendered · `set`: a marker that cannot be written, or a name that no marker has · `agent --once`: an app that is not healthy, or was not applied | these only |\n" +
		"| 2 | a mistake in flags or arguments | every command |\n" +
		"| 3 | could not finish; of `plan`, `why` and `run --once` also that a registry could not be asked, whatever else was printed or done | every command |\n")
	for _, c := range rootCommand(std{}).Commands() {
		describeCommand(&b, c)
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(have), b.String()); d != "" {
		t.Errorf("%s is not what the commands say; rewrite it with -update:\n%s", page, d)
	}
}

func describeCommand(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "\n## towpath %s\n\n%s.\n\n%s\n", c.Use, c.Short, strings.TrimSpace(strings.ReplaceAll(c.Long, exitCodes, "")))
	if c.Example != "" {
		fmt.Fprintf(b, "\n```text\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	}
	var rows []string
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name += ", `-" + f.Shorthand + "`"
		}
		def := ""
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
			def = "`" + f.DefValue + "`"
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s |\n", name, strings.ReplaceAll(f.Usage, "|", "\\|"), def))
	})
	if len(rows) > 0 {
		b.WriteString("\n| flag | meaning | default |\n|---|---|---|\n" + strings.Join(rows, ""))
	}
}
