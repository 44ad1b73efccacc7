package hook_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/hook"
)

// send reads a push of the branch main that has this id and this secret.
func send(t *testing.T, in hook.Receiver, id, key string, body string) hook.Poke {
	t.Helper()
	r := webhook(in.Forge, "push", id, []byte(body))
	if key != secret {
		r.Header.Set("X-Hub-Signature-256", "sha256="+sign(key, []byte(body)))
		r.Header.Set("X-Gitea-Signature", sign(key, []byte(body)))
	}
	poke, err := in.Read(nil, r)
	if (err == nil) != (key == secret) {
		t.Fatal(err)
	}
	return poke
}

func TestADeliveryIsOnePoke(t *testing.T) {
	again := hook.Poke{Kind: hook.Ignored, Reason: "this delivery was read before"}
	other := `{"ref":"refs/heads/main","repository":{"clone_url":"https://git.example/shop/config"},"after":"1"}`
	for _, f := range hook.Forges() {
		in := receiver(f)
		for _, step := range []struct {
			name, id, key, body string
			want                hook.Poke
		}{
			{"a stranger's", "1", "wrong", pushBody, hook.Poke{}},
			{"the first, whose id the stranger's does not count for", "1", secret, pushBody, pushed},
			{"the same again", "1", secret, pushBody, again},
			{"another id", "2", secret, pushBody, pushed},
			{"another body under the first id", "1", secret, other, pushed},
			{"the first once more", "1", secret, pushBody, again},
		} {
			if got := send(t, in, step.id, step.key, step.body); !cmp.Equal(got, step.want) {
				t.Errorf("%s, %s: %+v", f, step.name, got)
			}
		}
	}
}

func TestDeliveriesOfTwoForgesAreTwo(t *testing.T) {
	seen := &hook.Deliveries{}
	for _, f := range hook.Forges() {
		if got := send(t, hook.Receiver{Forge: f, Secret: []byte(secret), Deliveries: seen}, "1", secret, pushBody); !cmp.Equal(got, pushed) {
			t.Errorf("%s: %+v", f, got)
		}
	}
}

func TestWithoutIdOrMemoryEveryDeliveryIsAPoke(t *testing.T) {
	in := receiver(hook.Git)
	forgetful := hook.Receiver{Forge: hook.GitHub, Secret: []byte(secret)}
	for range 2 {
		if got := send(t, in, "", secret, pushBody); !cmp.Equal(got, pushed) {
			t.Errorf("without an id: %+v", got)
		}
		if got := send(t, forgetful, "1", secret, pushBody); !cmp.Equal(got, pushed) {
			t.Errorf("without a memory: %+v", got)
		}
	}
}

// TestTheMemoryOfDeliveriesIsBounded sends one more than is remembered: the first
// is forgotten and the second is not.
func TestTheMemoryOfDeliveriesIsBounded(t *testing.T) {
	in := receiver(hook.GitHub)
	for n := range hook.MaxDeliveries + 1 {
		send(t, in, fmt.Sprint(n), secret, pushBody)
	}
	if got := send(t, in, "1", secret, pushBody); got.Kind != hook.Ignored {
		t.Errorf("the second: %+v", got)
	}
	if got := send(t, in, "0", secret, pushBody); !cmp.Equal(got, pushed) {
		t.Errorf("the first: %+v", got)
	}
	if got := send(t, in, "1", secret, pushBody); !cmp.Equal(got, pushed) {
		t.Errorf("the second after one more: %+v", got)
	}
}

func TestIgnoredEventsTakeNoPlaceInTheMemory(t *testing.T) {
	in := receiver(hook.GitHub)
	send(t, in, "first", secret, pushBody)
	for n := range hook.MaxDeliveries {
		if poke, err := in.Read(nil, webhook(hook.GitHub, "star", fmt.Sprint(n), []byte("{}"))); err != nil || poke.Kind != hook.Ignored {
			t.Fatal(poke, err)
		}
	}
	if got := send(t, in, "first", secret, pushBody); got.Kind != hook.Ignored {
		t.Errorf("%+v", got)
	}
}

func TestOfManyAtOnceOneIsThePoke(t *testing.T) {
	in := receiver(hook.GitHub)
	var pokes atomic.Int32
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			poke, err := in.Read(nil, webhook(hook.GitHub, "push", "1", []byte(pushBody)))
			if err != nil {
				t.Error(err)
			}
			if poke.Kind == hook.Push {
				pokes.Add(1)
			}
		})
	}
	all.Wait()
	if pokes.Load() != 1 {
		t.Errorf("%d pokes", pokes.Load())
	}
}
