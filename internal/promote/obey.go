package promote

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"towpath.dev/towpath/internal/pr"
)

// keyCommands names the comment that says which commands were carried out, and up
// to which comment they were read.
const keyCommands = "commands"

const (
	maxObeyed  = 20 // comments with commands that one tick answers
	maxAnswers = 10 // answers kept in the comment
)

// The commands that people give in comments on our pull requests.
const (
	commandHold    = "hold"
	commandRelease = "release"
	commandRetry   = "retry"
)

// order is a comment with commands that nobody has carried out yet.
type order struct {
	pr.Comment
	commands []pr.Command
}

// obey carries out the commands in comments that are new, and puts what changed
// into the situation. A tick without a new command asks the forge for nothing.
// What could not be done is returned, and done at the next tick.
func (b *Bot) obey(ctx context.Context, s *Situation) []string {
	var out Outcome
	may := rights{}
	left := maxObeyed
	s.unheard = map[int]bool{}
	pulls := slices.Clone(s.Pulls)
	for i := range pulls {
		if _, ours := ownBlock(pulls[i]); !ours || pulls[i].Merged || out.Limit != nil {
			continue
		}
		all := b.orders(pulls[i])
		orders := all[:min(len(all), left)]
		left -= len(orders)
		failed := len(orders) > 0 && out.failed(b.carryOut(ctx, &pulls[i], orders, may), "carry out commands on pull request #%d", pulls[i].Number)
		if failed || len(orders) < len(all) { // one of them may be to hold it
			s.unheard[pulls[i].Number] = true
		}
	}
	s.Pulls, s.refused = pulls, b.remembered(pulls)
	b.forget(pulls)
	return out.Failures
}

// orders lists the new comments with commands. What was looked at once is not
// looked at again: a comment that is edited later is no new command.
func (b *Bot) orders(p pr.Pull) []order {
	last := max(handled(p), b.heard[p.Number])
	var out []order
	seen := last
	for _, c := range p.Comments {
		if c.ID <= last || c.Key != "" || sameName(c.User, b.cfg.User) {
			continue
		}
		seen = max(seen, c.ID)
		cmds := slices.DeleteFunc(pr.ParseCommands(c.Body), func(k pr.Command) bool {
			return k.Name != commandHold && k.Name != commandRelease && k.Name != commandRetry
		})
		if len(cmds) > 0 {
			out = append(out, order{c, cmds})
		}
	}
	if len(out) == 0 && seen > last {
		b.heard[p.Number] = seen
	}
	slices.SortStableFunc(out, func(x, y order) int { return int(min(max(x.ID-y.ID, -1), 1)) })
	return out
}

// forget drops what is known of pull requests that are not listed any more.
func (b *Bot) forget(pulls []pr.Pull) {
	if len(pulls) == 0 {
		return
	}
	for n := range b.heard {
		if !slices.ContainsFunc(pulls, func(p pr.Pull) bool { return p.Number == n }) {
			delete(b.heard, n)
		}
	}
}

// carryOut does what orders say, in their order, and then says so. Dying in
// between does it once more, which changes nothing.
func (b *Bot) carryOut(ctx context.Context, p *pr.Pull, orders []order, may rights) error {
	lines := answers(*p)
	last := handled(*p)
	for _, o := range orders {
		allowed, why, err := b.mayOrder(ctx, o.User, may)
		if err != nil {
			return err
		}
		for _, c := range o.commands {
			done := "not done: " + why
			if allowed {
				if done, err = b.execute(ctx, p, o.User, c); err != nil {
					return err
				}
			}
			b.cfg.Logger.Info("command", "number", p.Number, "user", o.User, "command", c.Name, "result", done)
			lines = append(lines, fmt.Sprintf("- %s of %s: %s", code("/"+strings.TrimSpace(c.Name+" "+c.Arg)), code(o.User), done))
		}
		last = max(last, o.ID)
	}
	lines = lines[max(0, len(lines)-maxAnswers):]
	c := pr.Comment{Key: keyCommands, Body: strings.Join(lines, "\n") + "\n" + fmt.Sprintf(handledLine, last)}
	if err := b.cfg.Forge.Comment(ctx, p.Number, c); err != nil {
		return err
	}
	p.Comments = withComment(p.Comments, c)
	return nil
}

// rights is who may give commands, as asked in one tick.
type rights map[string]bool

