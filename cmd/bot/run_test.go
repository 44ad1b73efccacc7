package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/promote"
)

// A marker that cannot work is logged when it comes, and again when it comes back,
// not at every tick.
func TestRunLogsEachNewProblemOnce(t *testing.T) {
	var log bytes.Buffer
	b := &botLoop{logger: slog.New(slog.NewTextHandler(&log, nil))}
	one := policy.Problem{Path: "envs/dev/web/x.yaml", Line: 4, Column: 7, Reason: "the marker is on the alias *a", Hint: "mark the value at its anchor &a", Verdict: "on an alias"}
	two := policy.Problem{Path: "envs/dev/web/y.yaml", Reason: "the file is binary", Warning: true}
	for i, tick := range []struct {
		problems []policy.Problem
		err      error
		want     int // lines logged
	}{
		{[]policy.Problem{one}, nil, 1},
		{[]policy.Problem{one}, nil, 0},
		{[]policy.Problem{one, two}, nil, 1},
		{nil, errors.New("the server is away"), 0}, // nobody knows what is wrong there now
		{[]policy.Problem{one, two}, nil, 0},
		{nil, nil, 0},
		{[]policy.Problem{one}, nil, 1},
	} {
		log.Reset()
		b.say(promote.Outcome{Situation: promote.Situation{Problems: tick.problems}}, tick.err)
		if got := strings.Count(log.String(), "msg=problem"); got != tick.want {
			t.Errorf("tick %d logs %d problems, want %d:\n%s", i, got, tick.want, &log)
		}
		if i == 0 && !strings.Contains(log.String(), `level=ERROR msg=problem error="envs/dev/web/x.yaml:4:7: the marker is on the alias *a; mark the value at its anchor &a"`) {
			t.Errorf("logged %s", &log)
		}
		if i == 2 && !strings.Contains(log.String(), "level=WARN") {
			t.Errorf("logged %s", &log)
		}
	}
}
