package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Limits of credential helpers.
const (
	helperTimeout   = 10 * time.Second // one run
	helperKeep      = 10 * time.Minute // an answer is used again
	helperPause     = time.Minute      // after a failure it is not run again
	helperWaitDelay = time.Second      // for what a killed helper left running
	maxHelperAnswer = 64 << 10         // bytes
)

// helperName is all that may follow docker-credential-: no path can be made of it.
var helperName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// helperCall is one question to one docker credential helper.
type helperCall struct{ name, server string }

// run asks the helper. A nil answer without an error: it knows the host not. What
// the helper says itself is in no error, since it may be a secret.
func (h helperCall) run(ctx context.Context) (*authn.AuthConfig, error) {
	if !helperName.MatchString(h.name) {
		return nil, errors.New("it is not run, because its name holds more than a-z, 0-9 and -")
	}
	program := "docker-credential-" + h.name
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("%s is not in PATH", program)
	}
	out := &capped{max: maxHelperAnswer}
	cmd := exec.CommandContext(ctx, path, "get")
	cmd.Stdin = strings.NewReader(h.server)
	cmd.Stdout = out
	cmd.WaitDelay = helperWaitDelay
	endAll(cmd)
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case out.over:
		return nil, fmt.Errorf("%s answered more than %d bytes", program, maxHelperAnswer)
	case err != nil && strings.TrimSpace(out.buf.String()) == "credentials not found in native keychain":
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s failed (%s)", program, exitOf(err))
	}
	var answer struct{ Username, Secret string }
	if json.Unmarshal(out.buf.Bytes(), &answer) != nil || answer.Secret == "" {
		return nil, fmt.Errorf("%s answered something that is no credentials", program)
	}
	if answer.Username == "<token>" {
		return &authn.AuthConfig{IdentityToken: answer.Secret}, nil
	}
	return &authn.AuthConfig{Username: answer.Username, Password: answer.Secret}, nil
}

func exitOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.String()
	}
	return "it could not be run"
}

// capped is a buffer that refuses more than max bytes. It does not embed one:
// bytes.Buffer.ReadFrom would go around the limit.
type capped struct {
	buf  bytes.Buffer
	max  int
	over bool
}

func (c *capped) Write(p []byte) (int, error) {
	if c.buf.Len()+len(p) > c.max {
		c.over = true
		return 0, errors.New("too long")
	}
	return c.buf.Write(p)
}
