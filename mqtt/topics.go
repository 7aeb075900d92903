package mqtt

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	// topicAliasMaximum is how many topic aliases a client may have.
	topicAliasMaximum = 32
	// topicLevels is how many levels a topic or filter may have: the time to match one grows with the square of it.
	topicLevels = 128
	// topicsKept is how many topics a connection remembers what was decided about; their names are topicBytes at most.
	topicsKept = 64
	topicBytes = 256
)

// topic is a topic that a client publishes to, with all that is decided about it.
type topic struct {
	name     string
	captured bool         // it goes through the log
	refused  packets.Code // why the client may not publish to it; Code 0 if it may
}

// topics remembers the decisions about the topics that a connection publishes to: it allocates only for new ones.
type topics struct {
	last  *topic
	known map[string]*topic
}

// topic returns what is decided about name. An error means that no topic can be called that.
func (c *conn) topic(name []byte) (*topic, error) {
	if c.topics.last != nil && c.topics.last.name == string(name) {
		return c.topics.last, nil
	}
	t := c.topics.known[string(name)]
	if t == nil {
		if err := validTopicName(name); err != nil {
			return nil, err
		}
		t = c.decide(string(name))
		if len(c.topics.known) >= topicsKept {
			clear(c.topics.known)
		}
		if len(name) <= topicBytes {
			if c.topics.known == nil {
				c.topics.known = map[string]*topic{}
			}
			c.topics.known[t.name] = t
		}
	}
	c.topics.last = t
	return t, nil
}

func (c *conn) decide(name string) *topic {
	t := &topic{name: name}
	switch {
	case name[0] == '$': // the server's own (MQTT 5.0 section 4.7.2)
		t.refused = packets.ErrNotAuthorized
	case strings.Count(name, "/") >= topicLevels:
		t.refused = packets.ErrTopicNameInvalid
	case !c.b.o.Policy.Allowed(c.user, c.id, name, true):
		t.refused = packets.ErrNotAuthorized
	default:
		t.captured = c.b.o.Capture.Match(name)
	}
	return t
}

// validTopicName refuses what is malformed (MQTT 5.0 sections 1.5.4 and 3.3.2.1).
func validTopicName(name []byte) error {
	switch {
	case len(name) == 0:
		return packets.ErrProtocolViolationNoTopic
	case !utf8.Valid(name) || bytes.IndexByte(name, 0) >= 0:
		return packets.ErrMalformedInvalidUTF8
	case bytes.ContainsAny(name, "+#"):
		return packets.ErrTopicNameInvalid
	}
	return nil
}

// resolve finds the topic of a publish, by its name or its alias, and sets the alias if both are there (MQTT 5.0
// section 3.3.2.3.4).
func (c *conn) resolve(name []byte, props *packets.Properties) (*topic, error) {
	alias := uint16(0)
	if props != nil && props.TopicAliasFlag {
		alias = props.TopicAlias
	}
	if len(name) == 0 && alias > 0 {
		if t := c.aliases[alias]; t != nil {
			return t, nil
		}
		return nil, packets.ErrTopicAliasInvalid
	}
	t, err := c.topic(name)
	if err != nil || alias == 0 {
		return t, err
	}
	if c.aliases == nil {
		c.aliases = map[uint16]*topic{}
	}
	c.aliases[alias] = t
	return t, nil
}
