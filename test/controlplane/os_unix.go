//go:build unix

package controlplane

import (
	"os/exec"
	"syscall"
)

// detach puts the process into a group of its own, so that Ctrl-C in a terminal reaches this
// process only, which then stops its servers in its own order.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
