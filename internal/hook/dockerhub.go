package hook

import "strings"

// dockerHubHost is how users write Docker Hub when they write it at all.
const dockerHubHost = "docker.io"

// dockerHub reads Docker Hub's webhook, which is sent for a push and nothing
// else, tells the tag and no digest.
func dockerHub(body []byte, found *pushes) error {
	var e struct {
		PushData struct {
			Tag string `json:"tag"`
		} `json:"push_data"`
		Repository struct {
			RepoName  string `json:"repo_name"`
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"repository"`
	}
	if err := parse(body, &e); err != nil {
		return err
	}
	name := e.Repository.RepoName
	if name == "" && e.Repository.Name != "" {
		name = strings.TrimPrefix(e.Repository.Namespace+"/"+e.Repository.Name, "/")
	}
	if name != "" {
		// With the host in front no name can lead to another registry.
		found.add(dockerHubHost+"/"+name, e.PushData.Tag, "")
	}
	return nil
}
