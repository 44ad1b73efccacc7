package manifest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const (
	redacted = "[redacted]"
	// wholeWord is the length in bytes up to which a secret is replaced only
	// where it stands alone: "1" is in every line number.
	wholeWord = 3
	// shownByYAML is how much of a long value yaml's errors show.
	shownByYAML = 7
	// maxError is how much of kustomize's text is kept, in bytes; it prints
	// whole manifests.
	maxError = 2000
	// maxInside bounds YAML in texts in YAML, which inline patches are.
	maxInside = 4
)

var (
	// builtinConfig is the configuration that kustomize prints with an error.
	builtinConfig = regexp.MustCompile("(?s) with config: `.*?`:")
	// printedBytes is a file's content printed as numbers.
	printedBytes = regexp.MustCompile(`\[(\d+ ){3,}\d+\]`)
	// address is a pointer printed, which differs from run to run.
	address = regexp.MustCompile(`0x[0-9a-f]{6,}`)
	// anchor is how the YAML reader names an alias or an anchor, which may be a
	// value that was not quoted.
	anchor = regexp.MustCompile(`(?s)anchor '(.*?)' (referenced|value contains itself)`)
	// secretWord is in every file that makes, patches or generates a Secret.
	secretWord = regexp.MustCompile(`(?i)secret|stringData`)
	// secretFields are where Secrets, their patches, generators and
	// replacements hold data.
	secretFields = []string{"data", "stringData", "binaryData", "literals", "value", "sourceValue"}
	// openFields are the fields of a Secret that hold none.
	openFields = []string{"apiVersion", "kind", "metadata", "type", "immutable"}
)

// redact takes out of a text of kustomize's what the files that were read hold
// as secrets. Where it cannot tell what they are, nothing of the text is left.
func (t *tree) redact(text string) (shown string) {
	defer func() {
		if recover() != nil { // the YAML reader is not to be trusted with every byte
			shown = "the build failed; details are withheld"
		}
	}()
	text = builtinConfig.ReplaceAllString(text, ":")
	text = printedBytes.ReplaceAllString(text, redacted)
	text = address.ReplaceAllString(text, "…")
	text = anchor.ReplaceAllString(text, "anchor $2")
	found := t.inlines()
	if broken := found.broken; broken != "" {
		return "the build failed, and " + broken + "; details are withheld because a Secret may be involved"
	}
	if found.unsure || t.secretive() {
		secrets, unread := t.secrets()
		if unread != "" {
			return "the build failed, and " + unread + " is not valid YAML; details are withheld because a Secret is involved"
		}
		slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
		for _, s := range secrets {
			text = hide(text, s)
		}
		if field := found.quoted(text); field != "" {
			return "the build failed, and its message quotes " + field + "; details are withheld because a Secret is involved"
		}
	}
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "") + "…"
	}
	return strings.TrimSpace(text)
}

// secretive reports whether a file that was read may be about a Secret.
func (t *tree) secretive() bool {
	for _, data := range t.files {
		if secretWord.Match(data) {
			return true
		}
	}
	return false
}

// hide replaces a secret and the forms in which errors show it.
func hide(text, secret string) string {
	if len(secret) <= wholeWord {
		return hideWord(text, secret)
	}
	text = strings.ReplaceAll(text, secret, redacted)
	text = strings.ReplaceAll(text, base64.StdEncoding.EncodeToString([]byte(secret)), redacted)
	if len(secret) > shownByYAML {
		text = strings.ReplaceAll(text, secret[:shownByYAML]+"...", redacted)
	}
	return text
}

