package policy

import (
	"cmp"
	"fmt"
	"strings"
)

// numericalOrder reads whole numbers of any length. It knows no lane: what is no
// bare number is none, and what a filter extracts belongs together.
type numericalOrder struct{ oldest bool }

func newNumericalOrder(p Policy) (order[string], *flaw) {
	oldest, bad := p.Numerical.Order.oldest()
	return numericalOrder{oldest}, bad
}

// oldest tells whether the order is that one; the zero Order is newest.
func (o Order) oldest() (bool, *flaw) {
	switch o {
	case "", OrderNewest:
		return false, nil
	case OrderOldest:
		return true, nil
	}
	return false, &flaw{fmt.Sprintf("unknown order %q", string(o)), "write newest or oldest"}
}

const notNumber = "not a whole number (filter with extract can take one out)"

func (o numericalOrder) words() words {
	w := words{best: "the highest number", more: "higher", less: "lower"}
	if o.oldest {
		w = words{best: "the lowest number", more: "lower", less: "higher"}
	}
	w.noun, w.alien = "number", "not a whole number"
	w.hint = "write a tag with a number into the manifest by hand, or take the number out of it by filter.extract"
	return w
}

func (o numericalOrder) read(value string, _ bool) string {
	var digits string
	return o.parse(value, &digits)
}

func (numericalOrder) parse(value string, digits *string) (reason string) {
	if *digits = value; !allDigits(value) {
		return notNumber
	}
	return ""
}

// leave: a word such as latest is left, and one that may name a variant only when the
// filter drops it.
func (numericalOrder) leave(value string, kept bool) bool {
	return !hasDigit(value) && (!kept || variantOf(value) == "")
}

func (numericalOrder) lane(*string) *barrier { return nil }
func (numericalOrder) reject(*string) string { return "" }

func (o numericalOrder) compare(a, b *string) (rank int, same bool) {
	if o.oldest {
		a, b = b, a
	}
	n := compareDigits(*a, *b)
	return n, n == 0
}

func (numericalOrder) prefer(_, _ *string) int             { return 0 }
func (numericalOrder) never(*string) (reason, hint string) { return "", "" }

// compareDigits compares whole numbers of any length by their digits; leading
// zeros do not count, and no digits are zero.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return cmp.Compare(len(a), len(b))
	}
	return strings.Compare(a, b)
}
