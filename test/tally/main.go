// Command tally reads what `go test -json` prints and says it for a person: one
// line per package, the whole output of what failed and of nothing else, every
// skipped test with its reason, the slowest tests, and last a line such as
// "812 passed, 0 failed, 1 skipped". Benchmarks' result lines are passed on.
//
//	go test -json ./... | go run ./test/tally
//
// It is a tool of the Makefile, imports nothing of Towpath and decides nothing
// about tests: its exit code is 1 when a test, a package or the run itself
// failed or when nothing ran at all, else 0.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// heartbeat is how long tally may be silent before it says what still runs.
const heartbeat = 30 * time.Second

// maxLine bounds one line of input; a test that prints more on one line is cut
// by go test into several events anyway.
const maxLine = 16 << 20

func main() {
	os.Exit(run(os.Stdin, os.Stdout, time.Tick(heartbeat)))
}

// run reports the events read from in to out. Every value of tick, the time of
// day, makes it say which packages still run.
func run(in io.Reader, out io.Writer, tick <-chan time.Time) int {
	lines := make(chan []byte)
	var readErr error
	go func() {
		defer close(lines)
		sc := bufio.NewScanner(in)
		sc.Buffer(make([]byte, 0, 64<<10), maxLine)
		for sc.Scan() {
			lines <- append([]byte(nil), sc.Bytes()...)
		}
		readErr = sc.Err()
	}()
	r := newReport(out)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				if readErr != nil {
					fmt.Fprintf(out, "read events: %v\n", readErr)
					r.broken = true
				}
				return r.close()
			}
			var e event
			if err := json.Unmarshal(line, &e); err != nil || e.Action == "" {
				fmt.Fprintf(out, "%s\n", line) // not an event: the go command's own words
				continue
			}
			r.add(e)
		case now := <-tick:
			r.running(now)
		}
	}
}

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Time       time.Time
	Action     string
	Package    string
	Test       string
	ImportPath string // of build-output and build-fail
	Elapsed    float64
	Output     string
}
