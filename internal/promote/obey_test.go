package promote

import (
	"fmt"
	"testing"

	"towpath.dev/towpath/internal/pr"
)

// Two bots at once may leave two comments: the older one must not bring back what
// the newer one says is done.
func TestTheLastCommandOfAllCommentsIsTheLastHandled(t *testing.T) {
	var p pr.Pull
	for _, n := range []int64{3, 9, 7} {
		p.Comments = append(p.Comments, pr.Comment{Key: keyCommands, Body: fmt.Sprintf("- x\n"+handledLine, n)})
	}
	if got := handled(p); got != 9 {
		t.Errorf("%d, want 9", got)
	}
}
