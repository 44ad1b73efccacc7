package scan_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/internal/scan"
)

// serverTags makes the test binary a registry of any repository with this many
// tags each, so that its memory is not counted as the Scanner's.
const serverTags = "TOWPATH_TEST_REGISTRY_TAGS"

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(serverTags)); err == nil {
		serveTags(n)
		return
	}
	goleak.VerifyTestMain(m)
}

// serveTags prints its address and serves until its standard input ends. What it
// was asked is at /requests: pings, lists, and bytes of lists.
func serveTags(n int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var list strings.Builder
	list.WriteString(`{"name":"app","tags":["1.0.0"`)
	for i := 1; i < n; i++ {
		fmt.Fprintf(&list, `,"1.%d.%d"`, i/10, i%10)
	}
	list.WriteString(`]}`)
	var pings, lists, size atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/v2/", func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/tags/list") {
			pings.Add(1)
			return
		}
		lists.Add(1)
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		size.Add(int64(list.Len()))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, list.String())
	})
	mux.HandleFunc("/requests", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, pings.Load(), lists.Load(), size.Load())
	})
	fmt.Println(l.Addr())
	go func() { _ = (&http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}).Serve(l) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startServer runs serveTags in a process of its own and returns its host.
func startServer(b *testing.B, tags int) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", serverTags, tags))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	host, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(host)
}

type requests struct{ pings, lists, bytes int }

func counted(b *testing.B, host string) (r requests) {
	b.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + host + "/requests")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := fmt.Fscan(resp.Body, &r.pings, &r.lists, &r.bytes); err != nil {
		b.Fatal(err)
	}
	return r
}

// peak is the most memory this process ever had resident, in MB; 0 where the
// system does not say.
func peak() float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(data), "VmHWM:")
	var kb float64
	_, _ = fmt.Sscan(after, &kb)
	return kb / 1000
}

// BenchmarkThousandImages is 1,000 repositories with 1,000 tags each on one
// registry over loopback: the first tick, one with ETags, one without anything
// due, and one after a restart.
func BenchmarkThousandImages(b *testing.B) {
	const repos, tags = 1000, 1000
	host := startServer(b, tags)
	var wants []scan.Want
	for i := range repos {
		wants = append(wants, wantOf(parse(b, fmt.Sprintf("%s/team/app%d", host, i)), "1.99.9"))
	}
	client := registry.New(registry.Config{Hosts: []registry.Host{{Host: host, PlainHTTP: true, RequestsPerSecond: 1e6}}})
	defer client.Close()
	for b.Loop() {
		dir, now := b.TempDir(), t0
		s := scan.New(scan.Config{Registry: client, Dir: dir, Due: due, Terse: true})
		tick := func(name string, most requests) {
			b.Helper()
			before, began := counted(b, host), time.Now()
			rep := s.Scan(b.Context(), now, wants, nil)
			took := time.Since(began)
			for _, r := range rep.Results {
				if r.Problem != "" || r.Wanted || len(rep.Listings[r.Repository].Tags) != tags {
					b.Fatalf("%s: %s has %d tags, wanted %t, problem %q", name, r.Repository, len(rep.Listings[r.Repository].Tags), r.Wanted, r.Problem)
				}
			}
			after := counted(b, host)
			if got := (requests{after.pings - before.pings, after.lists - before.lists, after.bytes - before.bytes}); got.lists != most.lists || got.pings > most.pings || got.bytes > most.bytes {
				b.Errorf("%s: %+v, want at most %+v", name, got, most)
			}
			b.ReportMetric(float64(took.Milliseconds()), "ms/"+name)
		}
		tick("first", requests{pings: 1, lists: repos, bytes: repos * tags * 20})
		now = now.Add(time.Minute)
		tick("idle", requests{})
		now = now.Add(10 * time.Minute)
		tick("etags", requests{lists: repos})
		s.Close()
		s = scan.New(scan.Config{Registry: client, Dir: dir, Due: due, Terse: true})
		now = now.Add(time.Minute)
		tick("restart", requests{})
		s.Close()
	}
	b.ReportMetric(peak(), "MB-peak-RSS")
	runtime.GC()
	debug.FreeOSMemory()
}
