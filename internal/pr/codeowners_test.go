package pr

import (
	"slices"
	"strings"
	"testing"
)

// documented is the example of GitHub's documentation, "About code owners".
const documented = `# This is a comment.
*       @global-owner1 @global-owner2
*.js    @js-owner #This is an inline comment.
*.go docs@example.com
*.txt @octo-org/octocats
/build/logs/ @doctocat
docs/* docs@example.com
apps/ @octocat
/docs/ @doctocat
/scripts/ @doctocat @octocat
**/logs @octocat
`

func TestOwnersAreThoseOfGitHubsDocumentation(t *testing.T) {
	const two = "@global-owner1 @global-owner2"
	for name, tc := range map[string]struct{ file, path, want string }{
		"everything, at the root":                {documented, "README.md", two},
		"everything, deep down":                  {documented, "a/b/c.yaml", two},
		"a name anywhere":                        {documented, "a/b/x.js", "@js-owner"},
		"an e-mail address":                      {documented, "x.go", "docs@example.com"},
		"a team":                                 {documented, "a/notes.txt", "@octo-org/octocats"},
		"a folder at the root, later rule wins":  {documented, "build/logs/a/b", "@octocat"},
		"a folder at the root only":              {"/build/logs/ @doctocat", "x/build/logs/a", ""},
		"the files right in a folder":            {"docs/* docs@example.com", "docs/getting-started.md", "docs@example.com"},
		"and not those deeper":                   {"docs/* docs@example.com", "docs/build-app/troubleshooting.md", ""},
		"and not elsewhere":                      {"docs/* docs@example.com", "x/docs/a.md", ""},
		"a folder anywhere":                      {"apps/ @octocat", "x/apps/y/z", "@octocat"},
		"a folder anywhere, at the root":         {"apps/ @octocat", "apps/y", "@octocat"},
		"a file is no folder":                    {"apps/ @octocat", "apps", ""},
		"a folder from the root":                 {documented, "docs/a/b", "@doctocat"},
		"two owners":                             {documented, "scripts/x", "@doctocat @octocat"},
		"**/logs in build":                       {"**/logs @octocat", "build/logs/x", "@octocat"},
		"**/logs deeply":                         {"**/logs @octocat", "deeply/nested/logs/x", "@octocat"},
		"**/logs at the root":                    {"**/logs @octocat", "logs/x", "@octocat"},
		"**/logs is no logs2":                    {"**/logs @octocat", "logs2/x", ""},
		"a folder without owner":                 {"/apps/ @octocat\n/apps/github", "apps/github/x", ""},
		"beside a folder without owner":          {"/apps/ @octocat\n/apps/github", "apps/gitlab/x", "@octocat"},
		"another owner for a folder in a folder": {"/apps/ @octocat\n/apps/github @doctocat", "apps/github/x", "@doctocat"},
	} {
		t.Run(name, func(t *testing.T) { checkOwners(t, tc.file, tc.path, tc.want) })
	}
}

func checkOwners(t *testing.T, file, path, want string) {
	t.Helper()
	o, problems := ParseCodeOwners([]byte(file))
	if len(problems) > 0 {
		t.Errorf("problems %v", problems)
	}
	if got := strings.Join(o.Of(path), " "); got != want {
		t.Errorf("%s is owned by %q, want %q", path, got, want)
	}
}

func TestPatternsOfCodeOwners(t *testing.T) {
	for name, tc := range map[string]struct {
		pattern    string
		match, not []string
	}{
		"a name":                            {"foo", []string{"foo", "a/foo", "a/foo/b"}, []string{"foobar", "a/xfoo"}},
		"a path of two is from the root":    {"a/foo", []string{"a/foo", "a/foo/b"}, []string{"x/a/foo"}},
		"a path of two with a slash":        {"a/foo/", []string{"a/foo/b"}, []string{"a/foo", "x/a/foo/b"}},
		"from the root":                     {"/foo", []string{"foo", "foo/a"}, []string{"a/foo"}},
		"all of the root, not deeper":       {"/*", []string{"foo"}, []string{"a/foo"}},
		"a star within a name":              {"/f*o", []string{"fo", "fxo/a"}, []string{"f/o"}},
		"a star for a folder":               {"/*/foo", []string{"a/foo", "a/foo/b"}, []string{"foo", "a/b/foo"}},
		"two stars between":                 {"/a/**/b", []string{"a/b", "a/x/b", "a/x/y/b/c"}, []string{"b", "a/xb"}},
		"two stars at the end":              {"/a/**", []string{"a/b", "a/b/c"}, []string{"a", "b/a"}},
		"two stars before a name":           {"**/*.tf", []string{"x.tf", "a/b/x.tf"}, []string{"x.tfx"}},
		"two stars alone":                   {"**", []string{"a", "a/b"}, nil},
		"a question mark":                   {"/?.go", []string{"a.go", "é.go"}, []string{"ab.go", ".go", "/.go"}},
		"an escaped blank":                  {`/a\ b/`, []string{"a b/c"}, []string{"a/b", `a\ b/c`}},
		"an escaped star":                   {`/a\*`, []string{"a*"}, []string{"ab"}},
		"case counts":                       {"/Foo", []string{"Foo"}, []string{"foo"}},
		"characters of regular expressions": {"/a+(b).c", []string{"a+(b).c"}, []string{"aab.c", "a+(b)xc"}},
		"many stars":                        {"/*a*a*a*a*a*a*a*a*b", nil, []string{strings.Repeat("a", 200)}},
		"many two stars":                    {"**/a/**/a/**/a/**/a/**/b", nil, []string{strings.Repeat("a/", 200) + "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			o, problems := ParseCodeOwners([]byte(tc.pattern + " @o\r\n"))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			for _, p := range tc.match {
				if len(o.Of(p)) != 1 {
					t.Errorf("%s does not match %s", tc.pattern, p)
				}
			}
			for _, p := range tc.not {
				if len(o.Of(p)) != 0 {
					t.Errorf("%s matches %s", tc.pattern, p)
				}
			}
		})
	}
}

