package secret

import (
	"encoding/base64"
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
	if got := k.Clean(err); !errors.Is(got, err) || got.Error() != text || k.Clean(nil) != nil {
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

func TestOnlyWhatIsSecretIsCutOut(t *testing.T) {
	var s Known
	s.Add("git", "")
	s.AddLogin("git", "x")
	s.AddLogin("git", "hunter22")
	s.Add("hunter22-long")
	for in, want := range map[string]string{
		"git x pushes to origin":                      "git x pushes to origin",
		"a hunter22 and hunter22-long":                "a *** and ***",
		"Authorization: Basic Z2l0Omh1bnRlcjIy fails": "Authorization: Basic *** fails",
	} {
		if got := s.Cut(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for i := range maxSecrets {
		s.Add(fmt.Sprintf("another-%d", i))
	}
	if len(s.texts) > maxSecrets {
		t.Errorf("%d texts are kept", len(s.texts))
	}
}

func FuzzSecretsAreCutOut(f *testing.F) {
	f.Add("git", "s3cr3t-pa55", "the token ", " is bad")
	f.Add("a", `p4:"<&/%20 @é\ss`+"s3cr3t-pa55", "", "")
	f.Fuzz(func(t *testing.T, user, password, before, after string) {
		if len(password) < minSecretBytes || strings.Contains(cutMark, password) || strings.ContainsAny(password, "\r\n") {
			t.Skip("no secret in the sense of readLine")
		}
		var s Known
		s.AddLogin(user, password)
		for _, way := range spellings(password) {
			if text := s.Cut(before + way + after); text == before+way+after {
				t.Errorf("%q is left in %q", way, text)
			}
		}
		header := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		if strings.Contains(s.Cut("Basic "+header), header) {
			t.Error("the header is left")
		}
	})
}
