package faults

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
)

// answer is a whole one of the backend.
type answer struct {
	headOnly bool // of a HEAD request: it has a length and no body
	status   int
	header   http.Header
	body     string
}

// spoil gets the backend's whole answer before it does harm.
func spoil(harm func(w http.ResponseWriter, r *http.Request, a *answer)) Fault {
	return func(w http.ResponseWriter, r *http.Request, backend http.Handler) {
		rec := httptest.NewRecorder()
		backend.ServeHTTP(rec, r)
		harm(w, r, &answer{headOnly: r.Method == http.MethodHead, status: rec.Code, header: rec.Header(), body: rec.Body.String()})
	}
}

// send sends the answer with its true length.
func (a *answer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	if !a.headOnly {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body))
}

// head is the answer up to its body on the wire, with any length.
func (a *answer) head(length int) string {
	h := a.header.Clone()
	h.Set("Content-Length", strconv.Itoa(length))
	h.Set("Connection", "close")
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	_ = h.Write(&b) // a Builder takes all
	return b.String() + "\r\n"
}

// end writes raw bytes and closes the connection in order.
func end(w http.ResponseWriter, raw string) {
	if conn := take(w, raw); conn != nil {
		_ = conn.Close()
	}
}

// cut writes raw bytes and resets the connection.
func cut(w http.ResponseWriter, raw string) {
	if conn := take(w, raw); conn != nil {
		reset(conn)
	}
}

// take takes the connection over from the HTTP server and writes to it.
func take(w http.ResponseWriter, raw string) net.Conn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil // the server is closing
	}
	_, _ = conn.Write([]byte(raw)) // a client that is gone learns nothing anyway
	return conn
}
