package mqtt

import (
	"errors"
	"fmt"
	"strings"

	"gateway"
)

// localTopic makes the topic of an event: pieces of text, and what the functions return of the event.
type localTopic []func(*gateway.Event) string

// parseLocalTopic reads LocalOptions.Topic.
func parseLocalTopic(o *LocalOptions) (localTopic, error) {
	if o.Topic == "" {
		return nil, errors.New(`topic: it is empty; use "{topic}" for the topic that the event came on`)
	}
	var t localTopic
	fixed := func(text string) error {
		if text == "" {
			return nil
		}
		t = append(t, func(*gateway.Event) string { return text })
		return gateway.ValidTopic(text)
	}
	for rest := o.Topic; rest != ""; {
		text, after, open := strings.Cut(rest, "{")
		name, next, closed := strings.Cut(after, "}")
		err := fixed(text)
		switch {
		case !open || err != nil:
		case !closed:
			return nil, fmt.Errorf("topic: %q has a { without }", o.Topic)
		case name == "prefix":
			err = fixed(o.Prefix)
		case name == "topic":
			t = append(t, (*gateway.Event).Topic)
		case name == "subject":
			t = append(t, func(e *gateway.Event) string { return e.Subject })
		default:
			return nil, fmt.Errorf("topic: {%s} is not known; use {prefix}, {topic} and {subject}", name)
		}
		if err != nil {
			return nil, fmt.Errorf("topic: %q with the prefix %q: %w", o.Topic, o.Prefix, err)
		}
		rest = next
	}
	return t, nil
}

// of returns the topic of e. An error says why nothing can be published to it.
func (t localTopic) of(e *gateway.Event) (string, error) {
	var b strings.Builder
	for _, part := range t {
		b.WriteString(part(e))
	}
	topic := b.String()
	err := gateway.ValidTopic(topic)
	switch {
	case err != nil:
	case topic[0] == '$':
		err = errors.New("what begins with $ is the broker's own")
	case strings.Count(topic, "/") >= topicLevels:
		err = fmt.Errorf("it has more than %d levels", topicLevels)
	default:
		return topic, nil
	}
	return "", fmt.Errorf("publish locally to the topic %.128q: %w", topic, err)
}
