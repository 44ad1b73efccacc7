package main

import "github.com/spf13/cobra"

// credentialFlags say how to log in and who commits are by. Every secret is in a
// file, which is read again at each use.
func (c *connection) credentialFlags(cmd *cobra.Command) {
	f, a := cmd.Flags(), &c.auth
	f.StringVar(&a.UsernameFile, "username-file", "", "file with the user name for http(s) (default the URL's user, else git)")
	f.StringVar(&a.PasswordFile, "password-file", "", "file with the password or token for http(s)")
	f.StringVar(&a.BearerTokenFile, "bearer-token-file", "", "file with a token for http(s) that is sent as Authorization: Bearer")
	f.StringVar(&a.CAFile, "ca-file", "", "certificates (PEM) that are trusted for https, besides the system's")
	f.StringVar(&a.ClientCertFile, "client-cert-file", "", "client certificate (PEM) for https")
	f.StringVar(&a.ClientKeyFile, "client-key-file", "", "key of the client certificate (PEM, not encrypted)")
	f.StringVar(&a.ProxyURL, "proxy", "", "http, https or socks5 proxy for http(s), with its user name, without password (default what HTTPS_PROXY and NO_PROXY say)")
	f.StringVar(&a.ProxyPasswordFile, "proxy-password-file", "", "file with the password for the proxy")
	f.StringVar(&a.SSHKeyFile, "ssh-key-file", "", "private key for ssh; with --ssh-agent the public key of the one to use")
	f.StringVar(&a.SSHPassphraseFile, "ssh-passphrase-file", "", "file with the passphrase of the ssh key")
	f.BoolVar(&a.SSHAgent, "ssh-agent", false, "use the keys of the ssh agent at $SSH_AUTH_SOCK")
	f.StringVar(&a.KnownHostsFile, "known-hosts-file", "", "known_hosts for ssh; unknown hosts are refused")
	f.StringVar(&c.sign.KeyFile, "signing-key-file", "", "private key that commits are signed with: an ssh key, or an armored OpenPGP key")
	f.StringVar(&c.sign.Format, "signing-format", "", "ssh or openpgp (default what the key file holds)")
	f.StringVar(&c.sign.PassphraseFile, "signing-passphrase-file", "", "file with the passphrase of the signing key")
	f.StringVar(&c.author.Name, "author-name", "", "name that commits are by (default Towpath)")
	f.StringVar(&c.author.Email, "author-email", "", "address that commits are by (default towpath@localhost)")
}
