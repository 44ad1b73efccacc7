package fakegithub

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits are GitHub's, of one user or installation. 0 is none, except for PerHour.
type Limits struct {
	PerHour          int // requests; 0: 5,000
	PointsPerMinute  int // a read costs 1, a write 5
	CreatesPerMinute int // requests that create content
	CreatesPerHour   int
}

// GitHubLimits are all the limits that GitHub documents.
func GitHubLimits() Limits {
	return Limits{PerHour: 5000, PointsPerMinute: 900, CreatesPerMinute: 80, CreatesPerHour: 500}
}

// Cost of a request against PointsPerMinute.
const (
	pointsOfRead  = 1
	pointsOfWrite = 5
)

// usage is what somebody has used.
type usage struct {
	used    int
	reset   time.Time // when used is 0 again
	points  []spent
	creates []time.Time
}

type spent struct {
	at     time.Time
	points int
}

// usageOf finds what somebody has used in the running hour.
func (s *Server) usageOf(t *token) *usage {
	key := t.user.login
	u := s.usage[key]
	if u == nil {
		u = &usage{}
		s.usage[key] = u
	}
	if now := s.now(); !now.Before(u.reset) {
		u.used, u.reset = 0, now.Add(time.Hour)
	}
	return u
}

// Spend uses up all but some of somebody's requests of the hour.
func (s *Server) Spend(login string, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usageOf(&token{user: &user{login: login}}).used = s.opts.Limits.PerHour - left
}

func creates(c *call) bool {
	return c.r.Method == http.MethodPost && !strings.HasSuffix(c.path, "/access_tokens") && c.path != "/graphql"
}

// limit refuses a request that somebody has no budget for.
func (s *Server) limit(c *call) error {
	if c.path == "/rate_limit" {
		return nil
	}
	u, l, now := s.usageOf(c.who), s.opts.Limits, s.now()
	if u.used >= l.PerHour {
		return exceeded(c.who)
	}
	u.points = slices.DeleteFunc(u.points, func(p spent) bool { return now.Sub(p.at) >= time.Minute })
	u.creates = slices.DeleteFunc(u.creates, func(at time.Time) bool { return now.Sub(at) >= time.Hour })
	sum := 0
	for _, p := range u.points {
		sum += p.points
	}
	if l.PointsPerMinute > 0 && sum+cost(c) > l.PointsPerMinute {
		return secondary(u.points[0].at.Add(time.Minute).Sub(now))
	}
	if !creates(c) {
		return nil
	}
	recent := slices.DeleteFunc(slices.Clone(u.creates), func(at time.Time) bool { return now.Sub(at) >= time.Minute })
	if l.CreatesPerMinute > 0 && len(recent) >= l.CreatesPerMinute {
		return secondary(recent[0].Add(time.Minute).Sub(now))
	}
	if l.CreatesPerHour > 0 && len(u.creates) >= l.CreatesPerHour {
		return secondary(u.creates[0].Add(time.Hour).Sub(now))
	}
	return nil
}

// exceeded is the answer when the requests of the hour are used up.
func exceeded(who *token) *problem {
	return &problem{
		status: http.StatusForbidden, message: fmt.Sprintf("API rate limit exceeded for user ID %d.", who.user.id),
		docs: "/using-the-rest-api/rate-limits-for-the-rest-api#primary-rate-limits",
	}
}

// secondary is the answer when too much was asked at once.
func secondary(wait time.Duration) *problem {
	seconds := int(math.Ceil(max(wait, time.Second).Seconds()))
	return &problem{
		status:  http.StatusForbidden,
		message: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
		header:  http.Header{"Retry-After": {strconv.Itoa(seconds)}},
		docs:    "/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits",
	}
}

func cost(c *call) int {
	if c.r.Method == http.MethodGet || c.r.Method == http.MethodHead {
		return pointsOfRead
	}
	return pointsOfWrite
}

// charge counts a request and says in headers what is left.
func (s *Server) charge(c *call, a *answer) {
	a.header.Set("Date", s.now().Format(http.TimeFormat))
	if c.who == nil {
		return
	}
	u := s.usageOf(c.who)
	limited := a.header.Get("Retry-After") != "" || u.used >= s.opts.Limits.PerHour
	if !a.free && !limited && c.path != "/rate_limit" {
		now := s.now()
		u.used++
		u.points = append(u.points, spent{now, cost(c)})
		if creates(c) {
			u.creates = append(u.creates, now)
		}
	}
	resource := "core"
	if c.path == "/graphql" {
		resource = "graphql"
	}
	for name, value := range s.rate(u) {
		a.header.Set("X-RateLimit-"+strings.ToUpper(name[:1])+name[1:], fmt.Sprint(value))
	}
	if c.who.scopes != nil {
		a.header.Set("X-OAuth-Scopes", strings.Join(c.who.scopes, ", "))
	}
	a.header.Set("X-RateLimit-Resource", resource)
	a.header.Set("X-GitHub-Request-Id", fmt.Sprintf("FAKE:%06d", len(s.requests)))
}

func (s *Server) rate(u *usage) obj {
	limit := s.opts.Limits.PerHour
	return obj{"limit": limit, "remaining": max(0, limit-u.used), "used": min(limit, u.used), "reset": u.reset.Unix()}
}

func getRateLimit(c *call) (*answer, error) {
	rate := c.s.rate(c.s.usageOf(c.who))
	return ok(obj{"resources": obj{"core": rate, "graphql": rate, "search": rate}, "rate": rate})
}
