package mqtt

import (
	"errors"
	"fmt"

	"gateway"
)

// Capture says which topics go through the log. The rest is acknowledged at once and routed to local subscribers,
// unlogged, so that chatter does not wear the card.
type Capture struct {
	// Include are topic filters; none means "#", which leaves out the topics that begin with $.
	Include []string
	// Exclude are topic filters that win over Include.
	Exclude []string
}

// Match says whether the valid topic goes through the log. Safe for concurrent use; it allocates nothing.
func (c *Capture) Match(topic string) bool {
	for _, filter := range c.Exclude {
		if gateway.MatchTopic(filter, topic) {
			return false
		}
	}
	if len(c.Include) == 0 {
		return topic == "" || topic[0] != '$'
	}
	for _, filter := range c.Include {
		if gateway.MatchTopic(filter, topic) {
			return true
		}
	}
	return false
}

// Validate returns everything that is wrong with the filters, nil if nothing is.
func (c *Capture) Validate() error {
	var wrong []error
	check := func(list string, filters []string) {
		for i, filter := range filters {
			if err := gateway.ValidFilter(filter); err != nil {
				wrong = append(wrong, fmt.Errorf("capture %s %d: topic filter %q: %w", list, i+1, filter, err))
			}
		}
	}
	check("include", c.Include)
	check("exclude", c.Exclude)
	return errors.Join(wrong...)
}
