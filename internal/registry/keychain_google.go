package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const (
	googleScope    = "https://www.googleapis.com/auth/cloud-platform"
	googleMetadata = "metadata.google.internal"
	googleUser     = "oauth2accesstoken"
)

// googleLogin logs in at Google's registries with the Application Default
// Credentials: the file of $GOOGLE_APPLICATION_CREDENTIALS, that of `gcloud auth
// application-default login`, or the metadata server (a node's account, or
// Workload Identity of a pod). It is the order of Google's own library, which
// would ask the metadata server without a limit and remember a failure for ever;
// gcloud itself is never run.
type googleLogin struct{ http *http.Client }

func (g googleLogin) login(ctx context.Context, _ string) (*authn.AuthConfig, time.Time, error) {
	path := os.Getenv("GOOGLE_APPLICATION_CREDENTIALS")
	raw, err := []byte(nil), error(nil)
	switch {
	case path != "":
		if raw, err = readFile(path, maxSecretFile); err != nil {
			return nil, time.Time{}, fmt.Errorf("$GOOGLE_APPLICATION_CREDENTIALS: %s: %s", path, oneLine(err))
		}
	default:
		path = googleWellKnown()
		if raw, err = readFile(path, maxSecretFile); err != nil {
			return g.metadata(ctx)
		}
	}
	return g.file(ctx, path, raw)
}

// googleWellKnown is where gcloud leaves the credentials for programs.
func googleWellKnown() string {
	if dir := os.Getenv("CLOUDSDK_CONFIG"); dir != "" {
		return filepath.Join(dir, "application_default_credentials.json")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".config", "gcloud", "application_default_credentials.json")
}

func (g googleLogin) file(ctx context.Context, path string, raw []byte) (*authn.AuthConfig, time.Time, error) {
	var file struct {
		Type google.CredentialsType `json:"type"`
	}
	known := []google.CredentialsType{
		google.ServiceAccount, google.AuthorizedUser, google.ExternalAccount,
		google.ExternalAccountAuthorizedUser, google.ImpersonatedServiceAccount,
	}
	if json.Unmarshal(raw, &file) != nil || !slices.Contains(known, file.Type) {
		return nil, time.Time{}, fmt.Errorf("%s holds no credentials of a known type", path)
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, g.http)
	creds, err := google.CredentialsFromJSONWithType(ctx, raw, file.Type, googleScope)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%s holds no credentials that can be used", path)
	}
	token, err := creds.TokenSource.Token()
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%s: %w", path, oauthSays(err))
	}
	return &authn.AuthConfig{Username: googleUser, Password: token.AccessToken}, token.Expiry, nil
}

// oauthSays is vendorSays for an OAuth server.
func oauthSays(err error) error {
	var r *oauth2.RetrieveError
	if errors.As(err, &r) {
		if codeGrammar.MatchString(r.ErrorCode) {
			return fmt.Errorf("refused with %s", r.ErrorCode)
		}
		if r.Response != nil {
			return fmt.Errorf("refused with %d %s", r.Response.StatusCode, http.StatusText(r.Response.StatusCode))
		}
	}
	return errors.New("no token came for it")
}

// metadata asks the metadata server for the token of the account we run as.
func (g googleLogin) metadata(ctx context.Context) (*authn.AuthConfig, time.Time, error) {
	host := os.Getenv("GCE_METADATA_HOST") // as Google's libraries read it
	if host == "" {
		host = googleMetadata
	}
	fail := func(why string) (*authn.AuthConfig, time.Time, error) {
		return nil, time.Time{}, errors.New("no identity was found: there is no credentials file, and the metadata server " + why)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/computeMetadata/v1/instance/service-accounts/default/token", nil)
	if err != nil {
		return fail("has no usable name")
	}
	req.Header.Set("Metadata-Flavor", "Google")
	asked := time.Now()
	resp, err := g.http.Do(req)
	if err != nil {
		return fail("did not answer")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fail(fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	}
	var token struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if json.NewDecoder(resp.Body).Decode(&token) != nil || token.AccessToken == "" {
		return fail("answered without a token")
	}
	var expires time.Time
	if token.ExpiresIn > 0 {
		expires = asked.Add(time.Duration(token.ExpiresIn) * time.Second)
	}
	return &authn.AuthConfig{Username: googleUser, Password: token.AccessToken}, expires, nil
}
