package distribution

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// passwords is the htpasswd file of the registry with BasicAuth: distribution takes bcrypt only.
const passwords = User + ":$2a$04$mRdnXzAU0ynz.0cJqPuOHO.i5j6xiTobT1SCPmVittVibVebCK/ly\n" + pushUser + ":$2a$04$BlpN0al/RkX/NuGQkKGNuO3gZK3Xp5Vhjg8Td2VIXXe8w5V4uXbB2\n"

// object is one of the registry's configuration, which is YAML and therefore may be JSON.
type object = map[string]any

// config writes the registry's configuration and what it names, and returns its path.
func (r *Registry) config() (string, error) {
	http := object{"addr": "127.0.0.1:0", "relativeurls": true, "secret": "one process needs no shared secret"}
	if r.options.TLS {
		t := object{"certificate": r.pki.serverCert, "key": r.pki.serverKey}
		if r.options.ClientCerts {
			t["clientcas"] = []string{r.pki.caFile}
		}
		http["tls"] = t
	}
	c := object{
		"version": "0.1",
		"log":     object{"level": "info"},
		"http":    http,
		"storage": object{
			"inmemory":    object{},
			"delete":      object{"enabled": true},
			"maintenance": object{"uploadpurging": object{"enabled": false}},
		},
	}
	if r.options.MaxTags > 0 {
		c["tags"] = object{"maxtags": r.options.MaxTags}
	}
	switch {
	case r.options.TokenAuth:
		realm := r.scheme() + r.TokenHost + tokenPath
		c["auth"] = object{"token": object{
			"realm": realm, "service": service, "issuer": issuer, "rootcertbundle": r.pki.tokenCert,
		}}
	case r.options.BasicAuth:
		path := filepath.Join(r.dir, "htpasswd")
		if err := os.WriteFile(path, []byte(passwords), 0o600); err != nil {
			return "", err
		}
		c["auth"] = object{"htpasswd": object{"realm": "registry", "path": path}}
	}
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return "", err
	}
	path := filepath.Join(r.dir, "config.yaml")
	return path, os.WriteFile(path, raw, 0o600)
}
