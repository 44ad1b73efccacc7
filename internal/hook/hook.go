// Package hook reads what registries say when something was pushed (Docker Hub,
// GitHub's package events, Quay, Harbor, Azure, Amazon, JFrog and distribution),
// and what Git forges say when a repository or a pull request changed (GitHub,
// Gitea, Forgejo, and pushes that anything may send).
//
// Floor 1. It reads one HTTP request and nothing else: no network of its own,
// no clock, no log, and no memory but the Deliveries that a caller gives it. It
// proves that the sender knows the secret before it parses a byte, and it bounds
// what it reads.
//
// An event is only a hint that makes a look happen now. What is there then, the
// registry or the forge is asked as ever, so an event that is late, comes twice,
// is replayed or lies costs at most one more look. Package hook must therefore
// not decide anything, and nothing of an event but the name of what to look at
// may be believed, nor may that be more than compared with names that are known.
package hook

import (
	"fmt"
	"net/http"
	"slices"

	"towpath.dev/towpath/internal/image"
)

// Limits of one event.
const (
	// MaxBody is the most bytes of a request that are read.
	MaxBody = 1 << 20
	// MaxDepth is the deepest nesting of objects and arrays that is parsed.
	MaxDepth = 64
	// MaxImages is the most images of one event. It is also the most entries
	// of one list that are looked at.
	MaxImages = 1000
	// MaxDropped is the most lines of Event.Dropped.
	MaxDropped = 20
)

// Provider is a kind of registry, by the form of its events.
type Provider string

// The providers. The reference docs/reference/events.md says of each what to
// configure there.
const (
	DockerHub    Provider = "dockerhub"
	GHCR         Provider = "ghcr"
	Quay         Provider = "quay"
	Harbor       Provider = "harbor"
	ACR          Provider = "acr"
	ECR          Provider = "ecr"
	JFrog        Provider = "jfrog"
	Distribution Provider = "distribution"
)

// Providers lists every Provider, in the order of the reference.
func Providers() []Provider {
	return []Provider{DockerHub, GHCR, Quay, Harbor, ACR, ECR, JFrog, Distribution}
}

// Event is what one request told.
type Event struct {
	// Images were pushed: each once, at most MaxImages, each with a tag, a
	// digest or both. The repository is spelled so that its Canonical is the
	// one of what users write.
	Images []image.Ref
	// Dropped says what was left out and why, a line each, at most MaxDropped.
	// It is for a log: a line may quote the event.
	Dropped []string
	// Answer is the JSON that the sender waits for, to be sent with status 200.
	// nil: the sender wants no more than a 2xx.
	Answer []byte
}

// Read proves that the sender of r knows the secret, and returns the images that
// were pushed. Events that say nothing of a push give none and no error. Its
// errors are those that StatusCode knows. It is ReadEvent for callers that need
// neither the reasons nor an answer for the sender.
func Read(w http.ResponseWriter, r *http.Request, p Provider, secret []byte) ([]image.Ref, error) {
	e, err := ReadEvent(w, r, p, secret)
	return e.Images, err
}

// ReadEvent is Read with everything that the event told. The secret is taken
// byte for byte; without one every request is refused. At most MaxBody bytes of
// the body are read, and none before a token was proved; a body that is signed
// is read, proved and then parsed. w may be nil.
func ReadEvent(w http.ResponseWriter, r *http.Request, p Provider, secret []byte) (Event, error) {
	body, err := open(w, r, p, secret)
	if err == nil {
		var found pushes
		if err = decode(p, body, &found); err == nil {
			return found.end(), nil
		}
	}
	return Event{}, fmt.Errorf("read event of %.20q: %w", string(p), err)
}

// open returns the body of a request whose sender is proved.
func open(w http.ResponseWriter, r *http.Request, p Provider, secret []byte) ([]byte, error) {
	if !slices.Contains(Providers(), p) {
		return nil, ErrProvider
	}
	if r.Method != http.MethodPost {
		return nil, ErrMethod
	}
	signature, err := prove(r, p, secret)
	if err != nil {
		return nil, err
	}
	return readProved(w, r, MaxBody, signature, secret)
}

// decode finds what the body of a proved request tells.
func decode(p Provider, body []byte, found *pushes) error {
	switch p {
	case DockerHub:
		return dockerHub(body, found)
	case GHCR:
		return ghcr(body, found)
	case Quay:
		return quay(body, found)
	case Harbor:
		return harbor(body, found)
	case ACR:
		return acr(body, found)
	case ECR:
		return ecr(body, found)
	case JFrog:
		return jfrog(body, found)
	case Distribution:
		return distribution(body, found)
	}
	return ErrProvider
}
