package patch

import "fmt"

// What a verdict is about.
const (
	OfMarker = "marker" // where a marker stands, and its words
	OfValue  = "value"  // what a well-placed marker's value holds or shall hold
	OfFile   = "file"   // a whole file, or a link or folder in its place
)

// VerdictInfo explains a verdict to people.
type VerdictInfo struct {
	Verdict Verdict
	Of      string // OfMarker, OfValue or OfFile
	Meaning string // a sentence
	Remedy  string // a sentence; "" where nothing is to be done
}

// Verdicts explains all verdicts, those that are good first, then as a reader
// meets them: the words of a marker, its place, its value, its file.
func Verdicts() []VerdictInfo {
	return append(markerVerdicts(), append(valueVerdicts(), fileVerdicts()...)...)
}

func markerVerdicts() []VerdictInfo {
	return []VerdictInfo{
		{Applied, OfMarker, "The value was written.", ""},
		{UpToDate, OfMarker, "The value is as wanted already.", ""},
		{UnknownPolicy, OfMarker, "No policy has the name.", "Correct the name, or add the policy to `policies/`."},
		{UnknownPart, OfMarker, "The word behind the name is none of the parts.", "Use `:tag`, `:name`, `:digest`, `:registry` or `:repository`, or no part."},
		{Malformed, OfMarker, "The marker names no policy, holds a name that no policy can have, or a blank before the part's colon; or Flux's form is not a JSON object with `NAMESPACE:NAME`. `lint` says it of near misses, too.", "Write `# towpath: NAME`."},
		{NotFirst, OfMarker, "Other words stand before the marker in its comment.", "Put the marker first; your words may follow after two spaces."},
		{TwoOnOneLine, OfMarker, "The comment holds two markers, of either form.", "Keep one; put values of different policies on lines of their own."},
		{NotBeside, OfMarker, "The marker stands on a line of its own, above or below a value; or behind a key that holds no image, as `name:`; or inside the value, in its quotes or without a blank before its `#`.", "Put it at the end of the value's own line."},
		{OnKey, OfMarker, "The marker stands behind a key, a `?` or a dash, and the value below.", "Put it at the end of the value's own line."},
		{OnCollection, OfMarker, "The marker stands behind a mapping or a list, or behind several values of which none is meant.", "Put it beside one value; write a collection in braces over several lines."},
		{OnAlias, OfMarker, "The value is an alias, as `*x` or `<<: *x`.", "Mark the value at its anchor `&x`: the aliases follow."},
		{InBlockScalar, OfMarker, "The marker is text inside a block scalar (`|` or `>`), as in a ConfigMap's data, or stands on its first line.", "Write the value on one line of YAML."},
		{NoValue, OfMarker, "The key has no value, or the line (`---`, `...`, `%YAML`) cannot hold one.", "Write the current value, or `\"\"`, before the marker."},
		{SeveralLines, OfMarker, "The value goes over several lines.", "Write it on one line."},
		{Tagged, OfMarker, "The value has a tag that makes it something other than text, as `!!int`.", "Remove the tag."},
		{Template, OfMarker, "The value is a template, or template braces stand somewhere in the file outside quotes.", "Mark values in plain YAML, as in the values of the chart."},
		{WrongPart, OfMarker, "The value holds another part than the marker names, as a whole reference behind `:tag`.", "Name the part that the value holds."},
		{TagAndDigest, OfMarker, "The marker is at `newTag` of a kustomize image that has a `digest` too; the digest decides what runs.", "Keep one of them. `newTag: TAG@sha256:…` holds both."},
		{ForeignComment, OfMarker, "A marker was to be added (`adopt`) where another tool's comment stands.", "Move that comment, or write the marker by hand."},
		{OutsidePath, OfMarker, "No environment's directory holds the file.", "Move the value into an environment: with kustomize, into an `images:` entry of the overlay."},
	}
}

func valueVerdicts() []VerdictInfo {
	return []VerdictInfo{
		{NotAReference, OfValue, "The value is not what the part says: empty, `${TAG}`, a sentence.", "Write the value that runs now, by hand or with `towpath set`."},
		{NoVersion, OfValue, "The markers of a policy give neither tag nor digest.", "Mark the value that holds the tag."},
		{Contradiction, OfValue, "Markers of one policy in one app hold different values.", "Give them one value, or two policies."},
		{LacksPart, OfValue, "The wanted reference has no such part, as a digest where the policy pins none; or the value parts of a name are not all there.", "Remove the marker, or let the policy pin digests; mark the other half too."},
		{SeveralWanted, OfValue, "Two references are wanted for one policy.", "Give one."},
		{AnotherRefused, OfValue, "Another part of the same reference in the file cannot be written, and they change together.", "Mend that one."},
		{WouldChangeMore, OfValue, "It could not be proved that only marked values would change.", "Write the value by hand, and report the file."},
	}
}

func fileVerdicts() []VerdictInfo {
	return []VerdictInfo{
		{NotYAML, OfFile, "The file holds a marker and cannot be read as YAML.", "Correct it; the reason has the parser's words."},
		{NotUTF8, OfFile, "The file is in Latin-1, UTF-16 or another encoding.", "Save it as UTF-8."},
		{Binary, OfFile, "The file holds NUL bytes.", "Keep it out of the folder."},
		{LFSPointer, OfFile, "Git LFS keeps the file; Git itself has only a pointer.", "Take it out of LFS."},
		{TooLarge, OfFile, fmt.Sprintf("The file is larger than %d MiB.", MaxFileSize>>20), "Split it."},
		{TooMany, OfFile, fmt.Sprintf("The file holds more than %d documents.", MaxDocuments), "Split it."},
		{TooManyValues, OfFile, fmt.Sprintf("A document holds more than %d keys and values, going by its punctuation.", MaxValues), "Move the marked values into a file of their own."},
		{TooDeep, OfFile, fmt.Sprintf("Collections lie more than %d deep in one another.", MaxDepth), "Move the marked values into a file of their own."},
		{Link, OfFile, "A symbolic link leads out of the folder, to a folder or to nothing. Links are never followed.", "Put the file itself there."},
		{Submodule, OfFile, "The folder is a submodule: its files are in another repository.", "Run the bot on that repository, or copy the files."},
		{NotRead, OfFile, "The file could not be read.", "See the reason."},
		{NotWritten, OfFile, "The file could not be written.", "See the reason."},
	}
}