func TestLinesThatGitHubSkipsAreSaid(t *testing.T) {
	for line, word := range map[string]string{
		"!foo @o":         "negation",
		"[ab].go @o":      "ranges",
		"[Section] @o":    "ranges",
		`\#foo @o`:        `"\#"`,
		"foo o":           `"o" is no owner`,
		"foo @a/b/c":      "no owner",
		"foo @o @":        "no owner",
		"a/***/b @o":      "asterisks",
		"/ @o":            "no path",
		"a//b @o":         "no path",
		`foo\`:            "backslash",
		"docs/ team@nope": "no owner",
	} {
		o, problems := ParseCodeOwners([]byte("* @all\n" + line + "\n"))
		if len(problems) != 1 || problems[0].Line != 2 || !strings.Contains(problems[0].String(), word) {
			t.Errorf("%q: %v", line, problems)
		}
		if got := o.Of("foo"); !slices.Equal(got, []string{"@all"}) {
			t.Errorf("%q: the line before counts no more: %q", line, got)
		}
	}
	if o, problems := ParseCodeOwners([]byte("* @o\n" + strings.Repeat("# x\n", MaxCodeOwners/4))); len(problems) != 1 || len(o.Of("a")) != 0 {
		t.Errorf("a file too large: %v", problems)
	}
	if _, problems := ParseCodeOwners([]byte(strings.Repeat("! x\n", 1000))); len(problems) != maxOwnersProblems {
		t.Errorf("%d problems", len(problems))
	}
	if o, problems := ParseCodeOwners([]byte("\xef\xbb\xbf* @o # x\n\n#\n  \t\n")); len(problems) != 0 || len(o.Of("a")) != 1 {
		t.Errorf("byte order mark, comments, blank lines: %v", problems)
	}
}

func TestWhoOwnsAllBelowAFolder(t *testing.T) {
	for name, tc := range map[string]struct {
		file, dir, want string
		line            int // of the rule that makes it two sets; 0: it is one
	}{
		"one rule for it":                   {"* @all\n/envs/prod/ @sre", "envs/prod", "@sre", 0},
		"a rule above it":                   {"/envs/ @ops", "envs/prod", "@ops", 0},
		"everything":                        {"* @all", "envs/prod", "@all", 0},
		"the root":                          {"* @all", ".", "@all", 0},
		"the root with a part":              {"* @all\n/docs/ @writers", "", "", 2},
		"nobody":                            {"/docs/ @writers", "envs/prod", "", 0},
		"a part below":                      {"/envs/prod/ @sre\n/envs/prod/web/ @web", "envs/prod", "", 2},
		"a part below of the same":          {"/envs/prod/ @sre @ops\n/envs/prod/web/ @Ops @sre", "envs/prod", "@sre @ops", 0},
		"a part below without owner":        {"/envs/prod/ @sre\n/envs/prod/web/", "envs/prod", "", 2},
		"only a part has owners":            {"/envs/prod/web/ @web", "envs/prod", "", 1},
		"only a part has a rule, of nobody": {"/envs/prod/web/", "envs/prod", "", 0},
		"files that may be there":           {"/envs/ @sre\n*.md @writers", "envs/prod", "", 2},
		"files that may be there, before":   {"*.md @writers\n/envs/ @sre", "envs/prod", "@sre", 0},
		"the files right there only":        {"/envs/prod/* @sre", "envs/prod", "", 1},
		"a folder beside":                   {"/envs/ @sre\n/envs/staging/ @dev", "envs/prod", "@sre", 0},
		"a longer name beside":              {"/envs/prod/ @sre\n/envs/prod2/ @dev", "envs/prod", "@sre", 0},
		"a name anywhere":                   {"prod @sre", "envs/prod", "@sre", 0},
		"a name anywhere below":             {"* @all\nweb/ @web", "envs/prod", "", 2},
		"with two stars":                    {"/envs/**/prod/** @sre", "envs/eu/prod", "@sre", 0},
		"slashes around":                    {"/envs/prod/ @sre", "/envs/prod/", "@sre", 0},
	} {
		t.Run(name, func(t *testing.T) {
			o, problems := ParseCodeOwners([]byte(tc.file))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			owners, same, line := o.Covers(tc.dir)
			if got := strings.Join(owners, " "); got != tc.want || same != (tc.line == 0) || line != tc.line {
				t.Errorf("%q, %v, line %d", got, same, line)
			}
		})
	}
}

// FuzzOwnersBelow holds Covers against Of: no file below may be somebody else's.
func FuzzOwnersBelow(f *testing.F) {
	f.Add("* @a\n/x/ @b\n**/y @c", "x", "y/z")
	f.Add("*/x/** @a\nx/* @b", "x/x", "z")
	f.Fuzz(func(t *testing.T, file, dir, name string) {
		o, _ := ParseCodeOwners([]byte(file))
		if strings.Contains("/"+dir+"/"+name+"/", "//") || len(file) > 1000 || len(dir)+len(name) > 200 || dir == "." {
			return
		}
		owners, same, line := o.Covers(dir)
		if same != (line == 0) {
			t.Errorf("same is %v, line %d", same, line)
		}
		if got := o.Of(dir + "/" + name); same && !sameSet(got, owners) {
			t.Errorf("%q owns %s/%s, %q all below %s", got, dir, name, owners, dir)
		}
	})
}
