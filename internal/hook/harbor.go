package hook

// Harbor's names of one event, in its two payload formats.
const (
	harborPush           = "PUSH_ARTIFACT"
	harborPushCloudEvent = "harbor.artifact.pushed"
)

type harborData struct {
	Resources list[struct {
		Digest      string `json:"digest"`
		Tag         string `json:"tag"`          // the digest again when there is none
		ResourceURL string `json:"resource_url"` // host/project/name:tag or host/project/name@digest, without a scheme
	}] `json:"resources"`
}

// harbor reads Harbor's "Artifact pushed" in the formats Default and CloudEvents.
func harbor(body []byte, found *pushes) error {
	var e struct {
		Type      string     `json:"type"`
		EventData harborData `json:"event_data"` // Default
		Data      harborData `json:"data"`       // CloudEvents
	}
	if err := parse(body, &e); err != nil {
		return err
	}
	data := e.EventData
	switch e.Type {
	case harborPush:
	case harborPushCloudEvent:
		data = e.Data
	default:
		return nil
	}
	found.left("resources", data.Resources.wrong, data.Resources.more)
	for _, r := range data.Resources.items {
		repo, tag := splitName(r.ResourceURL)
		found.add(repo, first(r.Tag, tag), r.Digest)
	}
	return nil
}
