package patch

import (
	"strings"
	"testing"
)

// TestEveryKnownDamageHasAFixture holds the list of inputs of which it is known
// that a tool which writes YAML anew damages them, ignores their markers without
// a word or destroys the file. Each is a golden fixture of its own; the links
// and modes of files are fixtures of `towpath set` in cmd/bot.
func TestEveryKnownDamageHasAFixture(t *testing.T) {
	const table = `
		blank-lines four-space-indent lists-indented-two-ways
		crlf bom no-final-newline bom-crlf-no-final-newline mixed-line-ends carriage-returns bom-inside
		leading-document-start document-end comment-only-first-document several-documents
		aligned-comments aligned-values trailing-spaces tabs-between line-of-a-tab long-lines
		comments-everywhere comments-in-any-script
		block-scalar-trailing-space block-scalar-blank-tail
		folded multi-line-plain multi-line-double-quoted multi-line-single-quoted multi-line-flow-text
		flow-map flow-map-over-lines flow-list-over-lines json-in-yaml
		emoji-in-double-quotes escapes-in-double-quotes escaped-slash merge-key anchors
		complex-key own-annotations empty-annotations empty-metadata
		template-value template-lines template-at-the-top template-in-quotes template-in-the-value
		substitution substitution-with-a-default jinja-template conflict-markers
		tab-indent bad-utf-8 utf-16-le utf-16-be utf-16-no-mark null-bytes
		yaml-directive tag-directive document-tag
		kind-list resource-list top-level-list metadata-is-a-list metadata-is-a-text
		integer-tag float-tag digest-without-digest
		duplicate-keys octal yes-and-no custom-tags tabs-in-strings tab-begins-a-text hash-in-values quotes-kept`
	const targets = `
		full-reference part-tag part-name part-digest part-registry part-repository
		kustomize-new-name-and-tag kustomize-digest kustomize-tag-at-digest kustomize-tag-and-digest
		kustomize-component helm-values helm-values-registry helm-values-digest helm-release
		argocd-kustomize-images argocd-helm-parameters argocd-values-object argocd-values-text args custom-resources
		registry-with-port`
	const places = `
		works-sequence-item works-flow-and-quotes works-spacing legacy-reference
		silent-on-a-block-header silent-above-a-field silent-below silent-on-a-key silent-on-an-alias
		silent-on-an-empty-value silent-text-around silent-two-on-a-line silent-single-quoted
		silent-extra-number silent-unknown-field silent-no-namespace silent-inside-a-config-map
		silent-top-level-list silent-metadata-list silent-function-config`
	there := map[string]bool{}
	for name, s := range stories(t) {
		for _, f := range s.files {
			fixture, _, _ := strings.Cut(f.Path, "/")
			fixture = strings.TrimSuffix(fixture, ".yaml")
			if there[fixture] {
				t.Errorf("%s: %s is there twice", name, fixture)
			}
			there[fixture] = true
		}
	}
	for _, want := range strings.Fields(table + targets + places) {
		if !there[want] {
			t.Errorf("there is no fixture %s", want)
		}
	}
	if len(there) < 150 {
		t.Errorf("%d fixtures; the set is meant to hold at least 150", len(there))
	}
}

func TestEveryVerdictOccursInAReport(t *testing.T) {
	elsewhere := map[Verdict]string{
		UnknownPolicy:  "lint knows the policies",
		OutsidePath:    "lint knows the environments",
		Link:           "the folder's reader meets links",
		Submodule:      "the folder's reader meets submodules",
		NotRead:        "the folder's reader meets the file system",
		NotWritten:     "set meets the file system",
		ForeignComment: "Annotate meets the comments of other tools",
	}
	var reports strings.Builder
	for _, s := range stories(t) {
		reports.WriteString(s.Report)
	}
	for _, v := range Verdicts() {
		verdict := v.Verdict
		occurs := strings.Contains(reports.String(), "["+string(verdict)+"] ")
		switch reason, other := elsewhere[verdict]; {
		case other && occurs:
			t.Errorf("%q occurs in a report, and not only elsewhere because %s", verdict, reason)
		case !other && !occurs:
			t.Errorf("no fixture has the verdict %q", verdict)
		}
	}
}
