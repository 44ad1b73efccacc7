package policy

// The documents as people write them. Load does not decode into these types,
// because it must say line, column and a remedy, and reads YAML nodes instead.
// They are the one place where the shape is written down as a whole: the JSON
// Schemas in policies/schema and the tables in docs/reference/policies.md are made
// from them, comments included, and tests hold them to Load: the same keys, words,
// limits and defaults.

// ImagePolicyDocument is an ImagePolicy: which tag of an image is wanted.
type ImagePolicyDocument struct {
	// The version of the format.
	APIVersion string `json:"apiVersion" jsonschema:"enum=towpath.dev/v1"`
	// The kind of the document.
	Kind string `json:"kind" jsonschema:"enum=ImagePolicy"`
	// What names the policy.
	Metadata ImagePolicyMetadata `json:"metadata"`
	// What is wanted.
	Spec ImagePolicySpec `json:"spec"`
}

// ImagePolicyMetadata names the policy.
type ImagePolicyMetadata struct {
	// The name that markers use: "# towpath: NAME".
	Name string `json:"name" jsonschema:"maxLength=253,pattern=^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$,example=web"`
}

// ImagePolicySpec says what is wanted.
type ImagePolicySpec struct {
	// The image, without tag and scheme. A name without a host is Docker Hub's.
	Image string `json:"image" jsonschema:"example=ghcr.io/owner/name,example=redis"`
	// When the registry is asked: five cron fields (with CRON_TZ=ZONE in front if need be),
	// "@every 5m", "@hourly", "@daily" and so on. Some jitter is added.
	Schedule string `json:"schedule,omitempty" jsonschema:"default=@every 5m,example=@every 1h,example=*/10 * * * *"`
	// How the wanted tag is found: exactly one selector.
	Select SelectSpec `json:"select"`
	// Tags that are considered at all. Not with select.digest.
	Filter *FilterSpec `json:"filter,omitempty"`
	// Tags that are never chosen: literal tags, or RE2 expressions in slashes. Not with
	// select.digest.
	Exclude []string `json:"exclude,omitempty" jsonschema:"maxItems=100,example=1.4.2,example=/-debug$/"`
	// How alike a new tag must be to the current one. strict: the same prefix, number of
	// parts and suffix; any: whatever the selector takes. Not with select.digest.
	Lane string `json:"lane,omitempty" jsonschema:"enum=strict,enum=any,default=strict"`
	// Platforms that the image must have, all of them. A candidate without one is passed
	// over for the next best.
	Platforms []string `json:"platforms,omitempty" jsonschema:"minItems=1,maxItems=20,uniqueItems=true,pattern=^[a-z0-9_.]+(/[a-z0-9_.]+)+$,example=linux/amd64,example=linux/arm64"`
	// How long an image must have been seen before it is chosen, counted from the first time
	// Towpath saw its digest. The date in the image is not trusted.
	MinAge string `json:"minAge,omitempty" jsonschema:"pattern=^\\+?(0|([0-9.]+(ns|us|µs|μs|ms|s|m|h))+)$,example=24h,example=90m"`
	// What is written into manifests. tag: repo:tag; digest: repo:tag@sha256:… . With
	// select.digest it is always digest.
	Pin string `json:"pin,omitempty" jsonschema:"enum=tag,enum=digest,default=tag"`
	// With pin: digest, write the digest again when the tag that is already in Git moves.
	// Without it a digest is written once per tag. Not with select.digest, which always
	// does.
	RefreshDigest bool `json:"refreshDigest,omitempty" jsonschema:"default=false"`
	// Let the selector go below the tag in Git. Not with select.digest.
	AllowDowngrade bool `json:"allowDowngrade,omitempty" jsonschema:"default=false"`
}

