package gitrepo

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// oddPassword has what every quoting changes.
const oddPassword = `p4:"<&/%20 @é\ss` + secretPassword

// leaked returns the spelling in which a text shows a secret, "" when it does not.
func leaked(text, secret string) string {
	quoted, _ := json.Marshal(secret)
	for _, s := range []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), fmt.Sprintf("%q", secret), html.EscapeString(secret), string(quoted),
		base64.StdEncoding.EncodeToString([]byte("git:" + secret)), base64.StdEncoding.EncodeToString([]byte(secret)),
	} {
		if strings.Contains(text, s) {
			return s
		}
	}
	// Whatever the spelling of the odd half, this half is always the same.
	if strings.Contains(text, secretPassword) {
		return secretPassword
	}
	return ""
}

func TestWhatAServerSaysBackOfASecretIsCutOut(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	packet := func(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }
	answers := map[string]func(w http.ResponseWriter, r *http.Request, said string){
		"401": func(w http.ResponseWriter, _ *http.Request, said string) {
			http.Error(w, said, http.StatusUnauthorized)
		},
		"403": func(w http.ResponseWriter, _ *http.Request, said string) { http.Error(w, said, http.StatusForbidden) },
		"404": func(w http.ResponseWriter, _ *http.Request, said string) { http.Error(w, said, http.StatusNotFound) },
		"500": func(w http.ResponseWriter, _ *http.Request, said string) {
			http.Error(w, said, http.StatusInternalServerError)
		},
		"no git": func(w http.ResponseWriter, _ *http.Request, said string) { _, _ = w.Write([]byte(said)) },
		"an error of git": func(w http.ResponseWriter, _ *http.Request, said string) {
			_, _ = w.Write([]byte(packet("ERR " + said)))
		},
		"an odd advertisement": func(w http.ResponseWriter, _ *http.Request, said string) {
			_, _ = w.Write([]byte(packet("# service=x\n") + "0000" + packet(said)))
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request, said string) {
			http.Redirect(w, r, "/else?x="+url.QueryEscape(said), http.StatusFound)
		},
		"a redirect downwards": func(w http.ResponseWriter, r *http.Request, said string) {
			http.Redirect(w, r, "ftp://h/"+url.PathEscape(said), http.StatusFound)
		},
		"a redirect to no host": func(w http.ResponseWriter, _ *http.Request, said string) {
			w.Header().Set("Location", "http://a b/"+url.PathEscape(said))
			w.WriteHeader(http.StatusFound)
		},
		"a report": func(w http.ResponseWriter, _ *http.Request, said string) {
			report := packet("unpack ok\n") + packet("ng refs/heads/main "+said+"\n") + "0000"
			_, _ = w.Write([]byte(packet("\x02"+said+"\n") + packet("\x01"+report) + "0000"))
		},
		"no unpacking": func(w http.ResponseWriter, _ *http.Request, said string) {
			_, _ = w.Write([]byte(packet("\x01"+packet("unpack "+said+"\n")+"0000") + "0000"))
		},
		"a fatal word": func(w http.ResponseWriter, _ *http.Request, said string) {
			_, _ = w.Write([]byte(packet("\x03" + said + "\n")))
		},
	}
	echoes := map[string]func(header, secret string) string{
		"header": func(h, _ string) string { return "you sent " + h },
		"plain":  func(_, s string) string { return "your token is " + s + "." },
		"quoted": func(_, s string) string { return fmt.Sprintf("token %q is bad", s) },
		"html":   func(_, s string) string { return "<p>" + html.EscapeString(s) + "</p>" },
		"json":   func(_, s string) string { b, _ := json.Marshal(s); return `{"token":` + string(b) + "}" },
		"url":    func(_, s string) string { return "see https://h/?t=" + url.QueryEscape(s) },
		"cut":    func(_, s string) string { return strings.Repeat("x", maxMessages-len(s)-5) + " " + s },
	}
	for _, password := range []string{secretPassword, oddPassword} {
		for way, auth := range map[string]Auth{
			"basic":  {PasswordFile: secret(t, password)},
			"bearer": {BearerTokenFile: secret(t, password)},
		} {
			for name, answer := range answers {
				t.Run(way+" "+name, func(t *testing.T) {
					echo, pushing, down := echoes["plain"], "", false
					g := newGate(t, root, nil, func(w http.ResponseWriter, r *http.Request) bool {
						on := r.Method == http.MethodPost && pushing == "at the end" || pushing == "at once"
						if !on {
							return true
						}
						if down = true; r.URL.Path == "/else" {
							http.Error(w, "nothing", http.StatusNotFound)
							return false
						}
						if strings.HasSuffix(r.URL.Path, "/info/refs") {
							w.Header().Set("Content-Type", "application/x-"+r.URL.Query().Get("service")+"-advertisement")
						}
						answer(w, r, echo(r.Header.Get("Authorization"), password))
						return false
					})
					out := &logged{}
					r := open(t, Config{URL: g.URL + "/config.git", Auth: auth, Logger: out.logger()})
					made := commit(t, r, base, map[string]string{"a": "1\n"})
					for kind, e := range echoes {
						for _, moment := range []string{"at once", "at the end"} {
							echo, pushing, down = e, moment, false
							err := r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: base, New: made.Hash})
							if moment == "at once" && err == nil {
								err = r.Fetch(t.Context())
							}
							pushing = ""
							if err == nil || !down {
								t.Fatalf("%s %s: no error (asked: %v)", kind, moment, down)
							}
							if s := leaked(err.Error(), password); s != "" {
								t.Errorf("%s %s: the error shows %q: %v", kind, moment, s, err)
							}
						}
					}
					if s := leaked(out.String(), password); s != "" {
						t.Errorf("the log shows %q: %s", s, out.String())
					}
				})
			}
		}
	}
}

