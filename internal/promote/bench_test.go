package promote_test

import (
	"fmt"
	"testing"

	"towpath.dev/towpath/internal/promote"
)

// BenchmarkTick is one tick of a bot on examples/shop, over a real repository on
// disk and a real registry on loopback: two listings, one listing of pull
// requests, no change.
func BenchmarkTick(b *testing.B) {
	l := newLine(b, nil)
	l.settle()
	before := l.git.Counts()
	for b.Loop() {
		l.tick()
	}
	if n := l.git.Counts().ObjectsWritten - before.ObjectsWritten; n != 0 {
		b.Errorf("%d objects written", n)
	}
}

// BenchmarkTickWithNewTag is one tick that finds a new tag, commits and pushes it.
func BenchmarkTickWithNewTag(b *testing.B) {
	l := newLine(b, nil)
	l.settle()
	n := 0
	for b.Loop() {
		n++
		b.StopTimer()
		if err := l.reg.PushAll("shop/web", fmt.Sprintf("1.0.%d", n)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if out := l.tick(); out.Pushed == "" {
			b.Fatal("nothing was pushed")
		}
	}
}

// BenchmarkDecide is the pure decision without Git, registry and forge.
func BenchmarkDecide(b *testing.B) {
	l := newLine(b, nil)
	l.settle()
	l.push("1.1.0")
	sit, err := l.bot.Look(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if promote.Decide(sit).Idle() {
			b.Fatal("nothing is planned")
		}
	}
}
