package hook

import (
	"net/url"
	"strings"
)

// JFrog's words for a push.
const (
	jfrogDomain = "docker"
	jfrogPush   = "pushed"

	jfrogCloud = ".jfrog.io" // hosts of the cloud, where a dash joins instance and repository key
	jfrogCache = "-cache"    // behind the key of a remote repository when it is its cache that changed
)

// jfrog reads JFrog's event "Docker tag was pushed". It names a repository key and
// an image, but not how the image's name is written: Artifactory offers the key as
// the first part of the path or as part of the host, by its configuration. Every
// way is given; a name that nobody uses pokes nobody.
func jfrog(body []byte, found *pushes) error {
	var e struct {
		Domain    string `json:"domain"`
		EventType string `json:"event_type"`
		Data      struct {
			RepoKey   string `json:"repo_key"`
			ImageName string `json:"image_name"`
			Tag       string `json:"tag"`
			SHA256    string `json:"sha256"` // of the manifest
		} `json:"data"`
		Origin string `json:"jpd_origin"` // https://<instance>.jfrog.io
	}
	if err := parse(body, &e); err != nil {
		return err
	}
	if e.Domain != jfrogDomain || e.EventType != jfrogPush {
		return nil
	}
	host := hostOf(e.Origin)
	if host == "" {
		found.drop("jpd_origin does not say where %.100q is", e.Data.RepoKey+"/"+e.Data.ImageName)
		return nil
	}
	digest := e.Data.SHA256
	if digest != "" && !strings.HasPrefix(digest, "sha256:") {
		digest = "sha256:" + digest
	}
	names := jfrogNames(host, e.Data.RepoKey, e.Data.ImageName)
	if key, ok := strings.CutSuffix(e.Data.RepoKey, jfrogCache); ok {
		names = append(names, jfrogNames(host, key, e.Data.ImageName)...)
	}
	for _, name := range names {
		found.add(name, e.Data.Tag, digest)
	}
	return nil
}

// jfrogNames are the ways to write an image of a repository key, as the table
// "Docker Repository URL Formats" of the vendor has them, but for ports of their
// own, which an event does not tell.
func jfrogNames(host, key, name string) []string {
	names := []string{host + "/" + key + "/" + name}
	if key == strings.ToLower(key) && !strings.ContainsAny(key, "_/.:@[") { // a label of a host
		names = append(names, key+"."+host+"/"+name)
		if instance, ok := strings.CutSuffix(host, jfrogCloud); ok {
			names = append(names, instance+"-"+key+jfrogCloud+"/"+name)
		}
	}
	return names
}

// hostOf is the host of a URL, as an image's name has it: without the port that
// the scheme means anyway. "" when there is none.
func hostOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	switch u.Scheme {
	case "https":
		return strings.TrimSuffix(u.Host, ":443")
	case "http":
		return strings.TrimSuffix(u.Host, ":80")
	}
	return ""
}
