package policy

import (
	"fmt"
	"path"
	"strings"
)

// The limits of names and paths, in bytes.
const (
	maxLabel     = 63
	maxSubdomain = 253
	maxPath      = 1000
)

const nameHint = "use lower-case letters, digits and dashes, beginning and ending with a letter or digit"

// checkLabel tells what keeps s from being a DNS-1123 label; empty: nothing.
func checkLabel(s string) string {
	if len(s) > maxLabel {
		return fmt.Sprintf("is longer than %d characters", maxLabel)
	}
	if !isLabel(s) {
		return "is not a DNS-1123 label"
	}
	return ""
}

// checkSubdomain allows dots as well.
func checkSubdomain(s string) string {
	if len(s) > maxSubdomain {
		return fmt.Sprintf("is longer than %d characters", maxSubdomain)
	}
	for part := range strings.SplitSeq(s, ".") {
		if !isLabel(part) {
			return "is not a DNS-1123 name"
		}
	}
	return ""
}

func isLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// cleanPath is the path of an environment's directory, or why it cannot be one
// and what to do.
func cleanPath(s string) (clean, reason, hint string) {
	const example = "write a directory of the repository, like envs/dev"
	switch {
	case len(s) > maxPath:
		return "", fmt.Sprintf("the path is longer than %d bytes", maxPath), example
	case strings.HasPrefix(s, "/"):
		return "", fmt.Sprintf("path %q is absolute", s), example
	case strings.Contains(s, `\`):
		return "", fmt.Sprintf("path %q has a backslash", s), "separate directories with /"
	case s != strings.TrimSpace(s):
		return "", fmt.Sprintf("path %q begins or ends with a space", s), example
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == ".." {
			return "", fmt.Sprintf("path %q leads out with ..", s), example
		}
		if strings.EqualFold(part, ".git") {
			return "", fmt.Sprintf("path %q is inside .git", s), example
		}
	}
	return path.Clean(s), "", ""
}

// checkBranch holds a branch name to Git's rules for refs.
func checkBranch(s string) (reason, hint string) {
	if name, ok := strings.CutPrefix(s, "refs/heads/"); ok {
		return fmt.Sprintf("branch %q is a full ref", s), fmt.Sprintf("write %q", name)
	}
	bad := s == "@" || strings.HasPrefix(s, "-") || strings.HasSuffix(s, ".") || strings.ContainsAny(s, " ~^:?*[\\\t\n\r\x7f") ||
		strings.Contains(s, "..") || strings.Contains(s, "@{")
	for part := range strings.SplitSeq(s, "/") {
		bad = bad || part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock")
	}
	if bad {
		return fmt.Sprintf("%q is not a name for a branch", s), "write one like main"
	}
	return "", ""
}
