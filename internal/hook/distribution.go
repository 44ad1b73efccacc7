package hook

import "strings"

// distribution reads the notifications of the registry distribution, and of those
// that are built on it. Pushed layers and pulls are no news.
func distribution(body []byte, found *pushes) error {
	var e struct {
		Events list[distributionEvent] `json:"events"`
	}
	if err := parse(body, &e); err != nil {
		return err
	}
	found.left("events", e.Events.wrong, e.Events.more)
	for _, event := range e.Events.items {
		if event.Action != "push" || !event.isManifest() {
			continue
		}
		host := first(hostOf(event.Target.URL), event.Request.Host)
		found.add(host+"/"+event.Target.Repository, event.Target.Tag, event.Target.Digest)
	}
	return nil
}

type distributionEvent struct {
	Action string `json:"action"`
	Target struct {
		MediaType  string `json:"mediaType"`
		Digest     string `json:"digest"`
		Repository string `json:"repository"`
		URL        string `json:"url"` // https://host/v2/<repository>/manifests/<digest>
		Tag        string `json:"tag"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
}

// isManifest tells images and indexes from layers by the words that every media
// type of theirs has.
func (e distributionEvent) isManifest() bool {
	t := e.Target.MediaType
	return strings.Contains(t, ".manifest.") || strings.Contains(t, ".image.index.")
}
