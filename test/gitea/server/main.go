// Command gitea is Gitea, a forge with an API, pull requests, reviews and webhooks, ended by its
// parent's death. Its database is SQLite by a driver without C, so that no C compiler is needed to
// build it.
//
// It is built and run by package gitea for tests and for the demo. It must never be part of the bot:
// that is why it has a module of its own.
//
// Usage: gitea (web | admin | hook …), as Gitea's own; web ends with its standard input
package main

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"code.gitea.io/gitea/cmd"
	"code.gitea.io/gitea/modules/log"
	_ "code.gitea.io/gitea/modules/markup/csv"
	_ "code.gitea.io/gitea/modules/markup/markdown"
	"code.gitea.io/gitea/modules/setting"
	"github.com/urfave/cli/v3"
	"modernc.org/sqlite"
)

// version is that of the module in go.mod; a build from a module does not know it otherwise.
const version = "1.26.0"

func main() {
	// What Gitea's build tag "sqlite" does, with another driver.
	sql.Register("sqlite3", database{&sqlite.Driver{}})
	setting.EnableSQLite3 = true
	setting.SupportedDatabaseTypes = append(setting.SupportedDatabaseTypes, "sqlite3")
	// What Gitea's own main does.
	setting.AppVer = version
	setting.AppStartTime = time.Now().UTC()
	cli.OsExiter = func(code int) {
		log.GetManager().Close()
		os.Exit(code)
	}
	if len(os.Args) > 1 && os.Args[1] == "web" {
		hold()
	}
	app := cmd.NewMainApp(cmd.AppVersion{Version: version})
	_ = cmd.RunMainApp(app, os.Args...) // it has printed its errors and exited
	log.GetManager().Close()
}

// hold ends the server when its parent is gone, however it went: the parent keeps the writing end of
// standard input open and never writes, and at its end the kernel closes the pipe. What else this binary
// does, such as Git's hooks, reads its standard input.
func hold() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
}

// database is the driver, for data source names as Gitea makes them for another one.
type database struct{ driver *sqlite.Driver }

// Open implements driver.Driver.
func (d database) Open(name string) (driver.Conn, error) {
	u, err := url.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	given := u.Query()
	q := url.Values{
		"mode":    given["mode"],
		"_txlock": given["_txlock"],
		// The data is thrown away, so it need not survive a power cut.
		"_pragma": {"busy_timeout(" + given.Get("_busy_timeout") + ")", "journal_mode(WAL)", "synchronous(OFF)"},
	}
	// Not "cache": connections that share one do not wait for each other's locks.
	u.RawQuery = q.Encode()
	return d.driver.Open(u.String())
}
