package promote

// SetLintBudget lets a test have a tree that is too much without making one that is.
func (b *Bot) SetLintBudget(bytes, marked int64) {
	b.lintBudget.bytes, b.lintBudget.marked = bytes, marked
}

// LintBudget is what a bot reads of one tree at most.
func (b *Bot) LintBudget() (bytes, marked, entries int64) {
	return b.lintBudget.bytes, b.lintBudget.marked, b.lintBudget.entries
}
