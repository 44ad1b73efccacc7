package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	gittransport "github.com/go-git/go-git/v5/plumbing/transport"
)

// maxMessages limits what is kept of a server's messages.
const maxMessages = 8 << 10

// process is a running git-upload-pack or git-receive-pack, here or over ssh.
type process interface {
	wait() error // after its output was read to the end
	kill()       // makes every read, write and wait return soon
}

// pipeSession speaks Git's protocol version 0 with a process. Its streams end
// when ctx does: the process is killed.
type pipeSession struct {
	in     io.WriteCloser
	out    io.Reader
	stderr *messages
	proc   process
	stop   func() bool // of the context's watch

	adv  *packp.AdvRefs
	done bool
}

// newPipeSession takes over a started process.
func newPipeSession(ctx context.Context, in io.WriteCloser, out io.Reader, stderr *messages, p process) *pipeSession {
	return &pipeSession{in: in, out: out, stderr: stderr, proc: p, stop: context.AfterFunc(ctx, p.kill)}
}

func (s *pipeSession) refs(context.Context) (*packp.AdvRefs, error) {
	if s.adv != nil {
		return s.adv, nil
	}
	ar := packp.NewAdvRefs()
	if err := ar.Decode(s.out); err != nil && !errors.Is(err, packp.ErrEmptyAdvRefs) {
		return nil, s.fail(err)
	}
	gittransport.FilterUnsupportedCapabilities(ar.Capabilities)
	s.adv = ar
	return ar, nil
}

func (s *pipeSession) fetch(_ context.Context, req *packp.UploadPackRequest) (io.ReadCloser, error) {
	var b bytes.Buffer
	if err := encodeFetch(&b, req); err != nil {
		return nil, err
	}
	s.done = true
	if _, err := s.in.Write(b.Bytes()); err != nil {
		return nil, s.fail(err)
	}
	res := packp.NewUploadPackResponse(req)
	if err := res.Decode(io.NopCloser(s.out)); err != nil {
		return nil, s.fail(err)
	}
	return res, nil
}

// encodeFetch writes wants, haves and done in one go: a second round is not
// worth its latency for the few commits that differ between two ticks.
func encodeFetch(w io.Writer, req *packp.UploadPackRequest) error {
	if err := req.UploadRequest.Encode(w); err != nil {
		return err
	}
	if err := req.UploadHaves.Encode(w, false); err != nil {
		return err
	}
	return pktline.NewEncoder(w).Encodef("done\n")
}

func (s *pipeSession) push(_ context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	s.done = true
	// When the server hangs up early its report or its words say why, so a
	// failed write is not yet the end.
	werr := req.Encode(s.in)
	if err := s.in.Close(); werr == nil && err != nil && !errors.Is(err, io.EOF) {
		werr = err
	}
	if !req.Capabilities.Supports(capability.ReportStatus) {
		if werr != nil {
			return nil, s.fail(werr)
		}
		_, _ = io.Copy(io.Discard, s.out)
		return nil, nil
	}
	var r = s.out
	if req.Capabilities.Supports(capability.Sideband64k) {
		d := sideband.NewDemuxer(sideband.Sideband64k, r)
		d.Progress = req.Progress
		r = d
	}
	report := packp.NewReportStatus()
	if err := report.Decode(r); err != nil {
		return nil, s.fail(errors.Join(werr, err))
	}
	_, _ = io.Copy(io.Discard, s.out)
	return report, nil
}

func (s *pipeSession) explain(err error) error { return s.fail(err) }

// fail ends the process and adds what it said.
func (s *pipeSession) fail(err error) error {
	var known serverError
	if errors.As(err, &known) {
		return err
	}
	s.done = true
	_ = s.in.Close()
	s.proc.kill()
	_ = s.proc.wait()
	text := s.stderr.String()
	var line *pktline.ErrorLine
	if errors.As(err, &line) {
		text = strings.TrimSpace(text + "\n" + line.Text)
	}
	return serverError{text: text, err: err}
}

func (s *pipeSession) close() error {
	defer s.stop() // last: a server that does not end is still ended by the context
	if !s.done {
		// The polite end: nothing is wanted.
		_, _ = s.in.Write(pktline.FlushPkt)
	}
	_ = s.in.Close()
	_, _ = io.Copy(io.Discard, s.out)
	return s.proc.wait()
}

// messages keeps the beginning of what a server says, and may be written from
// another goroutine.
type messages struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (m *messages) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := maxMessages - m.b.Len(); n > 0 {
		m.b.Write(p[:min(n, len(p))])
	}
	return len(p), nil
}

// String returns the messages on one line, without control characters.
func (m *messages) String() string { return strings.Join(m.lines(), "; ") }

// lines returns the messages without control characters and empty lines.
func (m *messages) lines() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := m.b.String()
	if len(text) == maxMessages { // cut off: half a word could be half a secret, which nobody knows
		text = text[:strings.LastIndexAny(text, " \n\r\t")+1]
	}
	return textLines(text)
}

// oneLine makes text of a server fit for an error or a log line.
func oneLine(s string) string { return strings.Join(textLines(s), "; ") }

func textLines(s string) []string {
	var lines []string
	for l := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
		l = strings.TrimSpace(strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return -1
			}
			return r
		}, l))
		if l != "" {
			lines = append(lines, l)
		}
	}
	return lines
}