// SelectSpec holds exactly one selector.
type SelectSpec struct {
	// The highest semantic version in a range.
	Semver *SemverSpec `json:"semver,omitempty" jsonschema:"oneof_required=semver"`
	// The newest date, its parts compared as numbers.
	Calver *CalverSpec `json:"calver,omitempty" jsonschema:"oneof_required=calver"`
	// The highest or lowest whole number, of any length.
	Numerical *NumericalSpec `json:"numerical,omitempty" jsonschema:"oneof_required=numerical"`
	// The last or first tag of the alphabet, compared byte by byte.
	Alphabetical *AlphabeticalSpec `json:"alphabetical,omitempty" jsonschema:"oneof_required=alphabetical"`
	// One tag that moves, followed by its digest.
	Digest *DigestSpec `json:"digest,omitempty" jsonschema:"oneof_required=digest"`
}

// SemverSpec selects the highest version in a range.
type SemverSpec struct {
	// Versions that are wanted, as in Helm and Flux.
	Range string `json:"range" jsonschema:"example=1.x,example=~1.4,example=>=1.2 <2"`
	// Take prereleases too: 1.5.0-rc.1, 2.0.0-beta.2.
	Prereleases bool `json:"prereleases,omitempty" jsonschema:"default=false"`
}

// CalverSpec selects the newest date.
type CalverSpec struct {
	// How the date is written. The fields are YYYY YY 0Y MM 0M WW 0W DD 0D MAJOR MINOR
	// MICRO N; everything else stands for itself; what is in [ ] may be missing.
	Layout string `json:"layout" jsonschema:"example=YYYY.0M.0D,example=YYYY-0M-0D[-N],example=YY.0M"`
}

// NumericalSpec selects by a whole number.
type NumericalSpec struct {
	// newest: the highest number; oldest: the lowest.
	Order string `json:"order,omitempty" jsonschema:"enum=newest,enum=oldest,default=newest"`
}

// AlphabeticalSpec selects by the alphabet.
type AlphabeticalSpec struct {
	// newest: the last of the alphabet; oldest: the first.
	Order string `json:"order,omitempty" jsonschema:"enum=newest,enum=oldest,default=newest"`
}

// DigestSpec follows a tag.
type DigestSpec struct {
	// The tag to follow.
	Tag string `json:"tag" jsonschema:"maxLength=128,pattern=^[A-Za-z0-9_][A-Za-z0-9_.-]*$,example=main"`
}

// FilterSpec narrows the tags that the selector sees.
type FilterSpec struct {
	// An RE2 expression. Only tags that it matches are considered; ^ and $ anchor it.
	Pattern string `json:"pattern" jsonschema:"example=^(?P<version>.+)-alpine$"`
	// What the selector sees of a tag: groups of the pattern as $1 or ${name}. The choice is
	// the whole tag. Without it the selector sees the whole tag.
	Extract string `json:"extract,omitempty" jsonschema:"example=$version"`
}

// PipelineDocument is a Pipeline: the environments a version travels through.
type PipelineDocument struct {
	// The version of the format.
	APIVersion string `json:"apiVersion" jsonschema:"enum=towpath.dev/v1"`
	// The kind of the document.
	Kind string `json:"kind" jsonschema:"enum=Pipeline"`
	// What names the pipeline.
	Metadata PipelineMetadata `json:"metadata"`
	// The line.
	Spec PipelineSpec `json:"spec"`
}

// PipelineMetadata names the pipeline.
type PipelineMetadata struct {
	// The pipeline's name.
	Name string `json:"name" jsonschema:"maxLength=63,pattern=^[a-z0-9]([-a-z0-9]*[a-z0-9])?$,example=shop"`
}

// PipelineSpec is a line of environments.
type PipelineSpec struct {
	// The branch that everything is read from and merged into.
	Branch string `json:"branch" jsonschema:"example=main"`
	// How a version gets from one environment to the next.
	Promote *PromoteSpec `json:"promote,omitempty"`
	// What commits and pull requests say. Towpath's trailers are always added.
	Messages *MessagesSpec `json:"messages,omitempty"`
	// The environments, in any order; from says which comes after which.
	Environments []EnvironmentSpec `json:"environments" jsonschema:"minItems=1,maxItems=100"`
}

// PromoteSpec says what travels.
type PromoteSpec struct {
	// images: the marked values.
	What string `json:"what" jsonschema:"enum=images"`
}

