package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"towpath.dev/towpath/internal/patch"
)

// scriptOdd makes a file that a txtar archive cannot hold, or cannot hold well.
//
//	odd nul FILE · odd utf16 FILE · odd large FILE · odd many FILE · odd deep FILE · odd pipe FILE
func scriptOdd(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: odd KIND FILE")
	}
	const marked = "image: registry.example/web:1.0.0 # towpath: web\n"
	text := map[string]string{
		"nul":   marked + "\x00\n",
		"utf16": "\xff\xfe" + strings.Join(strings.Split(marked, ""), "\x00") + "\x00",
		"large": marked + strings.Repeat("# text\n", patch.MaxFileSize/7+1),
		"many":  marked + strings.Repeat("---\na: 1\n", 10_000),
		"items": marked + "items: [" + strings.Repeat("x,", patch.MaxValues) + "]\n",
		"deep":  marked + "deep: " + strings.Repeat("[", 101) + strings.Repeat("]", 101) + "\n",
	}
	path := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	if args[0] == "pipe" {
		ts.Check(syscall.Mkfifo(path, 0o600))
		return
	}
	if text[args[0]] == "" {
		ts.Fatalf("no kind %q", args[0])
	}
	ts.Check(os.WriteFile(path, []byte(text[args[0]]), 0o600))
}
