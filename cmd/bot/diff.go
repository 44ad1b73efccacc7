package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/pmezard/go-difflib/difflib"
)

// diffContext is how many lines stand around a change.
const diffContext = 3

// hunk is a piece of a diff; its operations lie behind each other.
type hunk []difflib.OpCode

// hunksOf compares two texts line by line. Texts with as many lines, such as files in
// which only values or comments changed, are compared in place, which costs one pass.
func hunksOf(a, b [][]byte) []hunk {
	var ops []difflib.OpCode
	if len(a) == len(b) {
		ops = inPlace(a, b)
	} else {
		ops = matched(a, b)
	}
	return grouped(ops)
}

// inPlace pairs the lines by their number.
func inPlace(a, b [][]byte) []difflib.OpCode {
	var ops []difflib.OpCode
	for i := 0; i < len(a); {
		tag, equal := byte('r'), bytes.Equal(a[i], b[i])
		if equal {
			tag = 'e'
		}
		start := i
		for i < len(a) && bytes.Equal(a[i], b[i]) == equal {
			i++
		}
		ops = append(ops, difflib.OpCode{Tag: tag, I1: start, I2: i, J1: start, J2: i})
	}
	return ops
}

// matched finds which lines stayed. What both texts begin and end with needs no search.
func matched(a, b [][]byte) []difflib.OpCode {
	head := 0
	for head < min(len(a), len(b)) && bytes.Equal(a[head], b[head]) {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && bytes.Equal(a[len(a)-1-tail], b[len(b)-1-tail]) {
		tail++
	}
	var ops []difflib.OpCode
	if head > 0 {
		ops = append(ops, difflib.OpCode{Tag: 'e', I2: head, J2: head})
	}
	for _, op := range difflib.NewMatcher(texts(a[head:len(a)-tail]), texts(b[head:len(b)-tail])).GetOpCodes() {
		op.I1, op.I2, op.J1, op.J2 = op.I1+head, op.I2+head, op.J1+head, op.J2+head
		ops = append(ops, op)
	}
	if tail > 0 {
		ops = append(ops, difflib.OpCode{Tag: 'e', I1: len(a) - tail, I2: len(a), J1: len(b) - tail, J2: len(b)})
	}
	return ops
}

func texts(lines [][]byte) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = string(l)
	}
	return out
}

// grouped cuts the operations into hunks: what stayed between two changes is kept
// whole when it is short.
func grouped(ops []difflib.OpCode) []hunk {
	var hunks []hunk
	var h hunk
	changed := false
	for i, op := range ops {
		if op.Tag != 'e' {
			h, changed = append(h, op), true
			continue
		}
		last := i == len(ops)-1
		if changed && (last || op.I2-op.I1 > 2*diffContext) {
			n := min(diffContext, op.I2-op.I1)
			hunks = append(hunks, append(h, difflib.OpCode{Tag: 'e', I1: op.I1, I2: op.I1 + n, J1: op.J1, J2: op.J1 + n}))
			h, changed = nil, false
		}
		if !changed {
			n := min(diffContext, op.I2-op.I1)
			op.I1, op.J1 = op.I2-n, op.J2-n
		}
		h = append(h, op)
	}
	if changed {
		hunks = append(hunks, h)
	}
	return hunks
}

func (h hunk) print(w io.Writer, a, b [][]byte) {
	first, last := h[0], h[len(h)-1]
	fmt.Fprintf(w, "@@ -%s +%s @@\n", lineRange(first.I1, last.I2), lineRange(first.J1, last.J2))
	for _, op := range h {
		if op.Tag == 'e' {
			printLines(w, ' ', a[op.I1:op.I2])
			continue
		}
		printLines(w, '-', a[op.I1:op.I2])
		printLines(w, '+', b[op.J1:op.J2])
	}
}

// lineRange is "first,count", counted from 1 as diff does.
func lineRange(from, to int) string {
	switch n := to - from; n {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprint(from + 1)
	default:
		return fmt.Sprintf("%d,%d", from+1, n)
	}
}

func printLines(w io.Writer, mark byte, lines [][]byte) {
	for _, l := range lines {
		fmt.Fprintf(w, "%c%s", mark, l)
		if !bytes.HasSuffix(l, []byte{'\n'}) {
			fmt.Fprint(w, "\n\\ No newline at end of file\n")
		}
	}
}
