//go:build !unix

package build

import (
	"errors"
	"os"
)

func tryLock(*os.File) (bool, error) {
	return false, errors.New("the real servers of tests and the demo run on Linux and macOS only; give the demo your own clusters with --contexts")
}
