package gitea

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	sdk "code.gitea.io/sdk/gitea"
)

const (
	labelColor = "#1d76db"
	labelWhat  = "set by Towpath or for it"
)

// SetLabel adds or removes a label, also of a closed pull request; no write when it is so already. A
// label that the repository lacks is made.
func (f *Forge) SetLabel(ctx context.Context, number int, label string, on bool) error {
	if err := f.setLabel(ctx, number, label, on); err != nil {
		what := "remove label"
		if on {
			what = "add label"
		}
		return fmt.Errorf("%s %q of pull request %d: %w", what, label, number, err)
	}
	return nil
}

func (f *Forge) setLabel(ctx context.Context, number int, label string, on bool) error {
	e, err := f.get(ctx, number)
	if err != nil {
		return err
	}
	if slices.Contains(e.pull.Labels, label) == on {
		f.put(e)
		return nil
	}
	if on {
		return f.addLabels(ctx, e, []string{label})
	}
	c, err := f.client(ctx)
	if err != nil {
		return err
	}
	_, err = c.DeleteIssueLabel(f.owner, f.name, int64(number), e.labels[label])
	if err != nil && status(err) != http.StatusNotFound && status(err) != http.StatusUnprocessableEntity { // somebody was faster
		return plain(err)
	}
	f.relabel(number, func(labels []string) []string {
		return slices.DeleteFunc(labels, func(l string) bool { return l == label })
	})
	return nil
}

// addLabels adds labels to e and to what is known of it.
func (f *Forge) addLabels(ctx context.Context, e *entry, names []string) error {
	ids, err := f.labelIDs(ctx, names)
	if err != nil {
		return err
	}
	c, err := f.client(ctx)
	if err != nil {
		return err
	}
	if _, _, err = c.AddIssueLabels(f.owner, f.name, int64(e.pull.Number), sdk.IssueLabelsOption{Labels: ids}); err != nil {
		return ofPull(err)
	}
	union := func(labels []string) []string {
		for _, l := range names {
			if !slices.Contains(labels, l) {
				labels = append(labels, l)
			}
		}
		return labels
	}
	e.pull.Labels = union(e.pull.Labels)
	f.relabel(e.pull.Number, union)
	return nil
}

// relabel changes what is known of a pull request's labels until it is listed again.
func (f *Forge) relabel(number int, change func([]string) []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.known[number]; e != nil {
		e.pull.Labels = change(slices.Clone(e.pull.Labels))
	}
}

// labelIDs are the ids of labels, of the repository's or of its organization's. Those that are nowhere are
// made. They are always listed first: the server would make a second one of the same name.
func (f *Forge) labelIDs(ctx context.Context, names []string) ([]int64, error) {
	if len(names) == 0 {
		return nil, nil
	}
	have, err := f.labels(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("list labels: %w", err)
	}
	c, err := f.client(ctx)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, name := range names {
		id := have[name]
		if id == 0 {
			l, _, err := c.CreateLabel(f.owner, f.name, sdk.CreateLabelOption{Name: name, Color: labelColor, Description: labelWhat})
			if err != nil {
				return nil, fmt.Errorf("make label %q: %w", name, plain(err))
			}
			id = l.ID
			have[name] = id
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// labels lists the labels that there are, until all that are wanted were found.
func (f *Forge) labels(ctx context.Context, wanted []string) (map[string]int64, error) {
	have := map[string]int64{}
	c, err := f.client(ctx)
	if err != nil {
		return nil, err
	}
	read := func(list func(page int) ([]*sdk.Label, *sdk.Response, error)) error {
		for page, all := 1, 0; page <= maxPages; page++ {
			got, resp, err := list(page)
			if err != nil {
				return err
			}
			for _, l := range got {
				if have[l.Name] == 0 { // of twins the first, as the server lists them
					have[l.Name] = l.ID
				}
			}
			all += len(got)
			if hasAll(have, wanted) || done(all, len(got), f.perPage, resp) {
				return nil
			}
		}
		return nil
	}
	err = read(func(page int) ([]*sdk.Label, *sdk.Response, error) {
		return c.ListRepoLabels(f.owner, f.name, sdk.ListLabelsOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: f.perPage}})
	})
	if err != nil {
		return nil, plain(err)
	}
	if hasAll(have, wanted) {
		return have, nil
	}
	err = read(func(page int) ([]*sdk.Label, *sdk.Response, error) {
		return c.ListOrgLabels(f.owner, sdk.ListOrgLabelsOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: f.perPage}})
	})
	if s := status(err); err != nil && (s == 0 || s >= 500) { // 404: no organization; 403: a token without the right to ask
		return nil, plain(err)
	}
	return have, nil
}

func hasAll(have map[string]int64, names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return have[n] == 0 })
}
