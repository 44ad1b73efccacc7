package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/state"
)

func TestStatusSaysOfEachKindOfProblemWhatItMeans(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		p    state.ScanProblem
		want string
	}{
		{state.ScanProblem{Kind: scan.KindRefused}, "it never answered before"},
		{state.ScanProblem{Kind: scan.KindRefused, Kept: 3, KeptAt: at}, "kept 3 tags of 2026-03-01T12:00:00Z, on which nothing is decided"},
		{state.ScanProblem{Kind: scan.KindUnresolved, Tag: "1.0.0"}, "the registry answers, and only what needs this tag waits"},
		{state.ScanProblem{Kind: scan.KindGone, Tag: "1.0.0"}, "the registry answers, and the other tags are chosen from"},
		{state.ScanProblem{Kind: scan.KindEmpty}, "the registry answers, and there is nothing to choose from"},
	} {
		tc.p.Registry, tc.p.Image, tc.p.Problem, tc.p.Since = "r.example", "r.example/web", "that is so", at
		var b strings.Builder
		printScans(&b, []state.ScanProblem{tc.p})
		if want := "registry r.example, image r.example/web: that is so; " + tc.want + "; since 2026-03-01T12:00:00Z\n"; b.String() != want {
			t.Errorf("%s: printed %q, want %q", tc.p.Kind, b.String(), want)
		}
	}
}

func TestStatusCountsProblemsThatAreTooManyToPrint(t *testing.T) {
	var list []finding
	for i := range 12 {
		list = append(list, finding{Path: "x", Warning: i < 9, text: fmt.Sprintf("x:%d: wrong", i)})
	}
	print := func(list []finding, wide bool) string {
		var b strings.Builder
		printProblemsOf(&b, list, wide)
		return b.String()
	}
	got := print(list, false)
	if !strings.HasPrefix(got, "error: x:9: wrong\nerror: x:10: wrong\nerror: x:11: wrong\nwarning: x:0: wrong\n") ||
		!strings.HasSuffix(got, "10 of 12 problems are shown, errors first (3 errors, 9 warnings in all); -o wide shows each\n") || strings.Count(got, "\n") != 11 {
		t.Errorf("printed\n%s", got)
	}
	for _, all := range []string{print(list, true), print(list[:10], false)} {
		if strings.Contains(all, "problems are shown") || strings.Count(all, "\n") < 10 {
			t.Errorf("printed\n%s", all)
		}
	}
}
