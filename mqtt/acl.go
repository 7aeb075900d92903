package mqtt

import (
	"errors"
	"fmt"
	"strings"

	"gateway"
)

// Values of Rule.Access.
const (
	AccessRead      = "read"      // subscribe, and be delivered to
	AccessWrite     = "write"     // publish, wills included
	AccessReadWrite = "readwrite" // both
)

// Rule allows something; what no rule allows is refused. Without any rule every client that may connect may do everything.
type Rule struct {
	// User is the name that the rule is for, "*" for every user (and for clients without one, where no user is configured).
	User string
	// Access is AccessRead, AccessWrite or AccessReadWrite.
	Access string
	// Topic is a topic filter. In it %u stands for the user's name and %c for the client id.
	Topic string
}

// rule is a Rule taken apart, so that a check allocates nothing.
type rule struct {
	user        string // "" = every user
	read, write bool
	levels      []level
}

// level is one level of a rule's filter: "+", "#", or text with placeholders.
type level struct {
	text  string   // as written; decides if parts is nil
	parts []string // what lies between the placeholders, and the placeholders "%u" and "%c" themselves
}

func parseRule(r Rule) (rule, error) {
	if r.User == "" {
		return rule{}, errors.New("user is empty: give a name, or \"*\" for every user")
	}
	if r.User != "*" {
		if err := validUserName(r.User); err != nil {
			return rule{}, err
		}
	}
	parsed := rule{
		user:  strings.TrimPrefix(r.User, "*"),
		read:  r.Access == AccessRead || r.Access == AccessReadWrite,
		write: r.Access == AccessWrite || r.Access == AccessReadWrite,
	}
	if !parsed.read && !parsed.write {
		return rule{}, fmt.Errorf("access is %q, allowed are %s, %s and %s", r.Access, AccessRead, AccessWrite, AccessReadWrite)
	}
	if err := gateway.ValidFilter(r.Topic); err != nil {
		return rule{}, fmt.Errorf("topic %q: %w", r.Topic, err)
	}
	for text := range strings.SplitSeq(r.Topic, "/") {
		parsed.levels = append(parsed.levels, parseLevel(text))
	}
	return parsed, nil
}

func parseLevel(text string) level {
	l := level{text: text}
	rest := text
	for i := 0; i+1 < len(rest); {
		if rest[i] != '%' || rest[i+1] != 'u' && rest[i+1] != 'c' {
			i++
			continue
		}
		if i > 0 {
			l.parts = append(l.parts, rest[:i])
		}
		l.parts = append(l.parts, rest[i:i+2])
		rest, i = rest[i+2:], 0
	}
	if l.parts != nil && rest != "" {
		l.parts = append(l.parts, rest)
	}
	return l
}

// is says whether the level, with its placeholders filled in, is the text want.
func (l *level) is(want, user, clientID string) bool {
	if l.parts == nil {
		return l.text == want
	}
	for _, part := range l.parts {
		switch part {
		case "%u":
			part = user
		case "%c":
			part = clientID
		}
		rest, ok := strings.CutPrefix(want, part)
		if !ok || !neutral(part) {
			return false
		}
		want = rest
	}
	return want == ""
}

// neutral says whether a name can stand in for a placeholder: nothing that means something in a filter, and not
// empty. What stands around a placeholder is neutral too: it is part of one level of a valid filter.
func neutral(s string) bool { return s != "" && !strings.ContainsAny(s, "/+#\x00") }

func (r *rule) allows(user, clientID, filter string, write bool) bool {
	if write && !r.write || !write && !r.read || r.user != "" && r.user != user {
		return false
	}
	return covers(r.levels, user, clientID, filter)
}

// covers says whether every topic that the filter matches is matched by the rule (MQTT 5.0 section 4.7). A topic is
// a filter that matches itself.
func covers(levels []level, user, clientID, filter string) bool {
	if filter == "" {
		return false
	}
	if filter[0] == '$' && !strings.HasPrefix(levels[0].text, "$") {
		return false // neither a wildcard nor a name in the first place reaches topics of the server
	}
	slash := filter[0] == '/'
	for i := range levels {
		want := &levels[i]
		if want.text == "#" {
			return true
		}
		have, rest, more := strings.Cut(filter, "/")
		if have == "#" {
			// No topic is empty, so # stands for one level at least where it is all of the filter, or /# is.
			some := i == 0 || i == 1 && slash
			return some && want.text == "+" && i == len(levels)-2 && levels[i+1].text == "#"
		}
		if want.text != "+" && (have == "+" || !want.is(have, user, clientID)) {
			return false
		}
		last := i == len(levels)-1
		if !more {
			return last || i == len(levels)-2 && levels[i+1].text == "#"
		}
		if last {
			return false
		}
		filter = rest
	}
	return false
}
