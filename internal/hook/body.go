package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// readProved returns the body. One with a signature, which other senders have
// none of, is returned only if it is the one that was signed.
func readProved(w http.ResponseWriter, r *http.Request, most int64, signature, secret []byte) ([]byte, error) {
	body, err := readBody(w, r, most)
	if err != nil {
		return nil, err
	}
	if signature != nil && !signed(body, signature, secret) {
		return nil, fmt.Errorf("%w: the signature is not the body's", ErrUnauthorized)
	}
	return body, nil
}

// readBody reads the body, and not one that says it is larger than most bytes.
func readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	if r.ContentLength > most {
		return nil, tooLarge(most)
	}
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return nil, tooLarge(most)
	case err != nil:
		return nil, fmt.Errorf("%w: it did not arrive whole", ErrPayload)
	}
	return body, nil
}

func tooLarge(most int64) error {
	return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, most)
}

// onlyJSON refuses forms and what does not say what it is.
func onlyJSON(r *http.Request) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return fmt.Errorf("%w: choose application/json as the content type in the webhook's settings", ErrContentType)
	}
	return nil
}

// parse reads one JSON value into v. Keys that v does not know are ignored, as is
// the content type: senders add the one and are careless with the other.
func parse(body []byte, v any) error {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if len(body) == 0 {
		return fmt.Errorf("%w: it is empty", ErrPayload)
	}
	if depth(body) > MaxDepth {
		return fmt.Errorf("%w: it is nested deeper than %d", ErrPayload, MaxDepth)
	}
	err := json.Unmarshal(body, v)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: it is not JSON from byte %d", ErrPayload, syntax.Offset)
	case err != nil:
		return fmt.Errorf("%w: it is JSON, but not of this provider's form", ErrPayload)
	}
	return nil
}

// depth is how deep the brackets of a JSON text are nested.
func depth(text []byte) int {
	now, most, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			most = max(most, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return most
}

// list is a JSON array of which at most MaxImages entries are kept, or a value
// alone. An entry of a wrong form is left out, not an error for the others.
type list[T any] struct {
	items []T
	wrong int  // entries that were no T
	more  bool // entries behind the first MaxImages were not looked at
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *list[T]) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '[' {
		l.add(data)
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return err
	}
	for n := 0; d.More(); n++ {
		if n == MaxImages {
			l.more = true
			return nil
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		l.add(raw)
	}
	return nil
}

func (l *list[T]) add(data []byte) {
	if string(data) == "null" {
		return
	}
	var item T
	if json.Unmarshal(data, &item) != nil {
		l.wrong++
		return
	}
	l.items = append(l.items, item)
}
