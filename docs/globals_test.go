package docs_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

func TestNoGlobalsAndNoInit(t *testing.T) {
	none(t, checkGlobals(readModule(t), globalsAllowed))
}

// globalsAllowed are the package-level variables that none of the rules of
// checkGlobals covers, each with its reason.
var globalsAllowed = map[string]string{
	"cmd/bot.version":                      "set by the linker",
	"internal/gitrepo.emptyTree":           "a constant of Git, as a value of go-git's type",
	"internal/manifest.kustomizationNames": "kustomize's own list, only read",
}

// checkGlobals finds init functions and package-level variables, other than
// error sentinels, compiled regular expressions, embedded files, interface
// checks, tables of constants that nothing writes to, and those allowed.
func checkGlobals(src source, allowed map[string]string) []string {
	var findings []string
	used := map[string]bool{}
	for _, pkg := range src.packages {
		for _, f := range pkg.code() {
			for _, decl := range f.syntax.Decls {
				switch d := decl.(type) {
				case *ast.FuncDecl:
					if d.Name.Name == "init" && d.Recv == nil {
						findings = append(findings, src.at(d.Pos())+": an init function; do it where main wires")
					}
				case *ast.GenDecl:
					for _, name := range globals(d) {
						key := pkg.dir + "." + name.ident.Name
						if _, ok := allowed[key]; ok {
							used[key] = true
							continue
						}
						if reason := name.problem(pkg); reason != "" {
							findings = append(findings, fmt.Sprintf("%s: package-level variable %s %s", src.at(name.ident.Pos()), name.ident.Name, reason))
						}
					}
				}
			}
		}
	}
	for key := range allowed {
		if !used[key] {
			findings = append(findings, fmt.Sprintf("docs/globals_test.go allows %s, which is not there", key))
		}
	}
	slices.Sort(findings)
	return findings
}

// global is one package-level variable.
type global struct {
	ident    *ast.Ident
	value    ast.Expr // nil without one
	embedded bool
}

func globals(d *ast.GenDecl) []global {
	if d.Tok != token.VAR {
		return nil
	}
	var all []global
	for _, s := range d.Specs {
		spec := s.(*ast.ValueSpec)
		for i, ident := range spec.Names {
			g := global{ident: ident, embedded: hasEmbed(d.Doc) || hasEmbed(spec.Doc)}
			if i < len(spec.Values) {
				g.value = spec.Values[i]
			}
			all = append(all, g)
		}
	}
	return all
}

func hasEmbed(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// problem says why g must not be there; "" when it may.
func (g global) problem(pkg goPackage) string {
	if g.ident.Name == "_" || g.embedded {
		return ""
	}
	switch v := g.value.(type) {
	case nil:
		return "has no value, so it is state"
	case *ast.CallExpr:
		switch callee(v) {
		case "errors.New", "fmt.Errorf", "regexp.MustCompile":
			return written(g.ident.Name, pkg)
		}
		return "is computed by " + callee(v) + "; make it a constant, a field or a function"
	case *ast.CompositeLit:
		if ast.IsExported(g.ident.Name) {
			return "is an exported table that any package may write to; make it a function"
		}
		if !constant(v) {
			return "is no table of constants"
		}
		return written(g.ident.Name, pkg)
	}
	return "is neither a sentinel, a regular expression, an embedded file nor a table of constants"
}

func callee(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
		return f.Sel.Name
	}
	return "a call"
}

// constant reports whether e is built from literals and names only. Functions
// and pointers made on the spot are not.
func constant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit, *ast.Ident, *ast.SelectorExpr:
		return true
	case *ast.ParenExpr:
		return constant(e.X)
	case *ast.UnaryExpr:
		return e.Op != token.AND && e.Op != token.ARROW && constant(e.X)
	case *ast.BinaryExpr:
		return constant(e.X) && constant(e.Y)
	case *ast.KeyValueExpr:
		return constant(e.Key) && constant(e.Value)
	case *ast.CallExpr: // a conversion such as []byte("x") or time.Duration(5)
		_, array := e.Fun.(*ast.ArrayType)
		return array && len(e.Args) == 1 && constant(e.Args[0])
	case *ast.CompositeLit:
		return !slices.ContainsFunc(e.Elts, func(x ast.Expr) bool { return !constant(x) })
	}
	return false
}

// written says where the package writes to its variable name, or takes its
// address; "" when nowhere. A local variable of that name counts too: rename it.
func written(name string, pkg goPackage) string {
	found := ""
	for _, f := range pkg.code() {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			var targets []ast.Expr
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					targets = n.Lhs
				}
			case *ast.IncDecStmt:
				targets = []ast.Expr{n.X}
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					targets = []ast.Expr{n.X}
				}
			case *ast.CallExpr:
				if c := callee(n); (c == "delete" || c == "clear") && len(n.Args) > 0 {
					targets = n.Args[:1]
				}
			}
			for _, target := range targets {
				if rootName(target) == name {
					found = "is written to in " + f.name
				}
			}
			return true
		})
	}
	return found
}

// rootName is the variable at the left of x.y[z].
func rootName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.IndexExpr:
		return rootName(e.X)
	case *ast.SelectorExpr:
		return rootName(e.X)
	case *ast.StarExpr:
		return rootName(e.X)
	case *ast.ParenExpr:
		return rootName(e.X)
	}
	return ""
}
