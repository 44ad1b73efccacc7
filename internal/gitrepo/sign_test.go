package gitrepo

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/crypto/ssh"
)

// passphrase is looked for in errors.
const passphrase = "correct horse battery"

// program returns where a program of the system is; the test is skipped without it.
func program(t testing.TB, name, debian string) string {
	t.Helper()
	for _, at := range []string{name, "/usr/sbin/" + name} {
		if p, err := exec.LookPath(at); err == nil {
			return p
		}
	}
	t.Skipf("%s is not installed (Debian: apt-get install %s): what it says of our work is not known", name, debian)
	return ""
}

// runIn runs a program with more environment and returns what it prints.
func runIn(t testing.TB, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, both.String())
	}
	return both.String()
}

// keygen makes an ssh key with ssh-keygen and returns its file.
func keygen(t testing.TB, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	// One round, as sixteen take a second with the race detector.
	runIn(t, nil, program(t, "ssh-keygen", "openssh-client"), append([]string{"-q", "-a", "1", "-C", "towpath", "-f", file}, args...)...)
	return file
}

// sshKinds are the keys that ssh-keygen makes, with passphrase and without.
func sshKinds() map[string][]string {
	return map[string][]string{
		"ed25519":                {"-t", "ed25519", "-N", ""},
		"ed25519 with a phrase":  {"-t", "ed25519", "-N", passphrase},
		"ecdsa":                  {"-t", "ecdsa", "-b", "256", "-N", ""},
		"ecdsa 521":              {"-t", "ecdsa", "-b", "521", "-N", ""},
		"rsa":                    {"-t", "rsa", "-b", "2048", "-N", ""},
		"rsa in PEM":             {"-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""},
		"rsa in PEM with phrase": {"-t", "rsa", "-b", "2048", "-m", "PEM", "-N", passphrase},
		"rsa in PKCS 8":          {"-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", ""},
	}
}

// signed publishes a commit with a signing key and returns repository and commit.
func signed(t *testing.T, sign Signing) (dir string, made Commit) {
	t.Helper()
	root := t.TempDir()
	dir = bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	r := open(t, Config{URL: dir, Sign: sign, Now: time.Now})
	made = must(r.Publish(t.Context(), Change{Parent: base, Message: "Update web\n\nWith a body.\n\n\nAnd a gap.",
		Files: map[string][]byte{"a": []byte("1\n")}}, "refs/heads/main", base))(t)
	gitRun(t, dir, "fsck", "--strict")
	if got := gitRun(t, dir, "log", "-1", "--format=%B", "main"); got != strings.TrimSpace(made.Message) {
		t.Errorf("the message on the server is %q, want %q", got, made.Message)
	}
	if got := must(r.ReadCommit(made.Hash))(t); got.Message != made.Message || got.Tree != made.Tree {
		t.Errorf("read back: %+v, want %+v", got, made)
	}
	return dir, made
}

func TestGitVerifiesCommitsSignedWithSSHKeys(t *testing.T) {
	for name, args := range sshKinds() {
		t.Run(name, func(t *testing.T) {
			key := keygen(t, args...)
			s := Signing{Format: SignSSH, KeyFile: key}
			if args[len(args)-1] != "" {
				s.PassphraseFile = secret(t, passphrase)
			}
			dir, made := signed(t, s)
			allowed := filepath.Join(t.TempDir(), "allowed")
			public := string(must(os.ReadFile(key + ".pub"))(t))
			check(t, os.WriteFile(allowed, []byte("towpath@localhost namespaces=\"git\" "+public), 0o600))
			said := runIn(t, nil, "git", "-C", dir, "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", "-v", made.Hash)
			if !strings.Contains(said, "Good \"git\" signature for towpath@localhost") {
				t.Errorf("git says: %s", said)
			}
			// And it notices another content under the same signature.
			object := runIn(t, nil, "git", "-C", dir, "cat-file", "commit", made.Hash)
			forged := gitIn(t, dir, strings.Replace(object, "Update web", "Update api", 1), "hash-object", "-t", "commit", "-w", "--stdin")
			cmd := exec.Command("git", "-C", dir, "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", forged)
			if out, err := cmd.CombinedOutput(); err == nil {
				t.Errorf("git takes a changed commit: %s", out)
			}
		})
	}
}

// gpgHome makes a folder for gpg; its path has to be short, for the sockets in it.
func gpgHome(t *testing.T) []string {
	t.Helper()
	program(t, "gpg", "gnupg")
	dir, err := os.MkdirTemp("", "gpg")
	check(t, err)
	// Else it takes a tenth of a second of this machine's time for each look at a passphrase.
	check(t, os.WriteFile(filepath.Join(dir, "gpg-agent.conf"), []byte("s2k-count 65536\n"), 0o600))
	env := []string{"GNUPGHOME=" + dir}
	t.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--kill", "all")
		cmd.Env = append(os.Environ(), env...)
		_ = cmd.Run() // nothing may have been started
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return env
}

func TestGitVerifiesCommitsSignedWithOpenPGPKeys(t *testing.T) {
	for name, c := range map[string]struct {
		algorithm, phrase string
		subkey            bool
	}{
		"rsa":                   {algorithm: "rsa2048"},
		"ed25519":               {algorithm: "ed25519"},
		"ed25519 with a phrase": {algorithm: "ed25519", phrase: passphrase},
		"nistp256":              {algorithm: "nistp256"},
		"a subkey alone":        {algorithm: "ed25519", subkey: true, phrase: passphrase},
	} {
		t.Run(name, func(t *testing.T) {
			env := gpgHome(t)
			quiet := []string{"--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", c.phrase}
			gpg := func(args ...string) string {
				return runIn(t, env, "gpg", append(append([]string{}, quiet...), args...)...)
			}
			usage, export := "sign", "--export-secret-keys"
			if c.subkey {
				usage, export = "cert", "--export-secret-subkeys"
			}
			gpg("--quick-generate-key", "Towpath <towpath@localhost>", c.algorithm, usage, "never")
			if c.subkey {
				listed := gpg("--list-keys", "--with-colons")
				_, after, _ := strings.Cut(listed, "\nfpr:::::::::")
				fingerprint, _, _ := strings.Cut(after, ":")
				gpg("--quick-add-key", fingerprint, c.algorithm, "sign", "never")
			}
			s := Signing{Format: SignOpenPGP, KeyFile: secret(t, gpg("--armor", export, "towpath@localhost"))}
			if c.phrase != "" {
				s.PassphraseFile = secret(t, c.phrase)
			}
			dir, made := signed(t, s)
			said := runIn(t, env, "git", "-C", dir, "verify-commit", "-v", made.Hash)
			if !strings.Contains(said, `Good signature from "Towpath <towpath@localhost>"`) {
				t.Errorf("git says: %s", said)
			}
			// A commit older than its key: the signature is as old as the key.
			r := open(t, Config{URL: dir, Sign: s, Now: at})
			old := must(r.Commit(t.Context(), Change{Parent: made.Hash, Message: "old", AllowEmpty: true, Time: at().AddDate(-30, 0, 0)}))(t)
			runIn(t, env, "git", "-C", r.slot.dir, "verify-commit", old.Hash)
		})
	}
}

// pgpKey makes an OpenPGP key and returns its file, armored.
func pgpKey(t *testing.T, config *packet.Config, private bool) string {
	t.Helper()
	config.Time = func() time.Time { return at().Add(-time.Hour) }
	e := must(openpgp.NewEntity("Towpath", "", "towpath@localhost", config))(t)
	var b bytes.Buffer
	kind := openpgp.PrivateKeyType
	if !private {
		kind = openpgp.PublicKeyType
	}
	w := must(armor.Encode(&b, kind, nil))(t)
	if private {
		check(t, e.SerializePrivate(w, config))
	} else {
		check(t, e.Serialize(w))
	}
	check(t, w.Close())
	return secret(t, b.String())
}

// sshKey writes a private key in OpenSSH's form.
func sshKey(t *testing.T, key any) string {
	t.Helper()
	block := must(ssh.MarshalPrivateKey(key, "towpath"))(t)
	return secret(t, string(pem.EncodeToMemory(block)))
}

func TestTheSameChangeIsTheSameSignedCommit(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for name, file := range map[string]string{
		"ssh ed25519":     sshKey(t, ed),
		"ssh ecdsa":       sshKey(t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)),
		"ssh rsa":         sshKey(t, must(rsa.GenerateKey(rand.Reader, 2048))(t)),
		"openpgp rsa":     pgpKey(t, &packet.Config{RSABits: 2048}, true),
		"openpgp ed25519": pgpKey(t, &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}, true),
	} {
		t.Run(name, func(t *testing.T) {
			dir := bare(t, t.TempDir(), "config.git")
			base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
			hashes := map[string]bool{}
			for range 3 {
				r := open(t, Config{URL: dir, Sign: Signing{KeyFile: file}})
				hashes[commit(t, r, base, map[string]string{"a": "1\n"}).Hash] = true
			}
			unsigned := commit(t, open(t, Config{URL: dir}), base, map[string]string{"a": "1\n"}).Hash
			if len(hashes) != 1 || hashes[unsigned] {
				t.Errorf("signed: %v, unsigned %s", hashes, unsigned)
			}
		})
	}
}

