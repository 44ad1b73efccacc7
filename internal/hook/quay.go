package hook

import (
	"bytes"
	"encoding/json"
)

// quayTags is a list of tags, or, as Quay wrote it until 2014, an object from tag
// to image id.
type quayTags struct{ list[string] }

// UnmarshalJSON implements json.Unmarshaler.
func (t *quayTags) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '{' {
		return t.list.UnmarshalJSON(data)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return err
	}
	for n := 0; d.More(); n++ {
		if n == MaxImages {
			t.more = true
			return nil
		}
		key, err := d.Token()
		if err != nil {
			return err
		}
		var id json.RawMessage
		if err := d.Decode(&id); err != nil {
			return err
		}
		if tag, ok := key.(string); ok {
			t.items = append(t.items, tag)
		}
	}
	return nil
}

// quay reads Quay's notification "Push to Repository", which tells tags and no
// digests. The other notifications have no updated_tags.
func quay(body []byte, found *pushes) error {
	var e struct {
		DockerURL   string   `json:"docker_url"` // quay.io/namespace/name, without a scheme
		UpdatedTags quayTags `json:"updated_tags"`
	}
	if err := parse(body, &e); err != nil {
		return err
	}
	found.left("tags", e.UpdatedTags.wrong, e.UpdatedTags.more)
	for _, tag := range e.UpdatedTags.items {
		found.add(e.DockerURL, tag, "")
	}
	return nil
}
