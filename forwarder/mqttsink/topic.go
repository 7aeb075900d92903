package mqttsink

import (
	"errors"
	"fmt"
	"strings"

	"gateway"
)

// part is a piece of a topic template: fixed text, or what field returns of an event.
type part struct {
	text  string
	field func(*gateway.Event) string
}

// template makes the topic of an event.
type template []part

// parseTemplate reads Options.Topic.
func parseTemplate(o *Options) (template, error) {
	var t template
	for rest := o.Topic; rest != ""; {
		text, after, open := strings.Cut(rest, "{")
		if text != "" {
			t = append(t, part{text: text})
		}
		if !open {
			break
		}
		name, next, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("topic: %q has a { without }", o.Topic)
		}
		p, ok := placeholder(name, o)
		if !ok {
			return nil, fmt.Errorf("topic: {%s} is not known; use {prefix}, {topic}, {subject}, {source}, {type} and {gateway}", name)
		}
		t = append(t, p)
		rest = next
	}
	for _, p := range t {
		if err := validPart(p.text); err != nil {
			return nil, fmt.Errorf("topic: %q with the prefix %q: %w", o.Topic, o.TopicPrefix, err)
		}
	}
	if len(t) == 0 {
		return nil, errors.New(`topic: it is empty; use "{prefix}{topic}" for the topic that the event came on`)
	}
	return t, nil
}

func placeholder(name string, o *Options) (part, bool) {
	switch name {
	case "prefix":
		return part{text: o.TopicPrefix}, true
	case "gateway":
		return part{text: o.Gateway}, true
	case "topic":
		return part{field: (*gateway.Event).Topic}, true
	case "subject":
		return part{field: func(e *gateway.Event) string { return e.Subject }}, true
	case "source":
		return part{field: func(e *gateway.Event) string { return e.Source }}, true
	case "type":
		return part{field: func(e *gateway.Event) string { return e.Type }}, true
	}
	return part{}, false
}

// append appends the topic of e to dst. An error says why e has none that can be published to.
func (t template) append(dst []byte, e *gateway.Event) ([]byte, error) {
	start := len(dst)
	for _, p := range t {
		text := p.text
		if p.field != nil {
			text = p.field(e)
			if err := validPart(text); err != nil {
				return dst, fmt.Errorf("the topic made of %.128q: %w", text, err)
			}
		}
		dst = append(dst, text...)
	}
	switch n := len(dst) - start; {
	case n == 0:
		return dst, errors.New("the topic made of it is empty")
	case n > 65535:
		return dst, fmt.Errorf("the topic made of it has %d bytes, the most is 65535", n)
	}
	return dst, nil
}

func validPart(text string) error {
	if text == "" {
		return nil
	}
	if err := gateway.ValidTopic(text); err != nil {
		return err
	}
	return disallowed(text)
}

// disallowed names a character for which a broker may close the connection (MQTT 3.1.1 section 1.5.3), as Mosquitto
// does: one event would hold up all others for ever.
func disallowed(text string) error {
	for _, r := range text {
		control := r < 0x20 || r >= 0x7f && r < 0xa0
		if nonCharacter := r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe; control || nonCharacter {
			return fmt.Errorf("it has the character U+%04X, for which a broker may close the connection", r)
		}
	}
	return nil
}
