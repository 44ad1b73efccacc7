package registry_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/registry"
)

func TestLoadHostsReadsEveryField(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t)
	cert, key := a.sign(t, "bot", time.Now().Add(time.Hour))
	for name, data := range map[string][]byte{"ca.pem": a.pem, "cert.pem": cert, "key.pem": key, "user": []byte("u"), "password": []byte("p"), "token": []byte("t"), "config.json": []byte("{}")} {
		write(t, filepath.Join(dir, name), data)
	}
	path := write(t, filepath.Join(dir, "registries.yaml"), []byte(`# a comment
apiVersion: towpath.dev/v1
kind: Registries
registries:
  - host: registry.corp:5000
    privateNetwork: true
    caFile: ca.pem
    certFile: cert.pem
    keyFile: `+filepath.Join(dir, "key.pem")+`
    proxy: direct
    requestsPerSecond: 2.5
    auth: {usernameFile: user, passwordFile: password}
  - host: localhost:5000
    plainHTTP: true
  - host: docker.io
    proxy: http://proxy.corp:3128
    auth: {tokenFile: token}
  - host: ghcr.io
    auth: {dockerConfigFile: config.json}
  - host: 123456789012.dkr.ecr.eu-west-1.amazonaws.com
    auth: {provider: ecr}
  - {host: quay.io, auth: {provider: none}}
`))
	got, err := registry.LoadHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	want := []registry.Host{
		{Host: "registry.corp:5000", PrivateNetwork: true, CAFile: in("ca.pem"), CertFile: in("cert.pem"), KeyFile: in("key.pem"), Proxy: "direct",
			RequestsPerSecond: 2.5, Auth: &registry.Auth{UsernameFile: in("user"), PasswordFile: in("password")}},
		{Host: "localhost:5000", PlainHTTP: true},
		{Host: "docker.io", Proxy: "http://proxy.corp:3128", Auth: &registry.Auth{TokenFile: in("token")}},
		{Host: "ghcr.io", Auth: &registry.Auth{DockerConfigFile: in("config.json")}},
		{Host: "123456789012.dkr.ecr.eu-west-1.amazonaws.com", Auth: &registry.Auth{Provider: "ecr"}},
		{Host: "quay.io", Auth: &registry.Auth{Provider: "none"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	json := write(t, filepath.Join(dir, "registries.json"), []byte("{\n\t\"apiVersion\": \"towpath.dev/v1\", \"kind\": \"Registries\",\n\t\"registries\": [{\"host\": \"ghcr.io\"}]\n}"))
	if got, err := registry.LoadHosts(json); err != nil || len(got) != 1 || got[0].Host != "ghcr.io" {
		t.Errorf("as JSON: %+v, %v", got, err)
	}
}

func TestLoadHostsSaysWhatIsWrongAndWhere(t *testing.T) {
	const head = "apiVersion: towpath.dev/v1\nkind: Registries\nregistries:\n"
	for name, tc := range map[string]struct {
		text string
		want []string // each line of the error, from the line number on
	}{
		"an empty file":       {"", []string{"1: the file is empty"}},
		"no mapping":          {"- a\n", []string{"1: the file is no mapping"}},
		"broken YAML":         {"a: [\n", []string{"1: yaml: line 1: did not find expected node content"}},
		"no kind":             {"registries: []\n", []string{"1: apiVersion is missing; write apiVersion: towpath.dev/v1", "1: kind is missing; write kind: Registries"}},
		"another kind":        {"apiVersion: towpath.dev/v2\nkind: Pipeline\nregistries: []\n", []string{`1: apiVersion is "towpath.dev/v2"; write towpath.dev/v1`, `2: kind is "Pipeline"; write Registries`}},
		"no list":             {"apiVersion: towpath.dev/v1\nkind: Registries\n", []string{"1: registries is no list"}},
		"two documents":       {head + "  - host: ghcr.io\n---\na: b\n", []string{"5: a file of kind Registries has one document"}},
		"an unknown key":      {head + "  - host: ghcr.io\n    insecure: true\n", []string{`5: ghcr.io: there is no "insecure"; there are host, plainHTTP, privateNetwork, caFile, certFile, keyFile, proxy, requestsPerSecond, auth`}},
		"another case":        {head + "  - Host: ghcr.io\n", []string{`4: a registry: there is no "Host"; there are host, plainHTTP, privateNetwork, caFile, certFile, keyFile, proxy, requestsPerSecond, auth`}},
		"an unknown auth key": {head + "  - host: ghcr.io\n    auth:\n      password: s3cret-canary\n", []string{`6: ghcr.io: auth: there is no "password"; there are usernameFile, passwordFile, tokenFile, dockerConfigFile, provider`}},
		"a key twice":         {head + "  - host: ghcr.io\n    host: quay.io\n", []string{"5: ghcr.io: host is written twice"}},
		"a wrong type":        {head + "  - host: ghcr.io\n    plainHTTP: sometimes\n", []string{"5: ghcr.io: plainHTTP is a text; want true or false"}},
		"auth as text":        {head + "  - host: ghcr.io\n    auth: s3cret-canary\n", []string{"5: ghcr.io: auth is a text; want a mapping"}},
		"words of YAML 1.1":   {head + "  - host: ghcr.io\n    plainHTTP: yes\n    privateNetwork: off\n", []string{"5: ghcr.io: plainHTTP is a text; want true or false", "6: ghcr.io: privateNetwork is a text; want true or false"}},
		"more wrong types": {head + "  - host: ghcr.io\n    requestsPerSecond: many\n    caFile: [a]\n    proxy: {a: b}\n    auth:\n      tokenFile: 1\n  - host: true\n", []string{
			"5: ghcr.io: requestsPerSecond is a text; want a number", "6: ghcr.io: caFile is a list; want a text", "7: ghcr.io: proxy is a mapping; want a text",
			"9: ghcr.io: auth: tokenFile is a number; want a text", "10: true: host is a truth value; want a text"}},
		"auth without a value": {head + "  - host: ghcr.io\n    auth:\n", []string{"5: ghcr.io: auth: has no value; write one or remove the key"}},
		"keys without values": {head + "  - host: ghcr.io\n    plainHTTP: null\n    caFile: ''\n    auth: {provider: ~}\n  - host: ''\n", []string{
			"5: ghcr.io: plainHTTP: has no value; write one or remove the key", "6: ghcr.io: caFile: has no value; write one or remove the key",
			"7: ghcr.io: auth: provider: has no value; write one or remove the key", "8: a registry: host: has no value; write one or remove the key"}},
		"a rate that is none": {head + "  - host: ghcr.io\n    requestsPerSecond: .nan\n  - host: quay.io\n    requestsPerSecond: .inf\n", []string{
			"4: ghcr.io: requestsPerSecond is not between 0 and 1000", "6: quay.io: requestsPerSecond is not between 0 and 1000"}},
		"an alias as a value": {head + "  - host: &a ghcr.io\n    caFile: *a\n", []string{"5: ghcr.io: caFile is an alias; write its value"}},
		"a tag":               {head + "  - host: !!str ghcr.io\n", []string{"4: ghcr.io: host has a tag of YAML; remove it"}},
		"a host that cannot be shown": {head + "  - host: \"a\\e[31m.io\"\n    insecure: true\n", []string{
			`5: a registry: there is no "insecure"; there are host, plainHTTP, privateNetwork, caFile, certFile, keyFile, proxy, requestsPerSecond, auth`}},
		"no host":     {head + "  - proxy: direct\n", []string{"4: a registry: host is missing"}},
		"a URL":       {head + "  - host: https://ghcr.io\n", []string{"4: https://ghcr.io: host is no registry as image names write it: a name with a dot or a port, without scheme and path"}},
		"an image":    {head + "  - host: ghcr.io/team\n", []string{"4: ghcr.io/team: host is no registry as image names write it: a name with a dot or a port, without scheme and path"}},
		"a bare word": {head + "  - host: registry\n", []string{"4: registry: host is no registry as image names write it: a name with a dot or a port, without scheme and path"}},
		"one host twice": {head + "  - host: docker.io\n  - host: ghcr.io\n  - host: Index.Docker.io\n", []string{
			"6: Index.Docker.io: it is named on line 4 already"}},
		"contradictions": {head + "  - host: ghcr.io\n    plainHTTP: true\n    caFile: ca.pem\n    certFile: x\n    proxy: proxy.corp:3128\n    requestsPerSecond: -1\n", []string{
			"4: ghcr.io: plainHTTP has no certificates; remove it, or caFile, certFile and keyFile",
			"4: ghcr.io: certFile and keyFile belong together",
			"4: ghcr.io: proxy is neither a URL (http, https, socks5) nor direct",
			"4: ghcr.io: requestsPerSecond is not between 0 and 1000"}},
		"a missing file":       {head + "  - host: ghcr.io\n    caFile: none.pem\n", []string{"4: ghcr.io: DIR/none.pem: no such file or directory"}},
		"a file of other text": {head + "  - host: ghcr.io\n    caFile: registries.yaml\n", []string{"4: ghcr.io: caFile holds no certificate"}},
		"two ways to log in": {head + "  - host: ghcr.io\n    auth: {provider: github, tokenFile: registries.yaml}\n", []string{
			"4: ghcr.io: auth has 2 ways to log in; want one of usernameFile with passwordFile, tokenFile, dockerConfigFile, provider"}},
		"no way to log in": {head + "  - host: ghcr.io\n    auth: {}\n", []string{
			"4: ghcr.io: auth has 0 ways to log in; want one of usernameFile with passwordFile, tokenFile, dockerConfigFile, provider"}},
		"half a way to log in": {head + "  - host: ghcr.io\n    auth: {usernameFile: none}\n", []string{
			"4: ghcr.io: auth: usernameFile and passwordFile belong together", "4: ghcr.io: auth: DIR/none: no such file or directory"}},
		"an unknown provider": {head + "  - host: ghcr.io\n    auth: {provider: gitlab}\n", []string{`4: ghcr.io: auth: there is no provider "gitlab"; there are ecr, google, azure, github, none`}},
		"an alias":            {head + "  - &a {host: ghcr.io}\n  - *a\n", []string{"5: a registry is no mapping"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := write(t, filepath.Join(dir, "registries.yaml"), []byte(tc.text))
			hosts, err := registry.LoadHosts(path)
			if err == nil {
				t.Fatalf("no error, %+v", hosts)
			}
			if hosts != nil {
				t.Errorf("%+v came with the error", hosts)
			}
			var want []string
			for _, w := range tc.want {
				want = append(want, path+":"+strings.ReplaceAll(w, "DIR", dir))
			}
			if d := cmp.Diff(want, strings.Split(err.Error(), "\n")); d != "" {
				t.Error(d)
			}
		})
	}
	if _, err := registry.LoadHosts(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "none: no such file") {
		t.Errorf("a missing file: %v", err)
	}
	big := write(t, filepath.Join(t.TempDir(), "big"), make([]byte, 2<<20))
	if _, err := registry.LoadHosts(big); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a large file: %v", err)
	}
}

func FuzzLoadHosts(f *testing.F) {
	for _, s := range []string{
		"apiVersion: towpath.dev/v1\nkind: Registries\nregistries:\n  - host: ghcr.io\n    auth: {provider: none}\n",
		"registries: [{host: ghcr.io, requestsPerSecond: .nan}]", "a: &a [*a]", "{", "? x", "registries:\n- !!binary aGk=\n", "- - -",
	} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "registries.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		hosts, err := registry.LoadHosts(path)
		if err == nil {
			registry.New(registry.Config{Hosts: hosts}).Close()
		} else if hosts != nil || strings.ContainsAny(strings.ReplaceAll(err.Error(), "\n", ""), "\x00\x1b\r") {
			t.Errorf("hosts %+v with error %q", hosts, err)
		}
	})
}