// MessagesSpec holds templates of Go's text/template.
type MessagesSpec struct {
	// The title of pull requests and the subject of commits, on one line. Its fields are
	// .Environment .App .From .Versions, .Edits (each with .Path .Line .Old .New .Policy) and
	// .Why (texts); its functions lower upper trim cut join base.
	Title string `json:"title,omitempty" jsonschema:"maxLength=1000,example=chore({{.Environment}}): {{.App}} {{.Versions}}"`
	// What commits say between subject and trailers, with the same fields and functions.
	Body string `json:"body,omitempty" jsonschema:"maxLength=4096,example={{range .Edits}}{{.Path}}: {{.New}}{{end}}"`
}

// EnvironmentSpec is one stop of the line: exactly one of update and from.
type EnvironmentSpec struct {
	// The environment's name, the only one of this name in the repository.
	Name string `json:"name" jsonschema:"maxLength=63,pattern=^[a-z0-9]([-a-z0-9]*[a-z0-9])?$,example=dev"`
	// Its directory, relative to the repository's root. No other environment is in it.
	Path string `json:"path" jsonschema:"maxLength=1000,example=envs/dev"`
	// New tags enter the line here.
	Update *UpdateSpec `json:"update,omitempty" jsonschema:"oneof_required=update"`
	// The environment before, whose versions come here.
	From []string `json:"from,omitempty" jsonschema:"minItems=1,maxItems=1,uniqueItems=true,pattern=^[a-z0-9]([-a-z0-9]*[a-z0-9])?$,oneof_required=from,example=dev"`
	// push: commit to the branch; auto: a pull request, merged when its gates pass;
	// approval: a pull request that waits for a person's review as well.
	Merge string `json:"merge" jsonschema:"enum=push,enum=auto,enum=approval"`
	// What happens to an open pull request when something newer comes. supersede: it is
	// replaced; wait: an approved one is left alone where new tags enter (behind another
	// environment it could not pass any more, and is replaced).
	OnNewVersion string `json:"onNewVersion,omitempty" jsonschema:"enum=supersede,enum=wait,default=supersede"`
	// What must hold before a change goes in.
	Gates *GatesSpec `json:"gates,omitempty"`
}

// UpdateSpec says which policies bring tags in.
type UpdateSpec struct {
	// Names of ImagePolicies, or "*" for all of them.
	Policies []string `json:"policies" jsonschema:"minItems=1,maxItems=1000,uniqueItems=true,example=*,example=web"`
}

// GatesSpec holds the gates of an environment. One that is not there is not asked.
type GatesSpec struct {
	// People approve. Not with merge: push.
	Approvals *ApprovalsSpec `json:"approvals,omitempty"`
	// The environment before runs exactly this, and is healthy. Not where new tags enter.
	Healthy *HealthySpec `json:"healthy,omitempty"`
	// The environment before has run exactly this for some time without interruption. Not
	// where new tags enter.
	Soak *SoakSpec `json:"soak,omitempty"`
}

// ApprovalsSpec asks people.
type ApprovalsSpec struct {
	// How many people must approve.
	Required int `json:"required,omitempty" jsonschema:"minimum=1,maximum=100,default=1"`
	// Who counts, as user:NAME or team:NAME, whatever else they may do. Without it anyone
	// does who may write to the repository.
	From []string `json:"from,omitempty" jsonschema:"minItems=1,maxItems=1000,uniqueItems=true,pattern=^(user|team):\\S,example=team:sre,example=user:alice"`
	// The author of the pull request and who committed to it do not count.
	PreventSelfReview bool `json:"preventSelfReview,omitempty" jsonschema:"default=true"`
}

// HealthySpec asks for health.
type HealthySpec struct {
	// For how long it must have been healthy; without it being healthy now is enough.
	StableFor string `json:"stableFor,omitempty" jsonschema:"pattern=^\\+?(0|([0-9.]+(ns|us|µs|μs|ms|s|m|h))+)$,example=2m"`
}

// SoakSpec asks for time.
type SoakSpec struct {
	// For how long.
	For string `json:"for" jsonschema:"pattern=^\\+?(0|([0-9.]+(ns|us|µs|μs|ms|s|m|h))+)$,example=30m,example=4h"`
}
