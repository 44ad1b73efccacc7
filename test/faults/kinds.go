package faults

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// chunk is how many bytes of an endless answer are made at once.
const chunk = 64 << 10

// Latency lets the backend answer after a while.
func Latency(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, backend http.Handler) {
		if wait(r, d) {
			backend.ServeHTTP(w, r)
		}
	}
}

// wait reports whether the client had the patience.
func wait(r *http.Request, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
		return false
	}
}

// Hang answers nothing until the client gives up.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }
}

// Reset resets the TCP connection in place of an answer.
func Reset() Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { cut(w, "") }
}

// ResetAfter sends the head of the backend's answer and n bytes of its body, or all but -n, then resets
// the TCP connection.
func ResetAfter(n int) Fault {
	return spoil(func(w http.ResponseWriter, _ *http.Request, a *answer) {
		cut(w, a.head(len(a.body))+first(a.body, n))
	})
}

// Truncate sends the backend's answer with its true length but only n bytes of its body, or all but -n,
// then ends the connection in order.
func Truncate(n int) Fault {
	return spoil(func(w http.ResponseWriter, _ *http.Request, a *answer) {
		end(w, a.head(len(a.body))+first(a.body, n))
	})
}

// TruncateQuietly sends n bytes of the body of the backend's answer, or all but -n, and gives them as
// its whole length.
func TruncateQuietly(n int) Fault {
	return spoil(func(w http.ResponseWriter, _ *http.Request, a *answer) {
		a.body = first(a.body, n)
		a.send(w)
	})
}

// WrongLength sends the backend's whole answer with a Content-Length that is off by some bytes, more
// or less, and ends the connection.
func WrongLength(by int) Fault {
	return spoil(func(w http.ResponseWriter, _ *http.Request, a *answer) {
		end(w, a.head(max(0, len(a.body)+by))+a.body)
	})
}

// Status answers with a status and the error of a registry, and with headers given as name, value, name,
// value: Status(429, "Retry-After", "30").
func Status(code int, headers ...string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"errors":[{"code":"FAULT","message":"line one\nline two"}]}`)
	}
}

// HTML answers 200 with a page for people, as captive portals and login pages do.
func HTML() Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><title>Sign in</title><body>Please sign in.</body></html>")
	}
}

// Body answers 200 with a text as JSON.
func Body(text string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
}

// EndlessPages answers every request for a list of tags with one tag and a link to one more page.
func EndlessPages() Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		n, _ := strconv.Atoi(r.URL.Query().Get("last")) // none on the first page
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Link", fmt.Sprintf(`<%s?last=%d>; rel="next"`, r.URL.Path, n+1))
		_, _ = fmt.Fprintf(w, `{"tags":["0.0.%d"]}`, n)
	}
}

// LoopingLink lets the backend answer and links the page to itself.
func LoopingLink() Fault {
	return Link(func(r *http.Request) string { return r.URL.RequestURI() })
}

// Link lets the backend answer and adds a link to a next page.
func Link(target func(r *http.Request) string) Fault {
	return spoil(func(w http.ResponseWriter, r *http.Request, a *answer) {
		a.header.Set("Link", "<"+target(r)+`>; rel="next"`)
		a.send(w)
	})
}

// The list of one tag, without the tag.
const beforeTag, afterTag = `{"tags":["`, `"]}`

// BigTag answers with a list of one tag of this many bytes, without saying how long it is.
func BigTag(size int) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		text := bytes.Repeat([]byte("a"), chunk)
		_, _ = io.WriteString(w, beforeTag)
		for left := size; left > 0; left -= chunk {
			if _, err := w.Write(text[:min(left, chunk)]); err != nil || r.Context().Err() != nil {
				return
			}
		}
		_, _ = io.WriteString(w, afterTag)
	}
}

// GzipBomb is BigTag compressed, asked for or not, in whole chunks of 64 KiB.
func GzipBomb(size int) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		// Members of one gzip file may follow each other, so one is enough work.
		text := zipped(strings.Repeat("a", chunk))
		_, _ = w.Write(zipped(beforeTag))
		for left := size; left > 0; left -= chunk {
			if _, err := w.Write(text); err != nil || r.Context().Err() != nil {
				return
			}
		}
		_, _ = w.Write(zipped(afterTag))
	}
}

func zipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text) // a Buffer takes all
	_ = z.Close()
	return b.Bytes()
}

// SlowLoris sends one byte of the backend's answer after each pause, so that the connection never is
// idle, and goes on with spaces when there are no more, until the client gives up.
func SlowLoris(pause time.Duration) Fault {
	return spoil(func(w http.ResponseWriter, r *http.Request, a *answer) {
		for name, values := range a.header {
			if name != "Content-Length" {
				w.Header()[name] = values
			}
		}
		w.WriteHeader(a.status)
		flush := http.NewResponseController(w)
		// All but the last byte, so that what was sent never is a whole answer.
		text := strings.TrimRight(a.body, "\n")
		text = first(text, -1)
		for i := 0; wait(r, pause); i++ {
			b := " "
			if i < len(text) {
				b = text[i : i+1]
			}
			if _, err := io.WriteString(w, b); err != nil || flush.Flush() != nil {
				return
			}
		}
	})
}

// Twist lets the backend answer and changes what it sent.
func Twist(change func(status int, header http.Header, body string) (int, string)) Fault {
	return spoil(func(w http.ResponseWriter, _ *http.Request, a *answer) {
		a.status, a.body = change(a.status, a.header, a.body)
		a.send(w)
	})
}

// Tags lets the backend answer and replaces its list of tags.
func Tags(tags ...string) Fault {
	return Twist(func(status int, _ http.Header, _ string) (int, string) {
		raw, err := json.Marshal(map[string]any{"name": "web", "tags": tags})
		if err != nil {
			return http.StatusInternalServerError, err.Error()
		}
		return status, string(raw)
	})
}

// first returns n bytes, or all but -n.
func first(s string, n int) string {
	if n < 0 {
		n += len(s)
	}
	return s[:max(0, min(n, len(s)))]
}
