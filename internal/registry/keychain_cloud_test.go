package registry

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath.dev/towpath/internal/image"
)

// cloudFake is a server that everything which is meant for a cloud ends at.
type cloudFake struct {
	handler func(w http.ResponseWriter, r *http.Request) // r.Host is whom it was meant for
	server  *httptest.Server

	mu    sync.Mutex
	asked []string // "host path"
}

func fakeCloud(t *testing.T, handler func(w http.ResponseWriter, r *http.Request)) *cloudFake {
	t.Helper()
	f := &cloudFake{handler: handler}
	f.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, r.Host+" "+r.URL.Path)
		f.mu.Unlock()
		f.handler(w, r)
	}))
	t.Cleanup(f.server.Close)
	return f
}

// RoundTrip leads every request here.
func (f *cloudFake) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Host = req.URL.Host
	req.URL.Scheme, req.URL.Host = "http", strings.TrimPrefix(f.server.URL, "http://")
	tr := &http.Transport{DisableKeepAlives: true}
	return tr.RoundTrip(req)
}

func (f *cloudFake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

// noIdentity takes away what the machine that runs the test may have.
func noIdentity(t *testing.T) {
	t.Helper()
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		for _, prefix := range []string{"AWS_", "AZURE_", "GOOGLE_", "GITHUB_", "GCE_", "CLOUDSDK_", "IDENTITY_", "IMDS_", "MSI_"} {
			if strings.HasPrefix(name, prefix) {
				t.Setenv(name, "")
				if err := os.Unsetenv(name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func repoOf(t *testing.T, name string) image.Repo {
	t.Helper()
	r, err := image.ParseRepo(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheProviderOfAHost(t *testing.T) {
	for host, want := range map[string]string{
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com": "ecr", "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com": "ecr",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn": "ecr", "123456789012.dkr-ecr.eu-west-1.on.aws": "ecr", "public.ecr.aws": "ecr",
		"gcr.io": "google", "eu.gcr.io": "google", "europe-docker.pkg.dev": "google",
		"shop.azurecr.io": "azure", "shop.azurecr.cn": "azure", "shop.azurecr.us": "azure", "ghcr.io": "github",
		// what looks like one and is somebody else's
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example": "", "12345.dkr.ecr.eu-central-1.amazonaws.com": "",
		"xgcr.io": "", "gcr.io.evil.example": "", "pkg.dev": "", "pkg.dev.evil.example": "", "azurecr.io.evil.example": "", "ghcr.io.evil.example": "",
		"evilghcr.io": "", "gcr.io:443": "", "shop.azurecr.io:5000": "", "docker.io": "", "quay.io": "", "": "",
	} {
		if got := providerOf(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

func TestAmazonsLogin(t *testing.T) {
	noIdentity(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "aws-canary")
	end := time.Now().Add(12 * time.Hour).Unix()
	token := base64.StdEncoding.EncodeToString([]byte("AWS:ecr-canary"))
	f := fakeCloud(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if strings.Contains(r.Header.Get("X-Amz-Target"), "SpencerFrontendService") {
			fmt.Fprintf(w, `{"authorizationData":{"authorizationToken":%q,"expiresAt":%d}}`, token, end)
			return
		}
		fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d}]}`, token, end)
	})
	c := cloudsOver(f, time.Now)
	for host, endpoint := range map[string]string{
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com":   "api.ecr.eu-central-1.amazonaws.com /",
		"123456789012.dkr.ecr-fips.us-east-1.amazonaws.com": "api.ecr-fips.us-east-1.amazonaws.com /",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn":  "api.ecr.cn-north-1.amazonaws.com.cn /",
		"public.ecr.aws": "api.ecr-public.us-east-1.amazonaws.com /",
	} {
		before := len(f.requests())
		for range 3 {
			l, err := c.automatic(t.Context(), repoOf(t, host+"/shop/web"))
			if err != nil || l.auth == nil || l.auth.Username != "AWS" || l.auth.Password != "ecr-canary" {
				t.Fatalf("%s: %+v, %v", host, l.why, err)
			}
		}
		if got := f.requests()[before:]; len(got) != 1 || got[0] != endpoint {
			t.Errorf("%s: asked %q, want %q once", host, got, endpoint)
		}
	}
	if got := entries(t, os.Getenv("HOME")); len(got) > 0 {
		t.Errorf("something was written to the home folder: %q", got)
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	hidden, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil {
		t.Fatal(err)
	}
	return append(all, hidden...)
}

func TestAmazonsRefusalIsACode(t *testing.T) {
	noIdentity(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "aws-canary")
	f := fakeCloud(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"UnrecognizedClientException","message":"your secret is canary"}`)
	})
	const host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
	clock := time.Now()
	c := cloudsOver(f, func() time.Time { return clock })
	for range 5 {
		l, err := c.automatic(t.Context(), repoOf(t, host+"/web"))
		if err != nil || l.auth != nil || !strings.Contains(l.why, "UnrecognizedClientException") || strings.Contains(l.why, "canary") {
			t.Fatalf("%q, %v", l.why, err)
		}
	}
	if n := len(f.requests()); n != 1 {
		t.Errorf("%d requests: a failure is remembered for %s", n, cloudPause)
	}
	clock = clock.Add(cloudPause)
	if _, err := c.automatic(t.Context(), repoOf(t, host+"/web")); err != nil || len(f.requests()) != 2 {
		t.Errorf("after %s: %d requests, %v", cloudPause, len(f.requests()), err)
	}
	_, err := c.named("ecr")(t.Context(), repoOf(t, host+"/web"))
	if err == nil || !strings.Contains(err.Error(), "provider ecr gave no credentials for "+host) || strings.Contains(err.Error(), "canary") {
		t.Errorf("named: %v", err)
	}
}

// serviceAccount writes a key file of Google whose tokens come from tokenURI.
func serviceAccount(t *testing.T, tokenURI string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "bot@shop.iam.gserviceaccount.com", "private_key_id": "1", "token_uri": tokenURI,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGooglesLoginWithAKeyFile(t *testing.T) {
	noIdentity(t)
	refuse := false
	f := fakeCloud(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if refuse {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_grant","error_description":"canary"}`)
			return
		}
		if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || strings.Count(r.FormValue("assertion"), ".") != 2 {
			t.Errorf("grant %q", r.FormValue("grant_type"))
		}
		fmt.Fprint(w, `{"access_token":"google-canary","expires_in":3600,"token_type":"Bearer"}`)
	})
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", serviceAccount(t, f.server.URL+"/token"))
	clock := time.Now()
	c := newClouds(func() time.Time { return clock }) // the real transport: the file says where to go
	for _, host := range []string{"gcr.io", "eu.gcr.io", "europe-docker.pkg.dev"} {
		l, err := c.automatic(t.Context(), repoOf(t, host+"/shop/web"))
		if err != nil || l.auth == nil || l.auth.Username != "oauth2accesstoken" || l.auth.Password != "google-canary" {
			t.Fatalf("%s: %q, %v", host, l.why, err)
		}
	}
	if n := len(f.requests()); n != 1 {
		t.Errorf("%d token requests for three hosts, want 1", n)
	}
	clock = clock.Add(56 * time.Minute) // 5 minutes before the end another is fetched
	refuse = true
	l, err := c.automatic(t.Context(), repoOf(t, "gcr.io/shop/web"))
	if err != nil || l.auth == nil || len(f.requests()) != 2 {
		t.Errorf("while it is good it is used, whatever the renewal said: %q, %v, %d requests", l.why, err, len(f.requests()))
	}
	clock = clock.Add(15 * time.Minute)
	l, err = c.automatic(t.Context(), repoOf(t, "gcr.io/shop/web"))
	if err != nil || l.auth != nil || !strings.Contains(l.why, "refused with 400") || strings.Contains(l.why, "canary") {
		t.Errorf("after its end: %q, %v", l.why, err)
	}
}

func TestGooglesLoginOnItsOwnMachines(t *testing.T) {
	noIdentity(t)
	f := fakeCloud(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata-Flavor") != "Google" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, `{"access_token":"meta-canary","expires_in":599,"token_type":"Bearer"}`)
	})
	c := cloudsOver(f, time.Now)
	l, err := c.automatic(t.Context(), repoOf(t, "gcr.io/shop/web"))
	if err != nil || l.auth == nil || l.auth.Password != "meta-canary" {
		t.Fatalf("%q, %v", l.why, err)
	}
	want := "metadata.google.internal /computeMetadata/v1/instance/service-accounts/default/token"
	if got := f.requests(); len(got) != 1 || got[0] != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestGooglesFileThatCannotBeUsed(t *testing.T) {
	noIdentity(t)
	f := fakeCloud(t, func(http.ResponseWriter, *http.Request) {})
	for content, want := range map[string]string{
		`{"type":"service_account","private_key":"canary"}`: "no token came for it",
		`{"type":"canary"}`: "no credentials of a known type",
		`canary`:            "no credentials of a known type",
		``:                  "no credentials of a known type",
	} {
		path := filepath.Join(t.TempDir(), "key.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
		_, _, err := googleLogin{&http.Client{Transport: f}}.login(t.Context(), "gcr.io")
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", content, err, want)
		}
	}
	if n := len(f.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestAzuresLogin(t *testing.T) {
	noIdentity(t)
	t.Setenv("AZURE_TENANT_ID", "11111111-2222-3333-4444-555555555555")
	t.Setenv("AZURE_CLIENT_ID", "66666666-2222-3333-4444-555555555555")
	t.Setenv("AZURE_CLIENT_SECRET", "azure-canary")
	exp := time.Now().Add(3 * time.Hour).Truncate(time.Second)
	claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, exp.Unix()))
	refuse := ""
	f := fakeCloud(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		entra := "https://" + r.Host + "/11111111-2222-3333-4444-555555555555"
		switch {
		case refuse != "" && strings.Contains(r.URL.Path, refuse):
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"azure-canary","errors":[{"code":"UNAUTHORIZED","message":"canary"}]}`)
		case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
			fmt.Fprintf(w, `{"tenant_discovery_endpoint":"%s/v2.0/.well-known/openid-configuration","metadata":[{"preferred_network":%q,"preferred_cache":%q,"aliases":[%q]}]}`, entra, r.Host, r.Host, r.Host)
		case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
			fmt.Fprintf(w, `{"token_endpoint":"%s/oauth2/v2.0/token","issuer":"%s/v2.0","authorization_endpoint":"%s/oauth2/v2.0/authorize"}`, entra, entra, entra)
		case strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token"):
			if r.FormValue("client_secret") != "azure-canary" || !strings.Contains(r.FormValue("scope"), azureAudience) {
				t.Errorf("form %v", r.Form)
			}
			fmt.Fprint(w, `{"access_token":"entra-canary","expires_in":3600,"token_type":"Bearer"}`)
		case r.URL.Path == "/oauth2/exchange":
			if r.FormValue("access_token") != "entra-canary" || r.FormValue("service") != r.Host || r.FormValue("grant_type") != "access_token" {
				t.Errorf("form %v", r.Form)
			}
			fmt.Fprintf(w, `{"refresh_token":"h.%s.canary"}`, claims)
		default:
			t.Errorf("asked %s %s", r.Host, r.URL)
		}
	})
	login := azureLogin{&http.Client{Transport: cloudWire{f}}}.login
	auth, expires, err := login(t.Context(), "shop.azurecr.io")
	if err != nil {
		t.Fatal(err)
	}
	if auth.Username != "00000000-0000-0000-0000-000000000000" || auth.Password != "h."+claims+".canary" || !expires.Equal(exp) {
		t.Errorf("user %q until %s", auth.Username, expires)
	}
	got := f.requests()
	if last := got[len(got)-1]; last != "shop.azurecr.io /oauth2/exchange" || !strings.HasPrefix(got[0], "login.microsoftonline.com ") {
		t.Errorf("asked %q", got)
	}
	for part, want := range map[string]string{"/oauth2/v2.0/token": "401", "/oauth2/exchange": "401"} {
		refuse = part
		if _, _, err := login(t.Context(), "shop.azurecr.io"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s refuses: %v", part, err)
		}
	}
	refuse = ""
	before := len(f.requests())
	_, _, err = login(t.Context(), "shop.azurecr.cn")
	if got := f.requests()[before:]; err != nil || !slices.ContainsFunc(got, func(s string) bool {
		return strings.HasPrefix(s, "login.chinacloudapi.cn ") && strings.HasSuffix(s, "/token")
	}) {
		t.Errorf("in China: asked %q, %v", got, err)
	}
}

func TestGitHubsLogin(t *testing.T) {
	noIdentity(t)
	c := cloudsOver(fakeCloud(t, func(http.ResponseWriter, *http.Request) {}), time.Now)
	web := repoOf(t, "ghcr.io/shop/web")
	l, err := c.automatic(t.Context(), web)
	if err != nil || l.auth != nil || !strings.Contains(l.why, "GITHUB_TOKEN is not set") {
		t.Errorf("without a token: %q, %v", l.why, err)
	}
	t.Setenv("GITHUB_TOKEN", "gh-canary")
	c = cloudsOver(http.DefaultTransport, time.Now)
	if l, err = c.automatic(t.Context(), web); err != nil || l.auth == nil || l.auth.Password != "gh-canary" {
		t.Errorf("with one: %q, %v", l.why, err)
	}
	if _, err := c.named("github")(t.Context(), repoOf(t, "registry.example/web")); err == nil || !strings.Contains(err.Error(), "not ghcr.io") {
		t.Errorf("for another host: %v", err)
	}
}

func TestNoCloudIsAskedUnlessAllowed(t *testing.T) {
	noIdentity(t)
	t.Setenv("GITHUB_TOKEN", "gh-canary")
	web := repoOf(t, "ghcr.io/shop/web")
	for _, allowed := range []bool{false, true} {
		k := newKeychains(Config{CloudCredentials: allowed})
		r, err := k.resolve(t.Context(), web)
		if err != nil || (r.auth != nil) != allowed {
			t.Errorf("allowed %t: found %t, %v", allowed, r.auth != nil, err)
		}
	}
	k := newKeychains(Config{})
	if _, err := k.resolve(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	if got := k.remedy(web); !strings.Contains(got, "allow cloud credentials (github)") {
		t.Errorf("the remedy does not offer it: %s", got)
	}
}

func TestMetadataServersAreNotAskedThroughAProxy(t *testing.T) {
	for host, want := range map[string]bool{
		"169.254.169.254": true, "169.254.170.2": true, "169.254.170.23": true, "fd00:ec2::254": true, "fd00:ec2::23": true, "fe80::1": true,
		"metadata.google.internal": true, "oauth2.googleapis.com": false, "10.0.0.1": false, "fd00::1": false, "x.azurecr.io": false, "": false,
	} {
		if got := isMetadata(host); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
}

func TestACloudThatHangsIsLeftWhenTheCallEnds(t *testing.T) {
	for name, test := range map[string]struct {
		host string
		env  map[string]string
	}{
		"ecr":             {"123456789012.dkr.ecr.eu-central-1.amazonaws.com", map[string]string{"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}},
		"ecr metadata":    {"public.ecr.aws", map[string]string{"AWS_EC2_METADATA_DISABLED": "false"}},
		"google":          {"gcr.io", nil},
		"azure":           {"x.azurecr.io", map[string]string{"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}},
		"azure metadata":  {"x.azurecr.io", nil},
		"azure federated": {"x.azurecr.io", map[string]string{"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_FEDERATED_TOKEN_FILE": "token"}},
	} {
		t.Run(name, func(t *testing.T) {
			noIdentity(t)
			for k, v := range test.env {
				if strings.HasSuffix(k, "_FILE") {
					v = filepath.Join(t.TempDir(), v)
					if err := os.WriteFile(v, []byte("canary"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				t.Setenv(k, v)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			left := make(chan struct{})
			f := fakeCloud(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // before that the server does not see that nobody listens
				cancel()
				select {
				case <-left:
					w.WriteHeader(http.StatusBadRequest)
				case <-r.Context().Done():
				}
			})
			l, err := cloudsOver(f, time.Now).automatic(ctx, repoOf(t, test.host+"/web"))
			close(left) // Amazon's library waits for its metadata server in the background
			if !errors.Is(err, context.Canceled) || l.auth != nil {
				t.Errorf("%q, %v", l.why, err)
			}
			if len(f.requests()) == 0 {
				t.Error("nobody was asked")
			}
		})
	}
}
