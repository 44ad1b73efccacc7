package hook

import (
	"errors"
	"net/http"
)

// The errors of this package's Reads. What is wrapped around them is for a log: it says what was
// wrong without quoting the request, but a stranger should get no more than the
// status and its standard text.
var (
	ErrProvider     = errors.New("no such provider")
	ErrMethod       = errors.New("only POST is accepted")
	ErrUnauthorized = errors.New("the sender did not prove that it knows the secret")
	ErrTooLarge     = errors.New("the body is too large")
	ErrPayload      = errors.New("the body cannot be read")
	ErrContentType  = errors.New("the content type is not application/json")
)

// StatusCode is the HTTP status for what Read, ReadEvent or Receiver.Read returned:
// 200 without an error, 404, 405, 401, 413, 400 or 415 for those above, and 500
// for any other.
func StatusCode(err error) int {
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, ErrProvider):
		return http.StatusNotFound
	case errors.Is(err, ErrMethod):
		return http.StatusMethodNotAllowed
	case errors.Is(err, ErrUnauthorized):
		return http.StatusUnauthorized
	case errors.Is(err, ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrPayload):
		return http.StatusBadRequest
	case errors.Is(err, ErrContentType):
		return http.StatusUnsupportedMediaType
	}
	return http.StatusInternalServerError
}
