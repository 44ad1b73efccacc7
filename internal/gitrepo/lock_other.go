//go:build !unix

package gitrepo

import (
	"errors"
	"io/fs"
	"os"
)

// lockFile takes the lock of a file for as long as it is open. Windows does not
// remove a file that is open, so a file that can be removed is nobody's lock.
func lockFile(path string) (f *os.File, ok bool, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, false, nil
	}
	return f, err == nil, err
}