func TestAKeyThatCannotSignMakesNoCommit(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	plain, locked := sshKey(t, ed), keygen(t, "-t", "ed25519", "-N", passphrase)
	public := secret(t, string(ssh.MarshalAuthorizedKey(must(ssh.NewSignerFromKey(ed))(t).PublicKey())))
	pgp := pgpKey(t, &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}, true)
	expired := pgpKey(t, &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 60}, true)
	for name, c := range map[string]struct {
		sign Signing
		text string
	}{
		"no file":                  {Signing{KeyFile: plain + "x"}, "no such file"},
		"a public key":             {Signing{KeyFile: public}, "public key"},
		"not a key":                {Signing{KeyFile: secret(t, "hello")}, "no key in PEM"},
		"no passphrase":            {Signing{KeyFile: locked}, "passphrase file"},
		"wrong passphrase":         {Signing{KeyFile: locked, PassphraseFile: secret(t, secretPassword)}, "not the key's"},
		"passphrase file missing":  {Signing{KeyFile: locked, PassphraseFile: plain + "x"}, "no such file"},
		"passphrase file empty":    {Signing{KeyFile: locked, PassphraseFile: secret(t, "")}, "is empty"},
		"ssh key for openpgp":      {Signing{Format: SignOpenPGP, KeyFile: plain}, "no armored OpenPGP key"},
		"openpgp key for ssh":      {Signing{Format: SignSSH, KeyFile: pgp}, "is an OpenPGP key"},
		"public openpgp key":       {Signing{KeyFile: pgpKey(t, &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}, false)}, "public OpenPGP key"},
		"garbled openpgp key":      {Signing{KeyFile: secret(t, "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nxxxx\n-----END PGP PRIVATE KEY BLOCK-----")}, "no OpenPGP key that can be read"},
		"expired openpgp key":      {Signing{KeyFile: expired}, "expired"},
		"encrypted in a late form": {Signing{KeyFile: secret(t, string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})))}, "ssh-keygen -p"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := bare(t, t.TempDir(), "config.git")
			base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
			r := open(t, Config{URL: dir, Sign: c.sign})
			_, err := r.Publish(t.Context(), Change{Parent: base, Message: "x", Files: map[string][]byte{"a": []byte("1\n")}}, "refs/heads/main", base)
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("got %v, want words like %q", err, c.text)
			}
			if strings.Contains(err.Error(), secretPassword) || strings.Contains(err.Error(), passphrase) {
				t.Errorf("the error shows a passphrase: %v", err)
			}
			if head := gitRun(t, dir, "rev-parse", "main"); head != base {
				t.Errorf("main moved to %s", head)
			}
		})
	}
}

