package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"towpath.dev/towpath/internal/image"
)

// Limits of pull secrets.
const (
	pullTimeout    = 15 * time.Second // one look at all of them
	pullKeep       = 10 * time.Minute // what they said is used again
	pullPause      = time.Minute      // after a failure they are not asked for again
	maxPullSecrets = 100
)

// pullSecrets are the docker configs that Kubernetes keeps as Secrets. Only their
// auths count: nothing in a cluster names a program to run. As for the kubelet, a
// secret that is missing or broken is no reason not to ask; a refusal names it.
type pullSecrets struct{ all *cached[pulled] }

// pulled is one state of all pull secrets.
type pulled struct {
	creds   *credentials
	problem string // about some of them
}

func newPullSecrets(fetch func(context.Context) ([][]byte, error), now func() time.Time) *pullSecrets {
	return &pullSecrets{newCached(cached[pulled]{
		fetch: func(ctx context.Context) (pulled, time.Time, error) {
			raw, err := fetch(ctx)
			if err != nil && len(raw) == 0 {
				return pulled{}, time.Time{}, err
			}
			return merge(raw, err), time.Time{}, nil
		},
		now: now, limit: pullTimeout, keep: pullKeep, pause: pullPause,
	})}
}

// merge makes one docker config of many; of equal entries the first counts.
func merge(raw [][]byte, err error) pulled {
	all := credentials{auths: map[string]*json.RawMessage{}}
	var problems []string
	if err != nil {
		problems = append(problems, oneLine(err))
	}
	if len(raw) > maxPullSecrets {
		problems = append(problems, fmt.Sprintf("only the first %d count", maxPullSecrets))
		raw = raw[:maxPullSecrets]
	}
	for i, r := range raw {
		if len(r) > maxDockerConfig {
			problems = append(problems, fmt.Sprintf("the %d. is larger than %d bytes", i+1, maxDockerConfig))
			continue
		}
		c, err := parseConfig(r)
		if err != nil {
			problems = append(problems, fmt.Sprintf("the %d. is %s", i+1, err))
			continue
		}
		for key, entry := range c.auths {
			if _, ok := all.auths[key]; !ok {
				all.auths[key] = entry
			}
		}
	}
	all.sortGlobs()
	return pulled{&all, strings.Join(problems, ", ")}
}

// find is a source.
func (p *pullSecrets) find(ctx context.Context, repo image.Repo) (login, error) {
	host := shownHost(repo.Host())
	l := login{from: "in the pull secrets", renew: p.all.renew}
	now, err := p.all.get(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return login{}, err
	case err != nil:
		l.why = "the pull secrets cannot be read: " + oneLine(err)
		return l, nil
	}
	key, auth, err := now.creds.entry(repo.Canonical())
	switch {
	case err != nil:
		l.why = fmt.Sprintf("in the pull secrets %s", err)
	case key == "" && now.problem != "":
		l.why = fmt.Sprintf("the pull secrets have no entry for %s (%s)", host, now.problem)
	case key == "":
		l.why = "the pull secrets have no entry for " + host
	}
	l.auth = auth
	return l, nil
}
