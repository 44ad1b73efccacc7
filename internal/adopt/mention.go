package adopt

import (
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"towpath.dev/towpath/internal/image"
)

// Why a text that is plainly an image is left.
const (
	isMention   = "it looks like an image, in a place that adopt does not know"
	hintMention = "if it is one, write # towpath: NAME behind it by hand"
	isTagAlone  = "the values do not say which image it is the tag of, the chart does"
	hintTag     = "write repository beside it"
	isCompose   = "Compose files are no manifests, and no environment can hold them"
)

// imageWord is in keys, names of variables and flags that speak of an image.
var imageWord = regexp.MustCompile(`(?i)image|(^|[._-])img`)

// plainRef is a text that can hardly be anything but an image with a tag.
var plainRef = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]*:[A-Za-z0-9_][A-Za-z0-9._-]*(@sha256:[0-9a-f]{64})?$`)

// isRef tells whether a scalar is an image with a tag.
func isRef(n *yaml.Node) bool {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || !plainRef.MatchString(n.Value) {
		return false
	}
	ref, err := image.ParseRef(n.Value)
	return err == nil && ref.Tag != ""
}

// mention lists an image at a key of a mapping that is not known to hold one: imageName,
// the value of a variable RELATED_IMAGE_WEB. False: there is none.
func (w *walker) mention(in *yaml.Node, key string, n *yaml.Node) bool {
	if key == "value" {
		key = text(in, "name")
	}
	if !imageWord.MatchString(key) {
		return false
	}
	if isRef(n) {
		w.add(leftAt(n, isMention, hintMention))
		return true
	}
	if tag := scalar(in, "imageTag"); strings.EqualFold(key, "imageName") && has(n) && has(tag) && n.Kind == yaml.ScalarNode {
		w.add(finding{node: tag, text: n.Value + ":" + tag.Value, reason: isMention, hint: "if it is one, write # towpath: NAME:tag behind it by hand"})
		return true
	}
	return false
}

// mentions lists the images below a node.
func (w *walker) mentions(n *yaml.Node, depth int) {
	if n == nil || depth > maxDepth {
		return
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if k, v := n.Content[i], n.Content[i+1]; !w.mention(n, k.Value, direct(v)) {
			w.mentions(v, depth+1)
		}
	}
	for i := 0; n.Kind == yaml.SequenceNode && i < len(n.Content); i++ {
		w.mentions(n.Content[i], depth+1)
	}
}

// flagged lists an argument behind a flag of its own, and flags like --img=repo:tag.
func (w *walker) flagged(before string, n *yaml.Node) {
	flag, value, cut := strings.Cut(n.Value, "=")
	switch {
	case cut && strings.HasPrefix(flag, "-") && imageWord.MatchString(flag):
		behind := *n
		behind.Value = value
		if isRef(&behind) {
			w.add(leftAt(n, isMention, hintMention))
		}
	case strings.HasPrefix(before, "-") && !strings.Contains(before, "=") && imageWord.MatchString(before) && isRef(n):
		w.add(leftAt(n, isMention, hintMention))
	}
}

// compose lists the images of a Compose file.
func (w *walker) compose(services *yaml.Node) {
	if services == nil || services.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(services.Content); i += 2 {
		if n := scalar(services.Content[i+1], "image"); has(n) {
			w.add(leftAt(n, isCompose, "change it by hand"))
		}
	}
}