func TestPasswordsOfBrokenURLsAreNotShown(t *testing.T) {
	for _, in := range []string{
		"bot:" + secretPassword + "@h.example/x.git", // no scheme: host:path for git
		"https:/bot:" + secretPassword + "@h.example/x.git",
		"https:bot:" + secretPassword + "@h.example/x.git",
		"https//bot:" + secretPassword + "@h.example/x.git",
		"//bot:" + secretPassword + "@h.example/x.git",
		" https://bot:" + secretPassword + "@h.example/x.git",
		"https://bot:12/" + secretPassword + "@h.example/x.git",
		"https://bot:a@b/" + secretPassword + "@h.example/x.git",
		"ssh://bot:12/" + secretPassword + "@h.example/x.git",
		"https://bot:%zz" + secretPassword + "@h.example/x.git",
		"HTTPS:/bot:" + secretPassword + "@h.example",
		"bot:" + secretPassword + "@h.example:x.git",
		"s3:" + secretPassword + "://h@x",
	} {
		got, err := parseRemote(in)
		if err == nil || strings.Contains(err.Error(), secretPassword) {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for in, shown := range map[string]string{
		"https://h.example/a%40b/x.git":     "https://h.example/a%40b/x.git",
		"https://bot:a%2Fb%40@h.example/x":  "https://h.example/x",
		"file:///srv/a:b@c":                 "file:///srv/a:b@c",
		"git@h.example:te@m/x.git":          "h.example:te@m/x.git",
		"ssh://bot:pass@h.example:22/x.git": "ssh://h.example:22/x.git",
	} {
		if got, err := parseRemote(in); err != nil || got.shown != shown {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
}

func TestATokenInPlaceOfTheUserNameIsNotShown(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/moved.git/info/refs", func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		http.Redirect(w, r, "/denied/"+user+"/info/refs?service=git-upload-pack", http.StatusFound)
	})
	mux.HandleFunc("/over.git/info/refs", func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		line := "ERR " + user + " has expired, " + r.Header.Get("Authorization") + "\n"
		_, _ = fmt.Fprintf(w, "001e# service=git-upload-pack\n0000%04x%s0000", len(line)+4, line)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	for _, login := range []string{secretPassword, secretPassword + ":", secretPassword + ":x-oauth-basic", "bot:" + secretPassword} {
		for _, path := range []string{"/moved.git", "/over.git"} {
			said := &logged{}
			url := strings.Replace(srv.URL, "://", "://"+login+"@", 1) + path
			_, err := Open(t.Context(), Config{URL: url, Dir: t.TempDir(), Logger: said.logger()})
			if err == nil {
				t.Fatal("opened")
			}
			text := err.Error() + said.String()
			spelled := base64.StdEncoding.EncodeToString([]byte(login))
			if shown := leaked(text, secretPassword); shown != "" || strings.Contains(text, spelled) {
				t.Errorf("%s%s: %s", login, path, text)
			}
		}
	}
	// What the URL shows anyway stays readable.
	url := strings.Replace(srv.URL, "://", "://team@", 1) + "/team/absent.git"
	if _, err := Open(t.Context(), Config{URL: url, Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "/team/absent.git") {
		t.Errorf("a name: %v", err)
	}
	if r := (remote{user: "token"}); !(Auth{}).sendsSecret(r) {
		t.Error("a user name alone is not taken for a secret")
	}
}
