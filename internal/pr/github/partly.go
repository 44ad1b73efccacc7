package github

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// What an answer lacks of a pull request, because of errors.
type loss int

const (
	lostChecks loss = iota + 1 // some of its checks, which we may not read
	lostAll                    // it: there is none
)

// lost says what errors took out of an answer that is good but for that. Any other error is returned: a
// review or a comment that is missing must not pass for one that was never given.
func (f *Forge) lost(err error) (map[int]loss, error) {
	var e *graphqlError
	if err == nil || !errors.As(err, &e) || len(e.paths) == 0 {
		return nil, err
	}
	all := map[int]loss{}
	for i, path := range e.paths {
		number, ok := pullIn(path)
		switch {
		case ok && len(path) == 2 && e.kinds[i] == "NOT_FOUND":
			all[number] = lostAll
		case ok && ofChecks(path):
			all[number] = max(all[number], lostChecks)
		default:
			return nil, err
		}
	}
	f.saidOnce.Do(func() { f.cfg.Logger.Warn("GitHub does not tell us all checks; statuses are read apart", "error", e) })
	return all, nil
}

// pullIn is the number of the pull request that a path of readDetails's query leads to.
func pullIn(path []any) (int, bool) {
	if len(path) < 2 || path[0] != "repository" {
		return 0, false
	}
	alias, _ := path[1].(string)
	digits, ok := strings.CutPrefix(alias, "pull")
	number, err := strconv.Atoi(digits)
	return number, ok && err == nil
}

// ofChecks reports whether a path leads to checks.
func ofChecks(path []any) bool { return slices.Contains(path, any("statusCheckRollup")) }

// tooMuch reports whether less at once may be answered: GitHub nulls what it did not get done in time.
func tooMuch(err error) bool {
	var e *graphqlError
	if errors.As(err, &e) {
		return !slices.Contains(e.kinds, "FORBIDDEN") && !slices.Contains(e.kinds, "NOT_FOUND") && !e.within("query")
	}
	return errors.Is(err, errTooLarge) || status(err) >= http.StatusInternalServerError
}
