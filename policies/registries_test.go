package policies

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"towpath.dev/towpath/internal/registry"
)

// maxRegistries and the words below are held to LoadHosts by the tests of this
// file; the types of package registry say nothing of JSON Schema.
const maxRegistries = 1000

// providers are the words of auth.provider.
func providers() []any { return []any{"ecr", "google", "azure", "github", "none"} }

// registries is the schema of the file that --registries names. An operator
// writes it, not a user of the config repository, so it is not part of "all".
func registries(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s := reflector(t, "../internal/registry").ReflectFromType(reflect.TypeFor[registry.Registries]())
	s.Title = "Registries"
	most := uint64(maxRegistries)
	list := s.Properties.Value("registries")
	list.Description, list.MaxItems = "What is said of single registries.", &most
	for key, word := range map[string]string{"apiVersion": "towpath.dev/v1", "kind": "Registries"} {
		s.Properties.Value(key).Enum = []any{word}
		s.Properties.Value(key).Description = "Always " + word + "."
	}
	host := list.Items
	one := uint64(1)
	for _, of := range []*jsonschema.Schema{host, host.Properties.Value("auth")} {
		for p := of.Properties.Oldest(); p != nil; p = p.Next() {
			if p.Value.Type == "string" && p.Key != "proxy" { // "" says something there
				p.Value.MinLength = &one
			}
		}
	}
	rate := host.Properties.Value("requestsPerSecond")
	rate.Minimum, rate.Maximum = "0", json.Number(fmt.Sprint(registry.MaxRequestsPerSecond))
	rate.Description = fmt.Sprintf("The rate kept over a while; 0: %v.", registry.DefaultRequestsPerSecond)
	auth := host.Properties.Value("auth")
	auth.Description = "Exactly one way to log in. Without it the docker config and what else the command names is asked."
	for _, way := range [][]string{{"usernameFile", "passwordFile"}, {"tokenFile"}, {"dockerConfigFile"}, {"provider"}} {
		auth.OneOf = append(auth.OneOf, &jsonschema.Schema{Required: way})
	}
	auth.Properties.Value("provider").Enum, auth.Properties.Value("provider").MinLength = providers(), nil
	describe(host, registry.Host{})
	describe(auth, registry.Auth{})
	host.Properties.Value("keyFile").Description = host.Properties.Value("certFile").Description
	s.Description = "What an operator says of single registries: the file that --registries names."
	return s
}

// describe makes descriptions of a struct's comments: fields are named as in YAML.
func describe(s *jsonschema.Schema, of any) {
	s.Description = strings.Join(strings.Fields(s.Description), " ")
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		text := strings.Join(strings.Fields(p.Value.Description), " ")
		for f := range reflect.TypeOf(of).Fields() {
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			text = regexp.MustCompile(`\b`+f.Name+`\b`).ReplaceAllString(text, key)
		}
		p.Value.Description = strings.TrimPrefix(text, p.Key+": ")
	}
	if rest, ok := strings.CutPrefix(s.Description, reflect.TypeOf(of).Name()+" is "); ok {
		s.Description = strings.ToUpper(rest[:1]) + rest[1:]
	}
}