// mayOrder reports whether a person may give commands, or why not.
func (b *Bot) mayOrder(ctx context.Context, user string, known rights) (may bool, why string, err error) {
	if !b.cfg.Forge.Authenticated() && !b.cfg.AllowUnauthenticated {
		return false, "this forge cannot prove who said so (--allow-unauthenticated-approvals takes their word)", nil
	}
	may, asked := known[user]
	if !asked {
		if may, err = b.cfg.Forge.MayWrite(ctx, user); err != nil {
			return false, "", err
		}
		known[user] = may
	}
	if !may {
		why = "only who may write to the repository can say so"
	}
	return may, why, nil
}

// execute carries out one command and returns what was done.
func (b *Bot) execute(ctx context.Context, p *pr.Pull, user string, c pr.Command) (string, error) {
	switch {
	case c.Name == commandHold && !p.Open:
		return "not done: it is closed", nil
	case c.Name == commandHold:
		text := heldText + code(user)
		if c.Arg != "" {
			text += ": " + code(c.Arg)
		}
		if err := b.label(ctx, p, pr.LabelHold, true); err != nil {
			return "", err
		}
		hold := pr.Comment{Key: pr.KeyHold, Body: text}
		if !slices.ContainsFunc(p.Comments, func(c pr.Comment) bool { return c.Key == hold.Key && c.Body == hold.Body }) {
			if err := b.cfg.Forge.Comment(ctx, p.Number, hold); err != nil {
				return "", err
			}
			p.Comments = withComment(p.Comments, hold)
		}
		return "held", nil
	case p.Open && c.Name == commandRelease:
		for _, l := range []string{pr.LabelHold, pr.LabelEdited} {
			if err := b.label(ctx, p, l, false); err != nil {
				return "", err
			}
		}
		return "released", b.released(ctx, p, "released by "+code(user))
	case p.Open: // retry
		delete(b.refused, p.Head)
		return "the forge is asked again", nil
	}
	if err := b.label(ctx, p, pr.LabelRetry, true); err != nil {
		return "", err
	}
	return "the same may be proposed again", nil
}

// heldText is how the comment begins that says who holds a pull request.
const heldText = "held by "

// released makes the comment that says who holds a pull request say that nobody does.
func (b *Bot) released(ctx context.Context, p *pr.Pull, text string) error {
	if heldComment(*p) == "" {
		return nil
	}
	c := pr.Comment{Key: pr.KeyHold, Body: text}
	if err := b.cfg.Forge.Comment(ctx, p.Number, c); err != nil {
		return err
	}
	p.Comments = withComment(p.Comments, c)
	return nil
}

// heldComment is what our comment says of who holds it; "": nothing.
func heldComment(p pr.Pull) string {
	for _, c := range slices.Backward(p.Comments) {
		if c.Key == pr.KeyHold {
			if !strings.HasPrefix(c.Body, heldText) {
				return ""
			}
			return oneLine(c.Body)
		}
	}
	return ""
}

// label puts a label on or takes it off, at the forge and in p.
func (b *Bot) label(ctx context.Context, p *pr.Pull, label string, on bool) error {
	if p.HasLabel(label) == on {
		return nil
	}
	if err := b.cfg.Forge.SetLabel(ctx, p.Number, label, on); err != nil {
		return err
	}
	p.Labels = slices.DeleteFunc(slices.Clone(p.Labels), func(l string) bool { return l == label })
	if on {
		p.Labels = append(p.Labels, label)
	}
	return nil
}

// handledLine is the hidden end of the comment: up to which comment of people
// commands were carried out.
const handledLine = "<!-- towpath:handled:%d -->"

var handledText = regexp.MustCompile(`<!-- towpath:handled:(\d{1,18}) -->\s*$`)

// handled is the last comment whose commands were carried out; 0: none. Two bots at
// once may have written two comments that say so.
func handled(p pr.Pull) int64 {
	var last int64
	for _, c := range p.Comments {
		if m := handledText.FindStringSubmatch(c.Body); c.Key == keyCommands && m != nil {
			if n, err := strconv.ParseInt(m[1], 10, 64); err == nil {
				last = max(last, n)
			}
		}
	}
	return last
}

// answers are the lines of that comment.
func answers(p pr.Pull) []string {
	var out []string
	for _, c := range p.Comments {
		if c.Key != keyCommands {
			continue
		}
		for line := range strings.Lines(c.Body) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "- ") {
				out = append(out, line)
			}
		}
	}
	return out
}

// withComment is the comments once c is there.
func withComment(comments []pr.Comment, c pr.Comment) []pr.Comment {
	out := slices.DeleteFunc(slices.Clone(comments), func(o pr.Comment) bool { return o.Key == c.Key })
	return append(out, c)
}
