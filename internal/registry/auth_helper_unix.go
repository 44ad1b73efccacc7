//go:build unix

package registry

import (
	"os/exec"
	"syscall"
)

// endAll makes the end of cmd the end of what it started as well: helpers are
// often scripts around other programs.
func endAll(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
