package kube

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What an API server, or the way to it, can say no to. Errors of this package
// match one of these with errors.Is when a caller may want to branch.
var (
	ErrNotFound     = errors.New("not found")
	ErrNoKind       = errors.New("the cluster does not know this kind")
	ErrNoNamespace  = errors.New("the namespace does not exist")
	ErrExists       = errors.New("exists already")
	ErrStale        = errors.New("changed by somebody else in between")
	ErrOwned        = errors.New("fields are owned by another manager")
	ErrImmutable    = errors.New("an immutable field would change")
	ErrInvalid      = errors.New("refused by the API server")
	ErrForbidden    = errors.New("not allowed")
	ErrUnauthorized = errors.New("credentials refused")
	ErrUnreachable  = errors.New("the API server cannot be reached")
)

// Error is a request that failed, told in one line with what to do.
type Error struct {
	Op        string // apply, delete, …
	Object    string // apps/Deployment shop/web
	Is        error  // one of the Err values, or nil
	Message   string
	Hint      string
	Conflicts []Conflict // when Is is ErrOwned
	Fields    []string   // of the object that a refusal is about, if it says so
}

// Conflict is a field that somebody else owns.
type Conflict struct {
	Manager string
	Field   string // .spec.replicas
}

func (e *Error) Error() string {
	s := e.Op + " " + e.Object + ": " + e.Message
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap returns the kind of failure.
func (e *Error) Unwrap() error { return e.Is }

var (
	query     = regexp.MustCompile(`(https?://[^\s"?]+)\?[^\s"]*`)
	localPort = regexp.MustCompile(`\b((?:read|write) (?:tcp|udp)\d?) \S+->`)
)

// steady leaves out of an error what is another with each attempt, so that the
// same failure reads the same: the query of a URL and our own port.
func steady(s string) string {
	return localPort.ReplaceAllString(query.ReplaceAllString(s, "$1"), "$1 ")
}

var managerOf = regexp.MustCompile(`conflicts? with "([^"]*)"`)

// explain turns an error of client-go into an Error. secret keeps the answer
// of the API server, which repeats what it was sent, out of it.
func explain(op, object string, secret bool, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: op, Object: object, Message: oneLine(steady(err.Error()))}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		e.Is, e.Hint = ErrUnreachable, "check the API server and the network"
		if errors.Is(err, context.Canceled) {
			e.Is, e.Hint = context.Canceled, ""
		}
		return e
	}
	e.classify(err, status.Status())
	if secret && !errors.Is(e, ErrOwned) {
		e.Message = fmt.Sprintf("the API server said %d %s; its answer is left out because it may repeat secret data%s",
			status.Status().Code, status.Status().Reason, fields(status.Status()))
	}
	return e
}

func (e *Error) classify(err error, s metav1.Status) {
	switch {
	case apierrors.IsNotFound(err) && s.Details != nil && s.Details.Kind == "namespaces" && !strings.HasPrefix(e.Object, "Namespace "):
		e.Is, e.Hint = ErrNoNamespace, fmt.Sprintf("add a Namespace %q to the environment", s.Details.Name)
	case apierrors.IsNotFound(err) && (s.Details == nil || s.Details.Name == ""):
		e.Is, e.Hint = ErrNoKind, "install its CustomResourceDefinition, or correct apiVersion and kind"
	case apierrors.IsNotFound(err):
		e.Is = ErrNotFound
	case apierrors.IsAlreadyExists(err):
		e.Is = ErrExists
	case apierrors.IsConflict(err):
		e.Is = ErrStale
		e.conflicts(s)
	case apierrors.IsInvalid(err):
		e.Is, e.Hint = ErrInvalid, "correct the manifest"
		e.refusal(s)
	case apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		e.Is, e.Hint = ErrInvalid, "correct the manifest"
	case apierrors.IsForbidden(err):
		e.Is, e.Hint = ErrForbidden, "grant it to the agent's account, or look at the cluster's admission rules and quotas"
	case apierrors.IsUnauthorized(err):
		e.Is, e.Hint = ErrUnauthorized, "renew the token or certificate of the agent"
	case apierrors.IsServiceUnavailable(err), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), apierrors.IsTooManyRequests(err):
		e.Is, e.Hint = ErrUnreachable, "it is tried again"
	case s.Code == 500 && strings.Contains(s.Message, "failed to create typed patch object"):
		e.Is, e.Hint = ErrInvalid, "correct the manifest"
	case s.Code == 500 && strings.Contains(s.Message, "failed calling webhook"):
		e.Hint = "repair or remove the admission webhook"
	}
}

// refusal notes what is invalid. Only when nothing but immutable fields stands
// against the object may a caller think of making it anew.
func (e *Error) refusal(s metav1.Status) {
	if s.Details == nil || len(s.Details.Causes) == 0 {
		if immutable(s.Message) {
			e.Is = ErrImmutable
		}
		return
	}
	all := true
	for _, c := range s.Details.Causes {
		e.Fields = append(e.Fields, c.Field)
		all = all && immutable(c.Message)
	}
	if all {
		e.Is = ErrImmutable
	}
}

// immutable reports whether a complaint of the API server is that a field
// cannot change while the object lives.
func immutable(message string) bool {
	for _, s := range []string{
		"field is immutable", "may not change once set", "updates to statefulset spec for fields other than",
		"cannot change roleRef", "pod updates may not ",
	} {
		if strings.Contains(message, s) {
			return true
		}
	}
	return false
}

func (e *Error) conflicts(s metav1.Status) {
	if s.Details == nil {
		return
	}
	var who []string
	for _, c := range s.Details.Causes {
		if c.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		conflict := Conflict{Field: c.Field}
		if m := managerOf.FindStringSubmatch(c.Message); m != nil {
			conflict.Manager = m[1]
		}
		e.Conflicts = append(e.Conflicts, conflict)
		who = append(who, fmt.Sprintf("%s owns %s", conflict.Manager, conflict.Field))
	}
	if len(e.Conflicts) > 0 {
		e.Is = ErrOwned
		e.Message = strings.Join(who, ", ")
	}
}

// fields names the fields an API server complains about, without their values.
func fields(s metav1.Status) string {
	if s.Details == nil {
		return ""
	}
	var names []string
	for _, c := range s.Details.Causes {
		if c.Field != "" && len(names) < 5 {
			names = append(names, c.Field)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; it is about " + strings.Join(names, ", ")
}

func oneLine(s string) string {
	const longest = 1000
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}
