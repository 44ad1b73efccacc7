package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// leastEvery is the shortest interval of "@every".
const leastEvery = time.Second

const scheduleHint = `write "@every 5m", "@hourly" or five fields like "*/10 * * * *"`

// checkSchedule tells what is wrong with a schedule; empty: nothing. Package
// schedule, which owns the cron library, parses it for real.
func checkSchedule(s string) string {
	if interval, ok := strings.CutPrefix(s, "@every "); ok {
		d, err := time.ParseDuration(strings.TrimSpace(interval))
		if err != nil {
			return fmt.Sprintf("bad schedule %q: %q is not a duration", s, interval)
		}
		if d < leastEvery {
			return fmt.Sprintf("bad schedule %q: shorter than %s", s, leastEvery)
		}
		return ""
	}
	if strings.HasPrefix(s, "@") {
		known := []string{"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
		if !slices.Contains(known, s) {
			return fmt.Sprintf("bad schedule %q: unknown word", s)
		}
		return ""
	}
	fields := strings.Fields(s)
	if len(fields) > 0 && (strings.HasPrefix(fields[0], "CRON_TZ=") || strings.HasPrefix(fields[0], "TZ=")) {
		if _, zone, _ := strings.Cut(fields[0], "="); zone == "" {
			return fmt.Sprintf("bad schedule %q: the time zone has no name", s)
		}
		fields = fields[1:]
	}
	if len(fields) != 5 {
		return fmt.Sprintf("bad schedule %q: %d fields instead of five (minute, hour, day, month, weekday)", s, len(fields))
	}
	for i, f := range fields {
		if reason := checkCronField(i, f); reason != "" {
			return fmt.Sprintf("bad schedule %q: %s", s, reason)
		}
	}
	return ""
}

// checkCronField reads a list of *, N, N-M, each with an optional /STEP; names
// of months and weekdays may stand for numbers.
func checkCronField(i int, field string) string {
	name := [...]string{"minute", "hour", "day", "month", "weekday"}[i]
	bounds := [...][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}}[i]
	names := [...]string{"", "", "", "jan feb mar apr may jun jul aug sep oct nov dec", "sun mon tue wed thu fri sat"}[i]
	for item := range strings.SplitSeq(field, ",") {
		span, step, stepped := strings.Cut(item, "/")
		if n, err := strconv.Atoi(step); stepped && (err != nil || n < 1) {
			return fmt.Sprintf("%s %q has no step behind the slash", name, item)
		}
		if span == "*" || span == "?" {
			continue
		}
		from, to, ranged := strings.Cut(span, "-")
		ends := []string{from}
		if ranged {
			ends = append(ends, to)
		}
		for _, end := range ends {
			if end != "" && slices.Contains(strings.Fields(names), strings.ToLower(end)) {
				continue
			}
			if n, err := strconv.Atoi(end); err != nil || n < bounds[0] || n > bounds[1] || end[0] == '+' || end[0] == '-' {
				return fmt.Sprintf("%s %q is not from %d to %d", name, item, bounds[0], bounds[1])
			}
		}
	}
	return ""
}
