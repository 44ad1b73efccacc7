package fakegithub

type queueEntry struct{}

func (r *Repo) syncQueue() error       { return nil }
func (r *Repo) leaveQueue(*pull)       {}
func (r *Repo) statusesChanged() error { return nil }
func (r *Repo) autoMerge(*pull) error  { return nil }
func (s *Server) viewApp(a *App) any   { return nil }
type deployment struct{}
