package gitea

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	sdk "code.gitea.io/sdk/gitea"

	"towpath.dev/towpath/internal/pr"
)

// Comment adds a comment of ours. With a Key ours of that key is edited in place, or left alone when its
// text is the same. User and At are the server's to say.
func (f *Forge) Comment(ctx context.Context, number int, c pr.Comment) error {
	if err := f.comment(ctx, number, c); err != nil {
		return fmt.Errorf("comment on pull request %d: %w", number, err)
	}
	return nil
}

func (f *Forge) comment(ctx context.Context, number int, c pr.Comment) error {
	text := pr.CutBody(c.Body, maxText)
	if err := f.there(ctx, number); err != nil {
		return err
	}
	// Whoever looks for a comment and finds none writes it: one after the other.
	lock := &f.commenting[number%len(f.commenting)]
	lock.Lock()
	defer lock.Unlock()
	if c.Key == "" {
		return f.plainComment(ctx, number, text)
	}
	all := f.keyed(number, c.Key)
	if len(all) == 1 {
		done, err := f.rewrite(ctx, number, all[0], text)
		if done || err != nil {
			return err
		}
	}
	read, err := f.comments(ctx, number) // an answer of ours may have been lost
	if err != nil {
		return err
	}
	for i, old := range ofKey(read, c.Key) {
		done, err := f.rewrite(ctx, number, old, text)
		if err != nil {
			return err
		}
		if done {
			f.onlyOne(ctx, number, ofKey(read, c.Key)[i:])
			return nil
		}
	}
	if _, err = f.newComment(ctx, number, c.Key, text); err != nil {
		return err
	}
	if read, err = f.comments(ctx, number); err != nil { // another bot may have been at it, too
		return err
	}
	f.onlyOne(ctx, number, ofKey(read, c.Key))
	return nil
}

// plainComment writes a comment without a key, once more only where the last time may have failed.
func (f *Forge) plainComment(ctx context.Context, number int, text string) error {
	if !f.perhapsWritten(number, text) {
		_, err := f.newComment(ctx, number, "", text)
		return err
	}
	if _, err := f.commentOnce(ctx, number, text); err != nil {
		return err
	}
	f.surely(number, text)
	return nil
}

// there returns nil for a pull request that is known, or that the server has.
func (f *Forge) there(ctx context.Context, number int) error {
	f.mu.Lock()
	known := f.known[number] != nil
	f.mu.Unlock()
	if known {
		return nil
	}
	_, err := f.get(ctx, number)
	return err
}

// keyed are our comments of a key, as far as they are known.
func (f *Forge) keyed(number int, key string) []pr.Comment {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.known[number]; e != nil {
		return ofKey(e.pull.Comments, key)
	}
	return nil
}

// ofKey are those of a key, in their order.
func ofKey(all []pr.Comment, key string) (out []pr.Comment) {
	for _, c := range all {
		if c.Key == key && key != "" {
			out = append(out, c)
		}
	}
	return out
}

// onlyOne deletes our comments of a key but the first: two bots that wrote one each at the same moment
// agree on it.
func (f *Forge) onlyOne(ctx context.Context, number int, all []pr.Comment) {
	for _, c := range all[min(len(all), 1):] {
		f.uncomment(ctx, number, c.ID)
	}
}

// rewrite makes a comment of ours say something; false: it is gone.
func (f *Forge) rewrite(ctx context.Context, number int, old pr.Comment, text string) (bool, error) {
	if sameText(old.Body, text) {
		return true, nil
	}
	c, err := f.client(ctx)
	if err != nil {
		return false, err
	}
	_, _, err = c.EditIssueComment(f.owner, f.name, old.ID, sdk.EditIssueCommentOption{Body: pr.WithKey(old.Key, text)})
	if status(err) == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, plain(err)
	}
	// The server does not date the pull request anew for it.
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.known[number]; e != nil {
		e.pull.Comments = slices.Clone(e.pull.Comments)
		for i := range e.pull.Comments {
			if e.pull.Comments[i].ID == old.ID {
				e.pull.Comments[i].Body = text
			}
		}
	}
	return true, nil
}

// newComment writes a comment, and remembers when it is not known whether that was done.
func (f *Forge) newComment(ctx context.Context, number int, key, text string) (int64, error) {
	c, err := f.client(ctx)
	if err != nil {
		return 0, err
	}
	made, _, err := c.CreateIssueComment(f.owner, f.name, int64(number), sdk.CreateIssueCommentOption{Body: pr.WithKey(key, text)})
	if key == "" && unsure(err) {
		f.mu.Lock()
		f.uncertain[number] = append(f.uncertain[number], text)
		f.mu.Unlock()
	}
	if err != nil {
		return 0, ofPull(err)
	}
	return made.ID, nil
}

func (f *Forge) perhapsWritten(number int, text string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.uncertain[number], text)
}

func (f *Forge) surely(number int, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uncertain[number] = slices.DeleteFunc(f.uncertain[number], func(s string) bool { return s == text })
	if len(f.uncertain[number]) == 0 {
		delete(f.uncertain, number)
	}
}

// commentOnce writes a comment unless our last one says the same: closing failed after it. It returns
// the id of what it wrote.
func (f *Forge) commentOnce(ctx context.Context, number int, text string) (int64, error) {
	all, err := f.comments(ctx, number)
	if err != nil {
		return 0, err
	}
	text = pr.CutBody(text, maxText)
	for _, c := range slices.Backward(all) {
		if c.User == f.user && c.Key == "" {
			if sameText(c.Body, text) {
				return 0, nil
			}
			break
		}
	}
	return f.newComment(ctx, number, "", text)
}

// uncomment deletes a comment of ours, as far as that can be done: nothing depends on it.
func (f *Forge) uncomment(ctx context.Context, number int, id int64) {
	c, err := f.client(ctx)
	if err == nil {
		_, err = c.DeleteIssueComment(f.owner, f.name, id)
	}
	if err != nil && status(err) != http.StatusNotFound {
		f.cfg.Logger.Warn("a comment of ours that should not be there stays", "pull", number, "comment", id, "err", plain(err))
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.known[number]; e != nil { // the server does not date the pull request anew for it
		e.pull.Comments = slices.DeleteFunc(slices.Clone(e.pull.Comments), func(c pr.Comment) bool { return c.ID == id })
	}
}
