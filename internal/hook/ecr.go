package hook

import (
	"regexp"
	"strings"
)

// Amazon's words for a push that worked.
const (
	ecrDetailType = "ECR Image Action"
	ecrPush       = "PUSH"
	ecrSuccess    = "SUCCESS"
	ecrCloudEvent = "com.amazon.ecr.image.push"
)

var (
	awsAccount = regexp.MustCompile(`^[0-9]{12}$`)
	awsRegion  = regexp.MustCompile(`^[a-z]{2,5}(-[a-z0-9]{1,12}){1,4}$`)
)

// ecrEvent is an EventBridge event as it comes from ECR, or the CloudEvents
// envelope that an input transformer makes of it.
type ecrEvent struct {
	DetailType string `json:"detail-type"`
	Account    string `json:"account"`
	Region     string `json:"region"`
	Detail     struct {
		Result     string `json:"result"`
		ActionType string `json:"action-type"`
		Repository string `json:"repository-name"`
		Digest     string `json:"image-digest"`
		Tag        string `json:"image-tag"`
	} `json:"detail"`

	Type   string `json:"type"`
	Source string `json:"source"` // urn:aws:ecr:<region>:<account>:repository/<name>
	Data   struct {
		Repository string `json:"repositoryName"`
		Digest     string `json:"imageDigest"`
		Tag        string `json:"imageTag"`
		Registry   string `json:"registryId"`
	} `json:"data"`
}

// ecr reads what an EventBridge rule sends to an API destination.
func ecr(body []byte, found *pushes) error {
	var events list[ecrEvent]
	if err := parse(body, &events); err != nil {
		return err
	}
	found.left("events", events.wrong, events.more)
	for _, e := range events.items {
		switch {
		case e.DetailType == ecrDetailType && e.Detail.ActionType == ecrPush && e.Detail.Result == ecrSuccess:
			found.addECR(e.Account, e.Region, e.Detail.Repository, e.Detail.Tag, e.Detail.Digest)
		case e.Type == ecrCloudEvent:
			region, account := ecrSource(e.Source)
			found.addECR(first(e.Data.Registry, account), region, e.Data.Repository, e.Data.Tag, e.Data.Digest)
		}
	}
	return nil
}

// ecrSource reads region and account of urn:aws:ecr:region:account:… and of
// arn:aws:ecr:region:account:….
func ecrSource(source string) (region, account string) {
	const partRegion, partAccount = 3, 4
	parts := strings.SplitN(source, ":", partAccount+2)
	if len(parts) <= partAccount {
		return "", ""
	}
	return parts[partRegion], parts[partAccount]
}

func (p *pushes) addECR(account, region, repo, tag, digest string) {
	if !awsAccount.MatchString(account) {
		p.drop("%.40q is not an AWS account", account)
		return
	}
	if !awsRegion.MatchString(region) {
		p.drop("%.40q is not an AWS region", region)
		return
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain = "amazonaws.com.cn"
	}
	p.add(account+".dkr.ecr."+region+"."+domain+"/"+repo, tag, digest)
}
