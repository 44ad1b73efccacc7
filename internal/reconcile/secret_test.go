package reconcile

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStringDataIsData(t *testing.T) {
	tests := []struct {
		name, in, want string
	}{
		{"alone", `{"stringData":{"p":"q"}}`, `{"data":{"p":"cQ=="}}`},
		{"it wins over data", `{"data":{"p":"eA==","o":"eQ=="},"stringData":{"p":"q"}}`, `{"data":{"p":"cQ==","o":"eQ=="}}`},
		{"beside no data", `{"data":null,"stringData":{"p":""}}`, `{"data":{"p":""}}`},
		{"what is no text is left to be refused", `{"stringData":{"p":1}}`, `{"stringData":{"p":1}}`},
		{"data alone", `{"data":{"p":"eA=="}}`, `{"data":{"p":"eA=="}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got, want map[string]any
			if json.Unmarshal([]byte(test.in), &got) != nil || json.Unmarshal([]byte(test.want), &want) != nil {
				t.Fatal("bad test")
			}
			encodeSecret(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestKeysOfASecretAreHealedAndGo(t *testing.T) {
	secret := func(keys string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: ENV}\nstringData: {" + keys + "}\n"
	}
	files := shop()
	files["envs/here/api/secret.yaml"] = secret("a: one, b: two")
	w, a, _ := started(t, files)
	p := w.person()
	path := w.core("secrets", "s")
	mark := w.mark()
	p.must("PATCH", path+"?fieldManager=kubectl-edit", mergePatch, `{"data":{"a":"eA=="}}`)
	w.eventually(func() string {
		if at(p.get(path), "data|a") != "b25l" || len(w.seen(mark, EventHealed)) == 0 {
			return "the edited key is not healed"
		}
		return ""
	})
	commit := w.commit("drop b", map[string]string{"envs/here/api/secret.yaml": secret("a: one")})
	a.Poke()
	w.awaitHealthy(commit)
	if got := at(p.get(path), "data|b"); got != nil {
		t.Errorf("b = %v", got)
	}
}