func TestSigningThatIsHalfSaidIsRefusedAtOnce(t *testing.T) {
	for text, s := range map[string]Signing{
		"not known":   {Format: "x509", KeyFile: "key"},
		"no key file": {Format: SignSSH},
		"is given":    {PassphraseFile: "phrase"},
	} {
		_, err := Open(context.Background(), Config{URL: t.TempDir(), Dir: t.TempDir(), Sign: s})
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestANewKeyIsUsedAtTheNextCommit(t *testing.T) {
	key := func(phrase string) string { return keygen(t, "-t", "ed25519", "-N", phrase) }
	file, phrase := key(passphrase), secret(t, passphrase)
	dir := bare(t, t.TempDir(), "config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	r := open(t, Config{URL: dir, Sign: Signing{KeyFile: file, PassphraseFile: phrase}})
	signature := func() string {
		t.Helper()
		made := commit(t, r, base, map[string]string{"a": "1\n"})
		return gitRun(t, r.slot.dir, "cat-file", "commit", made.Hash)
	}
	before := signature()
	check(t, os.WriteFile(phrase, []byte("another"), 0o600))
	if _, err := r.Commit(t.Context(), Change{Parent: base, Files: map[string][]byte{"a": []byte("2\n")}}); err == nil {
		t.Error("a passphrase that is no longer right still opens the key")
	}
	check(t, os.WriteFile(file, must(os.ReadFile(key("another")))(t), 0o600))
	if after := signature(); after == before || !strings.Contains(after, "gpgsig -----BEGIN SSH SIGNATURE-----\n ") {
		t.Errorf("after the change:\n%s", after)
	}
}

func TestAuthorAndCommitterAreChosen(t *testing.T) {
	dir := bare(t, t.TempDir(), "config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	for name, c := range map[string]struct {
		config Config
		change Identity
		want   string
	}{
		"nothing given":     {Config{}, Identity{}, "Towpath <towpath@localhost> Towpath <towpath@localhost>"},
		"only a name":       {Config{Author: Identity{Name: "Bot"}}, Identity{}, "Bot <towpath@localhost> Bot <towpath@localhost>"},
		"author":            {Config{Author: Identity{"Bot", "b@x"}}, Identity{}, "Bot <b@x> Bot <b@x>"},
		"author, committer": {Config{Author: Identity{"Bot", "b@x"}, Committer: Identity{"Op", "o@x"}}, Identity{}, "Bot <b@x> Op <o@x>"},
		"of the change":     {Config{Committer: Identity{"Op", "o@x"}}, Identity{"Ada", "a@x"}, "Ada <a@x> Op <o@x>"},
	} {
		c.config.URL = dir
		r := open(t, c.config)
		made := must(r.Commit(t.Context(), Change{Parent: base, AllowEmpty: true, Author: c.change}))(t)
		if got := gitRun(t, r.slot.dir, "log", "-1", "--format=%an <%ae> %cn <%ce>", made.Hash); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if ours := r.Ours(must(r.ReadCommit(made.Hash))(t)); ours != (c.change == Identity{}) {
			t.Errorf("%s: ours is %v", name, ours)
		}
		if r.Ours(must(r.ReadCommit(base))(t)) {
			t.Errorf("%s: Ada's commit is ours", name)
		}
	}
}
