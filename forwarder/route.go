package forwarder

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gateway"
)

// Route says which events are delivered, and how. An event goes by the first route that takes it; one that none takes is skipped.
type Route struct {
	// Match are topic filters on the event's topic, of which one must match. None: every topic.
	Match []string `json:"match,omitempty"`
	// Where is a further condition in the language of Options.Compile, "" for none.
	Where string `json:"where,omitempty"`
	// Priority is 0 to 9. What has a higher one overtakes; events of the same priority keep their order.
	Priority int `json:"priority,omitempty"`
	// TTL is how old an event may get, from when it was received; then it goes to the dead letters instead. 0: any age.
	TTL time.Duration `json:"-"`
}

// MaxPriority is the highest priority of a route.
const MaxPriority = 9

func (r *Route) check() error {
	var errs []error
	for _, filter := range r.Match {
		if err := gateway.ValidFilter(filter); err != nil {
			errs = append(errs, fmt.Errorf("match: %q: %w", filter, err))
		}
	}
	if r.Priority < 0 || r.Priority > MaxPriority {
		errs = append(errs, fmt.Errorf("priority: %d is out of range; use 0 to %d", r.Priority, MaxPriority))
	}
	if r.TTL < 0 {
		errs = append(errs, fmt.Errorf("ttl: %s must not be negative", r.TTL))
	}
	return errors.Join(errs...)
}

// Condition says whether an event fulfils it. An error means that it says nothing about this event, which then does not go by
// the route; it is counted. Safe for concurrent use.
type Condition func(e *gateway.Event) (bool, error)

// Compiler makes a condition of its text.
type Compiler func(where string) (Condition, error)

// routing is all routes of a forwarder.
type routing struct {
	routes     []Route
	conditions []Condition // of routes; nil where there is none
	priorities []int       // that there are, the highest first
}

func newRouting(routes []Route, compile Compiler) (*routing, error) {
	r := &routing{routes: routes, conditions: make([]Condition, len(routes))}
	for i := range routes {
		r.priorities = append(r.priorities, routes[i].Priority)
		if routes[i].Where == "" {
			continue
		}
		if compile == nil {
			return nil, fmt.Errorf("where: %q: there is nothing to compile it with", routes[i].Where)
		}
		var err error
		if r.conditions[i], err = compile(routes[i].Where); err != nil {
			return nil, fmt.Errorf("where: %q: %w", routes[i].Where, err)
		}
	}
	if len(routes) == 0 {
		r.priorities = []int{0}
	}
	slices.Sort(r.priorities)
	slices.Reverse(r.priorities)
	r.priorities = slices.Compact(r.priorities)
	return r, nil
}

// lowest is the lowest priority.
func (r *routing) lowest() int { return r.priorities[len(r.priorities)-1] }

// all says that every event goes by the same route.
func (r *routing) all() bool {
	return len(r.routes) == 0 || len(r.routes) == 1 && len(r.routes[0].Match) == 0 && r.routes[0].Where == ""
}

// of returns the route of e, nil if none takes it; undecided counts the conditions that said nothing.
func (r *routing) of(e *gateway.Event) (route *Route, undecided uint64) {
	route, errs := r.decide(e)
	return route, uint64(len(errs))
}

// decide is of, with what the conditions said that said nothing.
func (r *routing) decide(e *gateway.Event) (route *Route, undecided []error) {
	if len(r.routes) == 0 {
		return anyRoute, nil
	}
	topic := e.Topic()
	for i := range r.routes {
		route := &r.routes[i]
		if len(route.Match) > 0 && !slices.ContainsFunc(route.Match, func(filter string) bool { return gateway.MatchTopic(filter, topic) }) {
			continue
		}
		if r.conditions[i] == nil {
			return route, undecided
		}
		ok, err := r.conditions[i](e)
		if err != nil {
			undecided = append(undecided, fmt.Errorf("the condition of route %d says nothing about it: %w", i+1, err))
		}
		if ok && err == nil {
			return route, undecided
		}
	}
	return nil, undecided
}

// anyRoute is that of a forwarder without routes, and of gaps.
var anyRoute = &Route{}

// isGap says that e stands for what was lost.
func isGap(e *gateway.Event) bool { return e.Type == gateway.TypeGap && e.Subject == gateway.TopicGap }

// expiry is when e is not worth delivering any more, false if it always is. ttl counts from when it was received, the
// attribute expirytime is a time (RFC 3339).
func expiry(e *gateway.Entry, r *Route) (at time.Time, ok bool) {
	if r.TTL > 0 {
		at, ok = e.Received.Add(r.TTL), true
	}
	if text := e.Event.Extensions[gateway.ExtExpiry]; text != "" {
		if own, err := time.Parse(time.RFC3339, text); err == nil && (!ok || own.Before(at)) {
			at, ok = own, true
		}
	}
	return at, ok
}

// errExpired is the cause of a dead letter.
var errExpired = fmt.Errorf("%w: it was not delivered in time", gateway.ErrExpired)
