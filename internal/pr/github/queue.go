package github

import (
	"context"

	"towpath.dev/towpath/internal/pr"
)

// handover is a pull request that GitHub itself is to merge.
type handover struct {
	number         int
	node           string // its ID in GraphQL
	base, head     string // branch, and the commit that must still be the head
	method         pr.Method
	headline, body string
	blocked        bool // the forge's rules do not let it be merged now, as far as is known
}

// enqueue hands a pull request over to the merge queue of its base, or asks for auto-merge. pr.ErrQueued
// when GitHub will merge it, pr.ErrUnsupported when neither is there, so that it is to be merged plainly.
func (f *Forge) enqueue(_ context.Context, _ handover) error { return pr.ErrUnsupported }
