package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	"github.com/aws/smithy-go/logging"
	"github.com/google/go-containerregistry/pkg/authn"
)

// ecrPublicRegion is the only one that logs in at the public registry.
const ecrPublicRegion = "us-east-1"

// ecrLogin logs in at Amazon's registries. It uses the SDK itself and not the
// docker helper around it, which has no context, keeps tokens on disk and logs.
type ecrLogin struct{ http *http.Client }

const noAWS = "no identity was found (environment, web identity of a pod, ~/.aws, metadata server), or the service did not answer"

func (e ecrLogin) login(ctx context.Context, host string) (*authn.AuthConfig, time.Time, error) {
	if host == ecrPublicHost {
		return e.public(ctx)
	}
	parts := ecrHost.FindStringSubmatch(host)
	if parts == nil {
		return nil, time.Time{}, errors.New("it is no registry of ECR")
	}
	fips := aws.FIPSEndpointStateUnset
	if parts[2] != "" {
		fips = aws.FIPSEndpointStateEnabled
	}
	conf, err := e.config(ctx, parts[3], fips)
	if err != nil {
		return nil, time.Time{}, errors.New("the configuration of AWS cannot be read")
	}
	out, err := ecr.NewFromConfig(conf).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return nil, time.Time{}, vendorSays(err, noAWS)
	}
	if len(out.AuthorizationData) == 0 {
		return nil, time.Time{}, errors.New("it answered without a token")
	}
	d := out.AuthorizationData[0]
	return ecrToken(aws.ToString(d.AuthorizationToken), d.ExpiresAt)
}

func (e ecrLogin) public(ctx context.Context) (*authn.AuthConfig, time.Time, error) {
	conf, err := e.config(ctx, ecrPublicRegion, aws.FIPSEndpointStateUnset)
	if err != nil {
		return nil, time.Time{}, errors.New("the configuration of AWS cannot be read")
	}
	out, err := ecrpublic.NewFromConfig(conf).GetAuthorizationToken(ctx, &ecrpublic.GetAuthorizationTokenInput{})
	if err != nil {
		return nil, time.Time{}, vendorSays(err, noAWS)
	}
	if out.AuthorizationData == nil {
		return nil, time.Time{}, errors.New("it answered without a token")
	}
	return ecrToken(aws.ToString(out.AuthorizationData.AuthorizationToken), out.AuthorizationData.ExpiresAt)
}

func (e ecrLogin) config(ctx context.Context, region string, fips aws.FIPSEndpointState) (aws.Config, error) {
	return config.LoadDefaultConfig(ctx,
		config.WithRegion(region),
		config.WithHTTPClient(e.http),
		config.WithUseFIPSEndpoint(fips),
		config.WithLogger(logging.Nop{}),
		config.WithRetryMaxAttempts(1), // a second try is for the next tick
	)
}

// ecrToken reads base64("AWS:password").
func ecrToken(token string, expires *time.Time) (*authn.AuthConfig, time.Time, error) {
	plain, err := base64.StdEncoding.DecodeString(token)
	user, password, ok := strings.Cut(string(plain), ":")
	if err != nil || !ok || password == "" {
		return nil, time.Time{}, errors.New("it answered with a token that cannot be read")
	}
	return &authn.AuthConfig{Username: user, Password: password}, aws.ToTime(expires), nil
}
