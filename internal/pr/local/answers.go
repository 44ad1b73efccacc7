package local

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"towpath.dev/towpath/internal/pr"
)

// User is who acts.
func (f *Forge) User() string { return f.c.User }

// Rights are those of whoever reaches the repository: to read it, as this program
// has, and to write as far as the server of the repository lets it, which only a
// push can tell. There are no administrators.
func (f *Forge) Rights(context.Context) (pr.Rights, error) {
	return pr.Rights{User: f.c.User, Read: true, Write: true}, nil
}

// Rules are none: the forge itself asks for nothing. What the server of the
// repository refuses by hooks nobody can read.
func (f *Forge) Rules(ctx context.Context, branch string) (pr.Rules, error) {
	v, err := f.view(ctx)
	if err != nil {
		return pr.Rules{}, fmt.Errorf("read the rules of %s: %w", branch, err)
	}
	if v.head(branch) == "" {
		return pr.Rules{}, fmt.Errorf("read the rules of %s: there is no such branch", branch)
	}
	return pr.Rules{Branch: branch, Methods: []pr.Method{pr.Squash}, Push: true, Bypass: true}, nil
}

// Reopen opens a pull request again that was closed unmerged; an open one stays as
// it is. It is refused while another one of its branch and base is open and when
// its branch is gone.
//
// What keeps two from being open is the record of the newest one of the pair: to
// open an older one again, both records are pushed in one atomic push, the newest
// unchanged in what it says. A bot that opens a new one meanwhile takes a new
// number, which the writer of this push sees afterwards and gives way to.
func (f *Forge) Reopen(ctx context.Context, number int) error { return errors.ErrUnsupported }

var _ = slices.Contains[[]int]
