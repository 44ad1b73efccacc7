package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	// azureUser is the user whose password is a refresh token.
	azureUser = "00000000-0000-0000-0000-000000000000"
	// azureAudience is what a token of Entra ID is for, in every cloud of Azure.
	azureAudience = "https://containerregistry.azure.net/.default"
)

// azureLogin logs in at Azure Container Registry: a token of Entra ID for the
// identity of this process (environment, workload identity of a pod, managed
// identity; no az is run) is exchanged for a refresh token of the registry.
type azureLogin struct{ http *http.Client }

func (a azureLogin) login(ctx context.Context, host string) (*authn.AuthConfig, time.Time, error) {
	// A second try is for the next tick.
	opts := azcore.ClientOptions{Cloud: azureCloud(host), Transport: a.http, Retry: policy.RetryOptions{MaxRetries: -1}}
	identity, err := azureIdentity(opts)
	if err != nil {
		return nil, time.Time{}, errors.New("no identity can be made of what the environment says")
	}
	token, err := identity.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{azureAudience}})
	if err != nil {
		return nil, time.Time{}, azureSays(err, "no identity was found (environment, workload identity of a pod, managed identity)")
	}
	client, err := azcontainerregistry.NewAuthenticationClient("https://"+host, &azcontainerregistry.AuthenticationClientOptions{ClientOptions: opts})
	if err != nil {
		return nil, time.Time{}, errors.New("its name cannot be used")
	}
	answer, err := client.ExchangeAADAccessTokenForACRRefreshToken(ctx, azcontainerregistry.PostContentSchemaGrantTypeAccessToken, host,
		&azcontainerregistry.AuthenticationClientExchangeAADAccessTokenForACRRefreshTokenOptions{AccessToken: &token.Token})
	if err != nil {
		return nil, time.Time{}, azureSays(err, "the registry did not answer")
	}
	if answer.RefreshToken == nil || *answer.RefreshToken == "" {
		return nil, time.Time{}, errors.New("the registry answered without a token")
	}
	return &authn.AuthConfig{Username: azureUser, Password: *answer.RefreshToken}, jwtExpiry(*answer.RefreshToken), nil
}

// azureCloud is the cloud of a registry; the zero value is the public one, or
// what AZURE_AUTHORITY_HOST says.
func azureCloud(host string) cloud.Configuration {
	switch {
	case strings.HasSuffix(host, ".azurecr.cn"):
		return cloud.AzureChina
	case strings.HasSuffix(host, ".azurecr.us"):
		return cloud.AzureGovernment
	}
	return cloud.Configuration{}
}

// azureIdentity is Azure's default order without the programs in it.
func azureIdentity(opts azcore.ClientOptions) (azcore.TokenCredential, error) {
	var chain []azcore.TokenCredential
	if c, err := azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{ClientOptions: opts}); err == nil {
		chain = append(chain, c)
	}
	if c, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: opts}); err == nil {
		chain = append(chain, c)
	}
	managed := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: opts}
	if id := os.Getenv("AZURE_CLIENT_ID"); id != "" {
		managed.ID = azidentity.ClientID(id)
	}
	if c, err := azidentity.NewManagedIdentityCredential(managed); err == nil {
		chain = append(chain, c)
	}
	return azidentity.NewChainedTokenCredential(chain, nil)
}

// azureSays is vendorSays for Azure, whose errors hold whole answers.
func azureSays(err error, otherwise string) error {
	var refused *azcore.ResponseError
	if errors.As(err, &refused) {
		if codeGrammar.MatchString(refused.ErrorCode) {
			return fmt.Errorf("refused with %d %s", refused.StatusCode, refused.ErrorCode)
		}
		return fmt.Errorf("refused with %d %s", refused.StatusCode, http.StatusText(refused.StatusCode))
	}
	var failed *azidentity.AuthenticationFailedError
	if errors.As(err, &failed) && failed.RawResponse != nil {
		return fmt.Errorf("refused by Entra ID with %d %s", failed.RawResponse.StatusCode, http.StatusText(failed.RawResponse.StatusCode))
	}
	return errors.New(otherwise)
}

// jwtExpiry reads when a token ends, without judging it; zero when it does not say.
func jwtExpiry(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(raw, &claims) != nil || claims.Exp <= 0 {
		return time.Time{}
	}
	return time.Unix(claims.Exp, 0)
}
