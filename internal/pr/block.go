package pr

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Block is the machine-readable end of a pull request's body: an HTML comment,
// invisible to readers, from which a bot with an empty disk learns what the pull
// request carries.
type Block struct {
	Env        string            `json:"env"`
	App        string            `json:"app"`
	Content    string            `json:"content"`              // patch.Content once merged
	From       string            `json:"from"`                 // environment before, or "registry"
	FromCommit string            `json:"fromCommit,omitempty"` // base commit at which From held the values
	Values     map[string]string `json:"values"`               // policy → reference, all of the app
	Policies   []string          `json:"policies"`             // whose values change
	Supersedes string            `json:"supersedes,omitempty"` // content that this one replaced
	Edits      []string          `json:"edits,omitempty"`      // path:line of each changed marker
}

const (
	blockOpen  = "<!-- towpath:v1\n"
	blockClose = "\n-->"
	maxBlock   = 16 << 10
)

// ErrNoBlock: a body without a hidden block; the pull request is not ours.
var ErrNoBlock = errors.New("pull request body has no towpath block")

// String renders the hidden block. encoding/json writes < and > as escapes, so
// no value can end the comment early.
func (b Block) String() string {
	data, err := json.MarshalIndent(b, "", " ")
	if err != nil { // only strings and string maps: cannot happen
		return ""
	}
	return blockOpen + string(data) + blockClose
}

// WithoutBlock is a body as its readers see it.
func WithoutBlock(body string) string {
	if i := strings.LastIndex(body, strings.TrimSuffix(blockOpen, "\n")); i >= 0 {
		return strings.TrimRight(body[:i], "\r\n")
	}
	return body
}

// ParseBlock reads the last hidden block of a body.
func ParseBlock(body string) (Block, error) {
	body = strings.ReplaceAll(body, "\r\n", "\n") // forges may store CRLF
	i := strings.LastIndex(body, blockOpen)
	if i < 0 {
		return Block{}, ErrNoBlock
	}
	rest := body[i+len(blockOpen):]
	j := strings.Index(rest, blockClose)
	if j < 0 || j > maxBlock {
		return Block{}, ErrNoBlock
	}
	var b Block
	if err := json.Unmarshal([]byte(rest[:j]), &b); err != nil {
		return Block{}, fmt.Errorf("read towpath block: %w", err)
	}
	return b, nil
}