// registriesFolder holds the files that a good file of Registries names.
func registriesFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"secret":   []byte("secret\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// hostSamples are hosts that between them have every key.
func hostSamples() []any {
	hosts := []any{
		map[string]any{"host": "ghcr.io"},
		map[string]any{"host": "plain.example:5000", "plainHTTP": true, "privateNetwork": true, "requestsPerSecond": 2.5, "proxy": "direct"},
		map[string]any{"host": "tls.example", "caFile": "cert.pem", "certFile": "cert.pem", "keyFile": "key.pem", "proxy": "http://proxy.example:3128"},
		map[string]any{"host": "a.example", "auth": map[string]any{"usernameFile": "secret", "passwordFile": "secret"}},
		map[string]any{"host": "b.example", "auth": map[string]any{"tokenFile": "secret"}},
		map[string]any{"host": "c.example", "auth": map[string]any{"dockerConfigFile": "secret"}},
	}
	for i, p := range providers() {
		hosts = append(hosts, map[string]any{"host": fmt.Sprintf("p%d.example", i), "auth": map[string]any{"provider": p}})
	}
	return hosts
}

func registriesFile(hosts []any) map[string]any {
	return map[string]any{"apiVersion": "towpath.dev/v1", "kind": "Registries", "registries": hosts}
}

func compileRegistries(t *testing.T) *validator.Schema {
	t.Helper()
	data, err := fs.ReadFile(Schemas, "schema/registries.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource("registries.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("registries.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestRegistriesAndTheirSchemaAgree holds LoadHosts and the schema to each other
// on good files, on each mistake, and on a thousand changed files.
func TestRegistriesAndTheirSchemaAgree(t *testing.T) {
	schema, dir := compileRegistries(t), registriesFolder(t)
	file := filepath.Join(dir, "registries.yaml")
	ask := func(text string) (loaded, valid error, shown bool) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, loaded = registry.LoadHosts(file)
		var node yaml.Node
		if yaml.Unmarshal([]byte(text), &node) != nil || len(node.Content) == 0 {
			return loaded, nil, false
		}
		doc, shown := (&converter{}).value(node.Content[0])
		return loaded, schema.Validate(doc), shown
	}
	good := quoted(registriesFile(hostSamples()))
	if loaded, valid, _ := ask(good); loaded != nil || valid != nil {
		t.Fatalf("LoadHosts: %v, schema: %v", loaded, valid)
	}
	for what, host := range map[string]any{
		"no host":                    map[string]any{"plainHTTP": true},
		"an unknown key":             map[string]any{"host": "a.example", "insecure": true},
		"an unknown key of auth":     map[string]any{"host": "a.example", "auth": map[string]any{"token": "secret"}},
		"an unknown provider":        map[string]any{"host": "a.example", "auth": map[string]any{"provider": "aws"}},
		"two ways to log in":         map[string]any{"host": "a.example", "auth": map[string]any{"tokenFile": "secret", "provider": "ecr"}},
		"half a way to log in":       map[string]any{"host": "a.example", "auth": map[string]any{"usernameFile": "secret"}},
		"no way to log in":           map[string]any{"host": "a.example", "auth": map[string]any{}},
		"a text for a truth value":   map[string]any{"host": "a.example", "plainHTTP": "true"},
		"no truth value":             map[string]any{"host": "a.example", "plainHTTP": nil},
		"no file":                    map[string]any{"host": "a.example", "caFile": ""},
		"no name":                    map[string]any{"host": ""},
		"no auth":                    map[string]any{"host": "a.example", "auth": nil},
		"no provider":                map[string]any{"host": "a.example", "auth": map[string]any{"tokenFile": "secret", "provider": ""}},
		"a rate below zero":          map[string]any{"host": "a.example", "requestsPerSecond": -1},
		"a rate above all":           map[string]any{"host": "a.example", "requestsPerSecond": registry.MaxRequestsPerSecond + 1},
		"a text where a host belong": "a.example",
	} {
		if loaded, valid, _ := ask(quoted(registriesFile([]any{host}))); loaded == nil || valid == nil {
			t.Errorf("%s: LoadHosts: %v, schema: %v", what, loaded, valid)
		}
	}
	for _, word := range []string{"yes", "off", "~", ""} {
		if loaded, valid, _ := ask("apiVersion: towpath.dev/v1\nkind: Registries\nregistries:\n  - host: a.example\n    plainHTTP: " + word + "\n"); loaded == nil || valid == nil {
			t.Errorf("plainHTTP: %s: LoadHosts: %v, schema: %v", word, loaded, valid)
		}
	}
	many := make([]any, 0, maxRegistries+1)
	for i := range maxRegistries {
		many = append(many, map[string]any{"host": fmt.Sprintf("h%d.example", i)})
	}
	if loaded, valid, _ := ask(quoted(registriesFile(many))); loaded != nil || valid != nil {
		t.Errorf("as many registries as may be: LoadHosts: %v, schema: %v", loaded, valid)
	}
	if loaded, valid, _ := ask(quoted(registriesFile(append(many, map[string]any{"host": "one.more"})))); loaded == nil || valid == nil {
		t.Errorf("one registry more: LoadHosts: %v, schema: %v", loaded, valid)
	}
	w := vocabulary(t)
	w.values = append(w.values, quoted("ecr"), quoted("secret"), quoted("https://proxy.example"), quoted("b.example"), "0.5")
	for _, of := range []any{registry.Registries{}, registry.Host{}, registry.Auth{}} {
		for f := range reflect.TypeOf(of).Fields() {
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			w.keys = append(w.keys, quoted(key))
		}
	}
	random, taken := mathrand.New(mathrand.NewPCG(2, 7)), 0
	for range 1000 {
		script := make([]byte, 6*(1+random.IntN(2)))
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		host := hostSamples()[random.IntN(len(hostSamples()))]
		text, ok := mutate(quoted(registriesFile([]any{host})), script, w)
		loaded, valid, shown := ask(text)
		if ok && loaded == nil {
			taken++
		}
		if ok && shown && loaded == nil && valid != nil {
			t.Fatalf("LoadHosts takes what the schema refuses:\n%s\n%v", text, valid)
		}
	}
	if taken < 50 {
		t.Errorf("LoadHosts took only %d files: that says little", taken)
	}
}

// TestTheRegistriesThatTheGuideShowsAreGood holds the guide's files to the schema.
func TestTheRegistriesThatTheGuideShowsAreGood(t *testing.T) {
	guide, err := os.ReadFile("../docs/guides/registries.md")
	if err != nil {
		t.Fatal(err)
	}
	schema, shown := compileRegistries(t), 0
	for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)\n```$").FindAllStringSubmatch(string(guide), -1) {
		if !strings.Contains(block[1], "kind: Registries") {
			continue
		}
		shown++
		var doc any
		if err := yaml.Unmarshal([]byte(block[1]), &doc); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%v in\n%s", err, block[1])
		}
	}
	if shown == 0 {
		t.Error("no file of kind Registries is shown")
	}
}
