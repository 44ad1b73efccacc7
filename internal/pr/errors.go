package pr

import "errors"

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
)
