package gitrepo

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // Git's own checksum of a pack, no protection
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// onDisk reports whether a failure is one of the disk, which cloning anew does
// not mend: it is full, read-only or not ours.
func onDisk(err error) bool {
	var d diskError
	if errors.As(err, &d) || errors.Is(err, fs.ErrPermission) {
		return true
	}
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EFBIG, syscall.EMFILE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// diskError is an error of writing, told apart from one of the connection that
// what is written comes from.
type diskError struct{ err error }

func (e diskError) Error() string { return e.err.Error() }
func (e diskError) Unwrap() error { return e.err }

// diskWriter makes its errors diskErrors.
type diskWriter struct{ w io.Writer }

func (d diskWriter) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	if err != nil {
		err = diskError{err}
	}
	return n, err
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// checkSum compares the checksum at the end of a received pack of n bytes with
// its content: what the connection spoiled must not count as damage of the cache.
func checkSum(f *os.File, n int64) error {
	sum := sha1.New() //nolint:gosec // see above
	if n <= int64(sum.Size()) {
		return errors.New("the pack is cut off")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return diskError{err}
	}
	if _, err := io.CopyN(sum, f, n-int64(sum.Size())); err != nil {
		return diskError{err}
	}
	want := make([]byte, sum.Size())
	if _, err := io.ReadFull(f, want); err != nil {
		return diskError{err}
	}
	if got := sum.Sum(nil); !bytes.Equal(got, want) {
		return fmt.Errorf("the pack is cut off or damaged: its checksum is %x, not %x", got, want)
	}
	return nil
}
