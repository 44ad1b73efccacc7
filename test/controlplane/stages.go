package controlplane

import (
	_ "embed" // for the stages
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// stagesYAML is what kwok plays on nodes and pods. The words FAILING_VALUES and FAILING_LIST stand
// for the failing images, as a list in YAML and as the arguments of a template's list function.
//
//go:embed stages.yaml
var stagesYAML string

// writeStages writes kwok's configuration and returns its path. failing are "repository:tag".
func writeStages(dir string, failing []string) (string, error) {
	// An empty string is no image, and kwok accepts no empty list.
	if len(failing) == 0 {
		failing = []string{""}
	}
	quoted := make([]string, len(failing))
	for i, image := range failing {
		raw, err := json.Marshal(image)
		if err != nil {
			return "", fmt.Errorf("write kwok's stages: %w", err)
		}
		quoted[i] = string(raw)
	}
	text := strings.NewReplacer(
		"FAILING_VALUES", "["+strings.Join(quoted, ", ")+"]",
		"FAILING_LIST", strings.Join(quoted, " "),
	).Replace(stagesYAML)
	path := filepath.Join(dir, "stages.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write kwok's stages: %w", err)
	}
	return path, nil
}
