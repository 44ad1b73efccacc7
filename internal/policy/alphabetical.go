package policy

import "strings"

// alphabeticalOrder compares bytes. Everything has its place in it, so there is no
// lane and hardly a tag that cannot be read.
type alphabeticalOrder struct{ oldest bool }

func newAlphabeticalOrder(p Policy) (order[string], *flaw) {
	oldest, bad := p.Alphabetical.Order.oldest()
	return alphabeticalOrder{oldest}, bad
}

func (o alphabeticalOrder) words() words {
	w := words{best: "the last of the alphabet", more: "later in the alphabet", less: "earlier in the alphabet"}
	if o.oldest {
		w = words{best: "the first of the alphabet", more: w.less, less: w.more}
	}
	w.noun, w.alien = "text", "no tag of the filter"
	return w
}

// read takes any tag, but a word that the filter does not keep, such as latest: it
// has no place between dates, and would otherwise be later than all of them.
func (alphabeticalOrder) read(value string, kept bool) string {
	if !kept && !versionLike(value) {
		return notInFilter
	}
	return ""
}

func (alphabeticalOrder) parse(value string, text *string) (reason string) {
	*text = value
	return ""
}

func (alphabeticalOrder) leave(string, bool) bool { return true }
func (alphabeticalOrder) lane(*string) *barrier   { return nil }
func (alphabeticalOrder) reject(*string) string   { return "" }

func (o alphabeticalOrder) compare(a, b *string) (rank int, same bool) {
	if o.oldest {
		a, b = b, a
	}
	n := strings.Compare(*a, *b)
	return n, n == 0
}

func (alphabeticalOrder) prefer(_, _ *string) int             { return 0 }
func (alphabeticalOrder) never(*string) (reason, hint string) { return "", "" }
