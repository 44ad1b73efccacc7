package pr

import (
	"errors"
	"fmt"
	"time"
)

// Errors a forge returns wrapped; callers branch on them with errors.Is.
var (
	// ErrHeadMoved: the head is not the one the caller judged; look again.
	ErrHeadMoved = errors.New("pull request head moved")
	// ErrBaseMoved: the base changed while merging; transient, look again.
	ErrBaseMoved = errors.New("base branch moved")
	// ErrConflict: base and head changed the same file since they parted.
	ErrConflict = errors.New("pull request conflicts with its base")
	// ErrNotFound: no such pull request.
	ErrNotFound = errors.New("pull request not found")
	// ErrNotReady: the forge's own rules do not let it be merged now; the text says
	// which, as far as the forge tells. Asked again later.
	ErrNotReady = errors.New("the forge does not let it be merged yet")
	// ErrQueued: the forge was asked and merges it itself: a merge queue, or as soon
	// as its rules are met. Not a failure.
	ErrQueued = errors.New("the forge merges it when its turn comes")
	// ErrMethod: the repository allows no such merge method; trying again does not help.
	ErrMethod = errors.New("merge method not allowed")
	// ErrForbidden: we lack a right; trying again does not help before somebody gives it.
	ErrForbidden = errors.New("not allowed")
	// ErrUnauthorized: the forge refused the credentials.
	ErrUnauthorized = errors.New("not authorized")
	// ErrUnsupported: the forge has no such thing.
	ErrUnsupported = errors.New("the forge has no such thing")
)

// LimitError says that the forge asked to be left alone until Until. Nothing else is to
// be asked of it before that.
type LimitError struct {
	Until time.Time
	What  string // which limit, in the forge's words
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the forge's limit is reached (%s); it is asked again after %s", e.What, e.Until.UTC().Format("15:04:05Z"))
}
