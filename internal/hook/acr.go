package hook

import (
	"regexp"
	"strings"
)

// Azure's names of events.
const (
	acrPush             = "push"
	eventGridPush       = "Microsoft.ContainerRegistry.ImagePushed"
	eventGridValidation = "Microsoft.EventGrid.SubscriptionValidationEvent"
)

// validationCode is what is sent back of an event; the codes are UUIDs.
var validationCode = regexp.MustCompile(`^[0-9A-Za-z-]{1,128}$`)

type acrEvent struct {
	Action string `json:"action"`
	Target struct {
		Repository string `json:"repository"`
		Tag        string `json:"tag"`
		Digest     string `json:"digest"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"` // <registry>.azurecr.io
	} `json:"request"`
	ValidationCode string `json:"validationCode"`
}

// gridEvent is a webhook of the registry itself, or an event of Event Grid in
// either of its schemas, which name the type differently.
type gridEvent struct {
	acrEvent
	EventType string   `json:"eventType"` // Event Grid schema
	Type      string   `json:"type"`      // CloudEvents schema
	Data      acrEvent `json:"data"`
}

// acr reads the webhooks of Azure Container Registry and the same event as Event
// Grid delivers it, alone or in an array. It answers Event Grid's handshake, which
// by then came from somebody who knows the secret.
func acr(body []byte, found *pushes) error {
	var events list[gridEvent]
	if err := parse(body, &events); err != nil {
		return err
	}
	found.left("events", events.wrong, events.more)
	for _, e := range events.items {
		switch kind := first(e.EventType, e.Type); {
		case strings.EqualFold(kind, eventGridValidation):
			found.validate(e.Data.ValidationCode)
		case strings.EqualFold(kind, eventGridPush):
			e.Data.push(found)
		case kind == "" && e.Action == acrPush:
			e.push(found)
		}
	}
	return nil
}

func (e acrEvent) push(found *pushes) {
	found.add(e.Request.Host+"/"+e.Target.Repository, e.Target.Tag, e.Target.Digest)
}

// validate prepares the answer to Event Grid's handshake.
func (p *pushes) validate(code string) {
	if !validationCode.MatchString(code) {
		p.drop("the validation of an Event Grid subscription has no usable code")
		return
	}
	p.event.Answer = []byte(`{"validationResponse":"` + code + `"}`)
}
