package promote

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"towpath.dev/towpath/internal/patch"
)

// The file of the hashes of files with nothing in them: a line that says what it
// is and by which rules they were found, the hashes in order, and the SHA-256 of
// all of it.
const (
	plainFile   = "plain-files"
	plainFormat = 1
	hashSize    = 20
	maxPlainLen = 1<<10 + 2*maxPlain*hashSize + sha256.Size // bytes of the longest file
)

// plainHead changes with everything that changes what counts as nothing.
func plainHead() []byte {
	return fmt.Appendf(nil, "towpath files without a marker: format %d, markers %d, documents %q, up to %d bytes\n",
		plainFormat, patch.Grammar, ownDocument.String(), patch.MaxFileSize)
}

// readPlain reads a file that writePlain wrote, with the same rules and whole.
func readPlain(file string) (_ [][hashSize]byte, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := io.ReadAll(io.LimitReader(f, maxPlainLen+1))
	if err != nil {
		return nil, err
	}
	head := plainHead()
	if !bytes.HasPrefix(data, head) {
		return nil, errors.New("it is of another version, or something else")
	}
	if len(data) > maxPlainLen || len(data) < len(head)+sha256.Size {
		return nil, errors.New("it is cut off or too long")
	}
	end := len(data) - sha256.Size
	if sum := sha256.Sum256(data[:end]); !bytes.Equal(sum[:], data[end:]) {
		return nil, errors.New("it is damaged")
	}
	body := data[len(head):end]
	if len(body)%hashSize != 0 {
		return nil, errors.New("it is damaged")
	}
	out := make([][hashSize]byte, 0, len(body)/hashSize)
	for hash := range slices.Chunk(body, hashSize) {
		out = append(out, [hashSize]byte(hash))
	}
	return out, nil
}

// writePlain puts the file into place at once. It is a cache: nobody waits for the
// disk.
func writePlain(file string, hashes [][hashSize]byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	slices.SortFunc(hashes, func(a, b [hashSize]byte) int { return bytes.Compare(a[:], b[:]) })
	data := plainHead()
	for _, h := range hashes {
		data = append(data, h[:]...)
	}
	sum := sha256.Sum256(data)
	f, err := os.CreateTemp(filepath.Dir(file), plainFile+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, sum[:]...))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // half written, and of no use
	}
	return err
}