// hideWord replaces a secret where no letter or digit touches it.
func hideWord(text, secret string) string {
	var b strings.Builder
	for {
		i := strings.Index(text, secret)
		if i < 0 {
			return b.String() + text
		}
		end := i + len(secret)
		b.WriteString(text[:i])
		if i > 0 && isWord(text[i-1]) || end < len(text) && isWord(text[end]) {
			b.WriteString(secret)
		} else {
			b.WriteString(redacted)
		}
		text = text[end:]
	}
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// secrets collects what must not be shown of the files read, or names a file
// that it cannot look into. Only what a generator reads may be no YAML.
func (t *tree) secrets() (found []string, unread string) {
	names := slices.Sorted(maps.Keys(t.files))
	opaque := map[string]bool{}
	for _, name := range names {
		if slices.Contains(kustomizationNames, path.Base(name)) {
			values, files := t.generated(name)
			found = append(found, values...)
			for _, f := range files {
				opaque[f] = true
			}
		}
	}
	for _, name := range names {
		values, ok := scalars(t.files[name], 0)
		if !ok && !opaque[name] {
			return nil, name
		}
		found = append(found, values...)
	}
	found = slices.DeleteFunc(found, func(s string) bool { return strings.TrimSpace(s) == "" })
	slices.Sort(found)
	return slices.Compact(found), ""
}

// generated returns the contents of the files that a kustomization generates
// from, whole, by line and by the value of a line, and the names of the files.
func (t *tree) generated(name string) (found, files []string) {
	var k types.Kustomization
	if k.Unmarshal(t.files[name]) != nil {
		return nil, nil
	}
	k.FixKustomization()
	args := make([]types.GeneratorArgs, 0, len(k.SecretGenerator)+len(k.ConfigMapGenerator))
	for _, g := range k.SecretGenerator {
		args = append(args, g.GeneratorArgs)
	}
	for _, g := range k.ConfigMapGenerator {
		args = append(args, g.GeneratorArgs)
	}
	for _, g := range args {
		for _, s := range sources(g.KvPairSources) {
			at := path.Join(path.Dir(name), s)
			files = append(files, at)
			for line := range strings.Lines(string(t.files[at])) {
				found = append(found, pair(strings.TrimSpace(line))...)
			}
		}
		for _, l := range g.LiteralSources {
			found = append(found, pair(l)...)
		}
	}
	return found, files
}

// pair returns a line and, of "key=value", the value.
func pair(line string) []string {
	if _, value, ok := strings.Cut(line, "="); ok {
		return []string{line, value, strings.Trim(value, `"'`)}
	}
	return []string{line}
}

// scalars returns the values below the secret fields of YAML documents, and
// whether data is YAML at all.
func scalars(data []byte, depth int) (found []string, ok bool) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		switch err := d.Decode(&n); {
		case errors.Is(err, io.EOF):
			return found, true
		case err != nil:
			return nil, false
		}
		found = append(found, below(&n, false, depth)...)
	}
}

// below collects scalars, all of them inside of a secret field.
func below(n *yaml.Node, secret bool, depth int) (found []string) {
	if n.Kind == yaml.ScalarNode {
		return scalar(n, secret, depth)
	}
	ofSecret := isSecret(n)
	for i, c := range n.Content {
		inside := secret
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			key := n.Content[i-1].Value
			inside = inside || slices.Contains(secretFields, key) || ofSecret && !slices.Contains(openFields, key)
		} else if n.Kind == yaml.MappingNode {
			inside = false // keys are names
		}
		found = append(found, below(c, inside, depth)...)
	}
	return found
}

// scalar returns the forms in which a secret is printed, or those inside of a
// text that may be YAML itself. Of one that is none, every line is a secret.
func scalar(n *yaml.Node, secret bool, depth int) (found []string) {
	switch {
	case secret:
		var value any
		if n.Tag != "!!str" && n.Decode(&value) == nil && value != nil {
			found = append(found, fmt.Sprint(value)) // 1_000 is printed as 1000
		}
		for line := range strings.Lines(n.Value) {
			found = append(found, pair(strings.TrimSpace(line))...)
		}
		return append(found, n.Value)
	case depth == maxInside || !strings.ContainsAny(n.Value, "\n{[:"):
		return nil
	}
	found, ok := scalars([]byte(n.Value), depth+1)
	if !ok {
		for line := range strings.Lines(n.Value) {
			if line = strings.TrimSpace(line); len(line) > wholeWord {
				found = append(found, line)
			}
		}
	}
	return found
}

// isSecret reports whether a mapping is a Secret or a patch of one.
func isSecret(n *yaml.Node) bool {
	kind := field(n, "kind")
	return kind != nil && kind.Value == "Secret"
}
