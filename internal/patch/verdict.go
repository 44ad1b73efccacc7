package patch

// Verdict names what became of a marker, or of a file that may hold one. Every
// marker gets exactly one; the words are part of the output of the commands.
type Verdict string

// The verdicts of a marker that works.
const (
	Applied  Verdict = "applied"    // the value was written
	UpToDate Verdict = "up to date" // the value was as wanted already
)

// The verdicts of a marker that cannot work where it stands.
const (
	UnknownPolicy  Verdict = "unknown policy"         // no policy has that name
	UnknownPart    Verdict = "unknown part"           // as in web:version
	Malformed      Verdict = "malformed"              // no policy, not JSON, a name that no policy can have
	NotFirst       Verdict = "not first"              // other text stands before it in its comment
	TwoOnOneLine   Verdict = "two on one line"        // a value has one policy
	OnAlias        Verdict = "on an alias"            // the value is elsewhere, at the anchor
	InBlockScalar  Verdict = "inside a block scalar"  // in text, as in a ConfigMap's data, or on its header
	OnCollection   Verdict = "on a collection"        // a mapping or a list
	OnKey          Verdict = "on a key"               // the value is on another line
	NoValue        Verdict = "no value"               // the value is empty, or the line holds none
	NotBeside      Verdict = "not beside"             // above or below the value, or behind a neighbour
	SeveralLines   Verdict = "several lines"          // the value goes on
	Tagged         Verdict = "tagged"                 // !!int and the like
	Template       Verdict = "template braces"        // {{ }} in the file
	WrongPart      Verdict = "wrong part"             // the value holds another part than the marker names
	TagAndDigest   Verdict = "tag and digest"         // a digest beside kustomize's newTag decides what runs
	OutsidePath    Verdict = "outside the path"       // no environment's directory holds the file
	ForeignComment Verdict = "another tool's comment" // a new marker would stand before its words
)

// The verdicts of a marker that is well placed, but whose value is not to be
// used or written.
const (
	NotAReference   Verdict = "not a reference"   // the value is no reference, tag, name or digest
	NoVersion       Verdict = "no version"        // the markers give neither tag nor digest
	Contradiction   Verdict = "contradiction"     // markers of one policy hold different values
	LacksPart       Verdict = "lacks part"        // the wanted reference has no such part
	SeveralWanted   Verdict = "several wanted"    // two values for one policy
	AnotherRefused  Verdict = "another refused"   // parts of one reference change together
	WouldChangeMore Verdict = "would change more" // it cannot be proved that only the value changes
)

// The verdicts of a whole file.
const (
	NotYAML       Verdict = "not YAML"
	NotUTF8       Verdict = "not UTF-8"
	Binary        Verdict = "binary"
	LFSPointer    Verdict = "LFS pointer"
	TooLarge      Verdict = "too large"
	TooMany       Verdict = "too many documents"
	TooDeep       Verdict = "too deep"
	TooManyValues Verdict = "too many values" // in one document
	Link          Verdict = "link"            // a symbolic link that leaves the path
	Submodule     Verdict = "submodule"       // a folder that is another repository
	NotRead       Verdict = "not read"        // the file system refused
	NotWritten    Verdict = "not written"
)

// fault is why a marker or a file cannot be used: its verdict, what is wrong
// and what to do. The zero fault is none.
type fault struct {
	verdict      Verdict
	reason, hint string
}

func (f fault) is() bool { return f.verdict != "" }

// at is the report of a fault at a marker.
func (f fault) at(m Marker) Skipped {
	return Skipped{Path: m.Path, Line: m.Line, Column: m.Column, Policy: m.Policy, Verdict: f.verdict, Reason: f.reason, Hint: f.hint}
}
