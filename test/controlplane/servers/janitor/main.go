// Command janitor removes a folder once standard input reaches its end, which is when the process
// that started it asks for it or has died. It imports no Kubernetes package, so it costs next to
// no memory while it waits.
//
// Usage: janitor DIR
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	// The servers die of the same pipe closing and may still be writing for a moment, so a removal
	// that fails, or a folder that comes back, is tried again.
	attempts = 100
	pause    = 100 * time.Millisecond
	// quiet is how many attempts in a row must find the folder gone.
	quiet = 3
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: janitor DIR")
		os.Exit(2)
	}
	// Whoever interrupts the parent interrupts its children too; the folder still has to go.
	signal.Ignore(os.Interrupt, syscall.SIGHUP, syscall.SIGTERM)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := remove(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "janitor: %v\n", err)
		os.Exit(1)
	}
}

func remove(dir string) error {
	var err error
	for try, gone := 0, 0; try < attempts && gone < quiet; try++ {
		if _, statErr := os.Lstat(dir); os.IsNotExist(statErr) {
			gone++
		} else {
			gone = 0
			err = os.RemoveAll(dir)
		}
		time.Sleep(pause)
	}
	return err
}
