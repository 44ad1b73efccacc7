package secret

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestASecretIsCutInEverySpelling(t *testing.T) {
	const password = `p<ss"w/rd&+ é`
	var k Known
	k.AddLogin("user", password)
	for name, text := range map[string]string{
		"plain":        "refused: " + password + "!",
		"in a URL":     "https://user:p%3Css%22w%2Frd&+%20%C3%A9@host/",
		"as a query":   "?token=p%3Css%22w%2Frd%26%2B+%C3%A9",
		"quoted":       fmt.Sprintf("%q", password),
		"in HTML":      "<b>p&lt;ss&#34;w/rd&amp;+ é</b>",
		"basic":        "Basic dXNlcjpwPHNzIncvcmQmKyDDqQ==",
		"twice":        password + password,
		"in the error": "cannot accept " + password,
	} {
		t.Run(name, func(t *testing.T) {
			got := k.Cut(text)
			if !strings.Contains(got, cutMark) || strings.Contains(got, "ss") && strings.Contains(got, "rd") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestWhatIsNoSecretStays(t *testing.T) {
	var k Known
	k.Add("abc") // too short to tell from words
	const text = "abc: nothing to see"
	if got := k.Cut(text); got != text {
		t.Errorf("got %q", got)
	}
	err := errors.New(text)
	if got := k.Clean(err); got != err || k.Clean(nil) != nil {
		t.Errorf("got %v", got)
	}
}

func TestACleanErrorStillIsWhatItWas(t *testing.T) {
	var k Known
	k.Add("hunter22")
	cause := errors.New("refused")
	got := k.Clean(fmt.Errorf("hunter22: %w", cause))
	if got.Error() != "***: refused" || !errors.Is(got, cause) {
		t.Errorf("got %v", got)
	}
}

func TestOldSecretsAreForgottenBeforeNewOnes(t *testing.T) {
	var k Known
	for i := range 2 * maxSecrets {
		k.Add(fmt.Sprintf("secret-%d", i))
	}
	if len(k.texts) > maxSecrets {
		t.Errorf("%d texts are kept", len(k.texts))
	}
	last := fmt.Sprintf("secret-%d", 2*maxSecrets-1)
	if got := k.Cut(last); got != cutMark {
		t.Errorf("got %q", got)
	}
}
