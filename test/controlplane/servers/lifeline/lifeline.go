// Package lifeline ends a server when the process that started it is gone, however it went.
//
// The parent keeps the writing end of the server's standard input open and never writes. When the
// parent ends, by return, panic or SIGKILL, the kernel closes the pipe and the read returns. That
// works the same on Linux and macOS; parent-death signals do not.
//
// It must not do anything orderly at the end: the data of these servers is thrown away.
package lifeline

import (
	"io"
	"os"
)

// Hold makes the process exit with status 0 as soon as standard input reaches its end.
func Hold() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
}
