package main

import (
	"strings"
	"testing"

	"towpath.dev/towpath/internal/policy"
)

// Errors are read first, and environments in the order in which versions travel.
func TestAPlanIsPrintedInTheOrderOfReading(t *testing.T) {
	v := planned{Branch: "main", Commit: "0123456789",
		Propose:  []plannedMove{{Environment: "dev", Title: "dev"}, {Environment: "prod", Title: "prod"}, {Environment: "staging", Title: "staging"}},
		Choices:  []choice{{Environment: "prod", App: "a", Reason: "r"}, {Environment: "dev", App: "a", Reason: "r"}},
		Wait:     []plannedWait{{Environment: "staging", App: "w"}, {Environment: "dev", App: "w"}},
		Problems: []finding{{Warning: true, text: "a warning"}, {text: "an error"}},
	}
	v.order([]policy.Pipeline{{Environments: []policy.Environment{{Name: "dev"}, {Name: "staging"}, {Name: "prod"}}}})
	var out strings.Builder
	printPlan(&out, v, false)
	const want = `main at 0123456
error: an error
propose dev
propose staging
propose prod
wait dev/w: 
wait staging/w: 
choice dev/a : -: r
choice prod/a : -: r
warning: a warning
`
	if out.String() != want {
		t.Errorf("got\n%s", &out)
	}
}
