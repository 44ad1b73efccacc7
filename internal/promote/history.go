package promote

import (
	"fmt"
	"strings"

	"towpath.dev/towpath/internal/gitrepo"
)

// maxHistory bounds how far back the base branch is read for what we wrote
// last. A revert of something older is not recognised as one.
const maxHistory = 2000

// Written is the newest commit of ours that wrote an app of an environment.
type Written struct {
	Commit  string
	Content string
}

// history is what we wrote last, as of one head: a cache.
type history struct {
	head string
	last map[string]Written // environment/app → newest commit of ours
}

// written finds what we wrote last for the apps that something should move in.
// Nothing is read when nothing should move.
func (b *Bot) written(s Situation) (map[string]Written, error) {
	if len(Next(s)) == 0 {
		return nil, nil
	}
	if b.history.head != s.Commit {
		log, err := b.cfg.Git.Log(s.Commit, maxHistory)
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", s.Branch, err)
		}
		b.history = history{s.Commit, lastWritten(log)}
	}
	return b.history.last, nil
}

// lastWritten reads the trailers of commits, newest first.
func lastWritten(log []gitrepo.Commit) map[string]Written {
	out := map[string]Written{}
	for _, c := range log {
		env, app := "", ""
		for line := range strings.Lines(c.Message) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch key {
			case trailerEnv:
				env = value
			case trailerApp:
				app = value
			case trailerContent:
				if _, ok := out[env+"/"+app]; !ok {
					out[env+"/"+app] = Written{Commit: c.Hash, Content: value}
				}
			}
		}
	}
	return out
}

// takenBack returns why a move would undo a person: we wrote exactly this last,
// and it is not there any more. "" when it would not.
func takenBack(s Situation, m Move) string {
	last, ok := s.Written[m.Key()]
	if !ok || last.Content != m.Content {
		return ""
	}
	return fmt.Sprintf("%s was put into %s by commit %.12s and taken back by a person since; it waits for something newer, or for a person to put it there",
		Versions(m.Values), m.Env.Name, last.Commit)
}
