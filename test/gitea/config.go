package gitea

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
)

// PageSize is how many things an answer of the API holds at most: few, so that tests of several pages need
// not make many.
const PageSize = 6

// settings are Gitea's, with what configure gives: folders, port, secrets, title.
//
// Nothing outside this machine is asked, no SSH is served, and what needs neither a bot nor its tests
// (packages, actions, mail, an index of issues) is off. Passwords are hashed without effort, since they
// are random and gone with the folder.
const settings = `APP_NAME = %[7]s
RUN_MODE = prod
WORK_PATH = %[1]s
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true

[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[3]d
DOMAIN = 127.0.0.1
ROOT_URL = http://127.0.0.1:%[3]d/
STATIC_ROOT_PATH = %[2]s
OFFLINE_MODE = true
DISABLE_SSH = true
LFS_START_SERVER = false
ALLOW_GRACEFUL_RESTARTS = false
GRACEFUL_HAMMER_TIME = 2s

[database]
DB_TYPE = sqlite3
PATH = %[1]s/data/gitea.db
SQLITE_TIMEOUT = 30000
SQLITE_JOURNAL_MODE = WAL

[security]
INSTALL_LOCK = true
SECRET_KEY = %[4]s
INTERNAL_TOKEN = %[5]s
PASSWORD_HASH_ALGO = pbkdf2$1000$50
PASSWORD_COMPLEXITY = off

[oauth2]
ENABLED = false
JWT_SECRET = %[6]s

[service]
DISABLE_REGISTRATION = true
ENABLE_NOTIFY_MAIL = false

[openid]
ENABLE_OPENID_SIGNIN = false

[repository]
DEFAULT_BRANCH = main
SCRIPT_TYPE = sh

[git.config]
gc.auto = 0
receive.autogc = false

[webhook]
ALLOWED_HOST_LIST = loopback

[log]
MODE = console
LEVEL = Warn

[api]
MAX_RESPONSE_ITEMS = %[8]d
DEFAULT_PAGING_NUM = %[8]d

[i18n]
LANGS = en-US
NAMES = English

[session]
PROVIDER = memory

[cache]
ADAPTER = memory

[queue]
TYPE = channel

[indexer]
ISSUE_INDEXER_TYPE = db

[cron]
ENABLED = false

[cron.update_checker]
ENABLED = false

[packages]
ENABLED = false

[actions]
ENABLED = false

[federation]
ENABLED = false
`

// configure writes the server's configuration.
func (s *Server) configure(built string, port int) error {
	text := fmt.Sprintf(settings, s.dir, built, port, secret(), secret(), secret(), s.title(), PageSize)
	return os.WriteFile(s.config(), []byte(text), 0o600)
}

// secret is 32 random bytes as Gitea wants them.
func secret() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // it never fails
	return base64.RawURLEncoding.EncodeToString(raw)
}

// title is what this server calls itself, and no other.
func (s *Server) title() string { return "Gitea in " + s.dir }

func (s *Server) config() string { return filepath.Join(s.dir, "app.ini") }

// tmp is where the server and git put what they will not keep.
func (s *Server) tmp() string { return filepath.Join(s.dir, "tmp") }

// environment has nothing of this process's but where programs are: neither a proxy nor settings of a
// Gitea or of Git that somebody has on this machine.
func (s *Server) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "USER=" + os.Getenv("USER"), "HOME=" + s.dir, "TMPDIR=" + s.tmp(), "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
	}
}
