package hook

import (
	"crypto/sha256"
	"fmt"
	"net/http"
)

// Limits of one webhook of a forge.
const (
	// MaxWebhook is the most bytes of a request that are read. A push of
	// thousands of commits may be larger; it waits for the schedule.
	MaxWebhook = 5 << 20
	// MaxDeliveryID is the longest id of a delivery, in bytes.
	MaxDeliveryID = 128
	// MaxBranch is the longest name of a branch, in bytes.
	MaxBranch = 512
)

// Forge is a kind of Git forge, by the form of its webhooks.
type Forge string

// The forges. The reference docs/reference/events.md says of each what to
// configure there.
const (
	GitHub Forge = "github"
	Gitea  Forge = "gitea" // and Forgejo
	Git    Forge = "git"   // a push in the form that they share, sent by anything
)

// Forges lists every Forge, in the order of the reference.
func Forges() []Forge {
	return []Forge{GitHub, Gitea, Git}
}

// Kind says what a webhook is about, and so which fields of its Poke are set.
type Kind string

// The kinds. Repos is set for each but Ignored; a Ping may have none.
const (
	Push        Kind = "push"         // Branch moved, came or went
	PullRequest Kind = "pull-request" // Number changed: its head, its state, labels, a comment
	Review      Kind = "review"       // Number was reviewed, or a review of it changed
	Check       Kind = "check"        // a check or a status of Commit came, changed or is awaited
	Ping        Kind = "ping"         // the forge tries the webhook
	Ignored     Kind = "ignored"      // Reason says why there is nothing to look at
)

// Poke says where to look now. None of it is a fact: who looks asks the forge
// and the repository, as without it.
type Poke struct {
	Kind Kind
	// Repos are the names of the one repository, as RepoName writes them: one
	// or more, as its addresses for http and ssh may differ in more than the
	// form. They are to be compared with RepoName of an address that is
	// configured, and never to be connected to.
	Repos []string
	// Branch is the short name of the branch: of a Push, and of a Check for a
	// merge queue.
	Branch string
	// Number is that of the pull request.
	Number int
	// Commit is the object name in hex, of a Check.
	Commit string
	// Reason is one line, for a log.
	Reason string
}

// Receiver reads the webhooks of one forge. It may be used by many at once.
type Receiver struct {
	Forge Forge
	// Secret is taken byte for byte; without one every request is refused.
	Secret []byte
	// Deliveries remembers what was read. It may be shared between receivers;
	// nil remembers nothing.
	Deliveries *Deliveries
}

// Read proves that the sender of r knows the secret, and returns what to look
// at. At most MaxWebhook bytes are read, none before there is a signature to
// compare with and none is parsed before the signature is right. The errors are
// those that StatusCode knows. w may be nil.
func (rc Receiver) Read(w http.ResponseWriter, r *http.Request) (Poke, error) {
	poke, err := rc.read(w, r)
	if err != nil {
		return Poke{}, fmt.Errorf("read webhook of %.20q: %w", string(rc.Forge), err)
	}
	return poke, nil
}

func (rc Receiver) read(w http.ResponseWriter, r *http.Request) (Poke, error) {
	names, ok := headersOf(rc.Forge)
	if !ok {
		return Poke{}, ErrProvider
	}
	if r.Method != http.MethodPost {
		return Poke{}, ErrMethod
	}
	signature, err := proveJSON(r, rc.Secret, names.signature)
	if err != nil {
		return Poke{}, err
	}
	body, err := readProved(w, r, MaxWebhook, signature, rc.Secret)
	if err != nil {
		return Poke{}, err
	}
	event, id, err := names.of(r)
	if err != nil {
		return Poke{}, err
	}
	poke, err := decodeWebhook(event, body)
	if err != nil || poke.Kind == Ignored {
		return poke, err
	}
	if rc.Deliveries.again(delivery{rc.Forge, id, [sha256.Size]byte(signature)}) {
		return ignored("this delivery was read before"), nil
	}
	return poke, nil
}

// proveJSON returns the signature that the body must have. A form is refused
// before it is read: what Gitea signs is not the form that it sends.
func proveJSON(r *http.Request, secret []byte, headers []string) ([]byte, error) {
	if err := configured(secret); err != nil {
		return nil, err
	}
	signature, err := signatureOf(r, headers...)
	if err != nil {
		return nil, err
	}
	return signature, onlyJSON(r)
}

// forgeHeaders are the headers of a forge's webhooks: of each the names under
// which it may come, of which the first that is there counts.
type forgeHeaders struct {
	event, delivery, signature []string
}

func headersOf(f Forge) (forgeHeaders, bool) {
	switch f {
	case GitHub:
		return forgeHeaders{
			event:     []string{"X-GitHub-Event"},
			delivery:  []string{"X-GitHub-Delivery"},
			signature: []string{headerGitHub},
		}, true
	case Gitea:
		return forgeHeaders{
			event:     []string{"X-Forgejo-Event", "X-Gitea-Event"},
			delivery:  []string{"X-Forgejo-Delivery", "X-Gitea-Delivery"},
			signature: []string{"X-Forgejo-Signature", "X-Gitea-Signature", headerGitHub},
		}, true
	case Git:
		return forgeHeaders{
			delivery:  []string{"X-Towpath-Delivery"},
			signature: []string{headerGitHub},
		}, true
	}
	return forgeHeaders{}, false
}

// of returns the event's name and the delivery's id. Whoever sends nothing but
// pushes need not name the event, and may leave out the id.
func (h forgeHeaders) of(r *http.Request) (event, id string, err error) {
	name, id := firstHeader(r, h.delivery)
	if len(id) > MaxDeliveryID {
		return "", "", fmt.Errorf("%w: the id in the header %s is longer than %d bytes", ErrPayload, name, MaxDeliveryID)
	}
	if len(h.event) == 0 {
		return eventPush, id, nil
	}
	_, event = firstHeader(r, h.event)
	if id == "" || event == "" {
		return "", "", fmt.Errorf("%w: the headers %s and %s must be there, once", ErrPayload, h.event[0], h.delivery[0])
	}
	return event, id, nil
}

// firstHeader is the first of these headers that is there. One that is there more
// than once has no value.
func firstHeader(r *http.Request, names []string) (name, value string) {
	for _, name := range names {
		if v := r.Header.Values(name); len(v) == 1 {
			return name, v[0]
		} else if len(v) > 1 {
			return name, ""
		}
	}
	return "", ""
}
