package policy

import (
	"strings"
	"testing"
)

func TestALayoutIsCheckedBeforeItIsUsed(t *testing.T) {
	for _, test := range []struct{ layout, reason string }{
		{"YYYY-0M-0D[-N]", ""},
		{"YYYY.MM.DD", ""},
		{"YYYY0M0D", ""},
		{"YYYY0M0D.N", ""},
		{"YYYYMM", ""}, // the year has four digits
		{"YY.0W", ""},
		{"0Y.WW[.MICRO]", ""},
		{"MAJOR.MINOR.YYYY0M0D", ""},
		{"vYYYY.MINOR[.MICRO][-N]", ""},
		{"YYYY[.0M[.0D]]", ""},
		{"release_YYYY.0M-alpine3", ""},
		{"v2.YYYY.0M", ""},
		{"", "the layout is empty"},
		{strings.Repeat("x", maxLayout+1), "the layout is longer than 100 bytes"},
		{"MM.DD", "the layout has no year"},
		{"MAJOR.MINOR.MICRO", "the layout has no year"},
		{"[YYYY.]MM", "the year of the layout is optional"},
		{"YYYY.YY", "the layout has a part of the date twice"},
		{"YYYY.MM.0M", "the layout has a part of the date twice"},
		{"YYYY.N.N", "the layout has a field twice"},
		{"YYYY.MM.WW", "the layout has a month and a week"},
		{"YYYY.DD", "the layout has a day without a month"},
		{"YYYY[.0M].0D", "the layout may have a day without a month"},
		{"YYYY.M.D", `the layout has "M", which is no field`},
		{"NIGHTLY-YYYY", `the layout has "IGHTLY", which is no field`},
		{"RELEASE.YYYY", `the layout has "RELEASE", which is no field`},
		{"YYYY/0M", `the layout has "/", which no tag has`},
		{"YYYY 0M", `the layout has " ", which no tag has`},
		{"YYYYé", `the layout has "é", which no tag has`},
		{"YYYYMMDD", "in the layout YYYYMMDD it is not clear where a number ends"},
		{"YYYY.MMN", "in the layout YYYY.MMN it is not clear where a number ends"},
		{"YYYY.0M1", "in the layout YYYY.0M1 it is not clear where a number ends"},
		{"2YYYY", "in the layout 2YYYY it is not clear where a number begins"},
		{"YYYY[.MM][.N]", "two forms of the layout YYYY[.MM][.N] cannot be told apart"},
		{"YYYY0M[0D]", "two forms of the layout YYYY0M[0D] cannot be told apart"},
		{"YYYY[-N", "the layout has a [ without its ]"},
		{"YYYY]", "the layout has a ] without its ["},
		{"YYYY[]", "the layout has empty brackets"},
		{"YYYY[a][b][c][d][e]", "the optional parts of the layout make more than 16 forms"},
		{"YYYY.0M.0D.MAJOR.MINOR.MICRO.N.N.N", "the layout has more than 8 fields"},
	} {
		reason, hint := CheckLayout(test.layout)
		if reason != test.reason || (reason == "") != (hint == "") {
			t.Errorf("%s:\n got %s (%s)\nwant %s", test.layout, reason, hint, test.reason)
		}
		if _, bad := newChooser(Policy{Calver: &Calver{Layout: test.layout}}, ""); (bad != nil) != (reason != "") {
			t.Errorf("%s: Select and CheckLayout do not agree: %v", test.layout, bad)
		}
	}
}
