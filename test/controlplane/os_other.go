//go:build !unix

package controlplane

import (
	"errors"
	"os"
	"os/exec"
)

func detach(*exec.Cmd) {}

func tryLock(*os.File) (bool, error) {
	return false, errors.New("the control planes of tests and demo run on Linux and macOS only; give the demo your own clusters with --contexts")
}
