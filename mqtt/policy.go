package mqtt

import (
	"errors"
	"fmt"
	"strings"

	"gateway"
)

// Policy says who may connect and what they may publish and subscribe to. It does not change; safe for concurrent use.
type Policy struct {
	logins *logins
	rules  []rule
}

// NewPolicy reads the users file ("" or one that does not exist: no users) and checks the rules; the error has all
// that is wrong with them. With no users everybody may connect: see Anonymous.
func NewPolicy(usersFile string, rules []Rule) (*Policy, error) {
	users := &Users{}
	if usersFile != "" {
		loaded, err := LoadUsers(usersFile)
		if err != nil {
			return nil, err
		}
		users = loaded
	}
	p := &Policy{}
	var wrong []error
	for i, r := range rules {
		parsed, err := parseRule(r)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("access rule %d: %w", i+1, err))
			continue
		}
		p.rules = append(p.rules, parsed)
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	var err error
	if p.logins, err = newLogins(users); err != nil {
		return nil, fmt.Errorf("users file: %w", err)
	}
	return p, nil
}

// Anonymous says that no user is configured: everybody may connect, so the broker should listen on loopback only.
func (p *Policy) Anonymous() bool { return len(p.logins.accounts) == 0 }

// Authenticate says whether the client may connect: always where no user is configured, else with the password of a
// user. It takes as long for an unknown user as for a wrong password, a second on a small computer, and longer when
// many come at once; a login that was seen to be right before takes no time.
func (p *Policy) Authenticate(user string, password []byte) bool {
	return p.Anonymous() || p.logins.check(user, password)
}

// Allowed says whether the client may publish to topic (write), subscribe to the filter topic, or be sent what was
// published to topic. A subscription is allowed if one rule covers all of it; a shared one ($share/group/filter) by
// its filter. It allocates nothing.
func (p *Policy) Allowed(user, clientID, topic string, write bool) bool {
	if !write {
		var ok bool
		if topic, ok = withoutShare(topic); !ok {
			return false
		}
	}
	if len(p.rules) == 0 {
		return true
	}
	if write && strings.ContainsAny(topic, "+#") {
		return false
	}
	for i := range p.rules {
		if p.rules[i].allows(user, clientID, topic, write) {
			return true
		}
	}
	return false
}

// withoutShare returns the filter of a subscription (MQTT 5.0 section 4.8.2); false for a shared one that has no
// group or no filter. mochi takes $SHARE in any case for the prefix, so this does too.
func withoutShare(filter string) (string, bool) {
	prefix, rest, more := strings.Cut(filter, "/")
	if !strings.EqualFold(prefix, "$share") {
		return filter, true
	}
	group, shared, ok := strings.Cut(rest, "/")
	if !more || !ok || group == "" || strings.ContainsAny(group, "+#") || gateway.ValidFilter(shared) != nil {
		return "", false
	}
	return shared, true
}
