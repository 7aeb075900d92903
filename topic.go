package gateway

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ValidTopic says what keeps topic from being a name that can be published to (MQTT 5.0 section 4.7), nil if nothing does.
func ValidTopic(topic string) error {
	if err := validTopicText(topic); err != nil {
		return err
	}
	if strings.ContainsAny(topic, "+#") {
		return errors.New("a topic to publish to cannot have the wildcards + or #")
	}
	return nil
}

// ValidFilter says what keeps filter from being a topic filter (MQTT 5.0 section 4.7), nil if nothing does.
func ValidFilter(filter string) error {
	if err := validTopicText(filter); err != nil {
		return err
	}
	for i, level := range strings.Split(filter, "/") {
		if strings.Contains(level, "#") && (level != "#" || i != strings.Count(filter, "/")) {
			return errors.New("the wildcard # must be the whole last level, as in \"a/b/#\"")
		}
		if strings.Contains(level, "+") && level != "+" {
			return errors.New("the wildcard + must be a whole level, as in \"a/+/c\"")
		}
	}
	return nil
}

func validTopicText(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty")
	case len(s) > 65535:
		return fmt.Errorf("it has %d bytes, the most is 65535", len(s))
	case !utf8.ValidString(s):
		return errors.New("it is not valid UTF-8")
	case strings.IndexByte(s, 0) >= 0:
		return errors.New("it has a NUL character")
	}
	return nil
}

// MatchTopic says whether the valid filter matches the valid topic (MQTT 5.0 sections 4.7.1 and 4.7.2: a wildcard
// at the start does not match a topic that begins with $). It allocates nothing.
func MatchTopic(filter, topic string) bool {
	if topic != "" && topic[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		want, restFilter, moreFilter := strings.Cut(filter, "/")
		if want == "#" {
			return true
		}
		have, restTopic, moreTopic := strings.Cut(topic, "/")
		if want != "+" && want != have {
			return false
		}
		if !moreTopic {
			return !moreFilter || restFilter == "#"
		}
		if !moreFilter {
			return false
		}
		filter, topic = restFilter, restTopic
	}
}
