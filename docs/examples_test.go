package docs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/policy"
)

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)\n```$")

// TestThePoliciesThatPagesShowAreRight loads every policy and pipeline that the
// README and the reference show, as strictly as the bot does.
func TestThePoliciesThatPagesShowAreRight(t *testing.T) {
	shown := 0
	for _, page := range []string{"../README.md", "reference/policies.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(block[1], "apiVersion: towpath.dev/v1") {
				continue
			}
			shown++
			cfg := policy.Load([]policy.File{{Path: page, Data: []byte(block[1] + "\n")}})
			for _, p := range cfg.Problems {
				t.Errorf("%s: %v in\n%s", page, p, block[1])
			}
			if len(cfg.Policies)+len(cfg.Pipelines) == 0 {
				t.Errorf("%s: nothing was loaded from\n%s", page, block[1])
			}
		}
	}
	if shown < 4 {
		t.Errorf("only %d documents are shown", shown)
	}
}
