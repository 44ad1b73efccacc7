//go:build unix

package build

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes an exclusive lock on the open file if nobody holds it. The lock goes with the file
// or with the process.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}
