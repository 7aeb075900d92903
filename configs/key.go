package configs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gateway/devices"
)

// Kind is what a key holds, in the words that people read.
type Kind string

// The kinds of keys.
const (
	KindSection   Kind = "section"
	KindSections  Kind = "list of sections"
	KindText      Kind = "text"
	KindChoice    Kind = "choice"
	KindNumber    Kind = "number"
	KindSize      Kind = "size"
	KindDuration  Kind = "duration"
	KindPath      Kind = "path"
	KindSecret    Kind = "secret"
	KindURL       Kind = "URL"
	KindAddress   Kind = "address"
	KindAddresses Kind = "address or list of addresses"
	KindFilter    Kind = "topic filter"
	KindFilters   Kind = "list of topic filters"
	KindWindows   Kind = "list of times of day"
	KindTexts     Kind = "list of texts"
	KindDecimal   Kind = "decimal number"
	KindTruth     Kind = "true or false"
)

// Key is one row of the table that describes the configuration.
type Key struct {
	// Path is where it stands; [] is each element of a list: "forwarders[].sink.url".
	Path string `json:"path"`
	Kind Kind   `json:"type"`
	// Choices are the values allowed, for a KindChoice.
	Choices []string `json:"choices,omitempty"`
	// Required says that the section that the key belongs to cannot do without it.
	Required bool `json:"required,omitempty"`
	// Default is what holds where the key is left out, as people write it.
	Default string `json:"default,omitempty"`
	// Types are the types of sinks, or of devices, that the key belongs to; none for all.
	Types []string `json:"types,omitempty"`
	// Help says in a sentence what it does.
	Help string `json:"help"`
	// Example is the YAML that the example file has for it; "" for its default.
	Example string `json:"-"`
	// Off leaves it in the example file as a comment.
	Off bool `json:"-"`

	// place is where the value goes; i is the element of the list that the path goes through.
	place func(c *Config, i int) any
	// check says what is wrong with a text, and what is allowed.
	check func(string) error
	// least and most bound numbers, sizes and durations (in their units: 1, byte, nanosecond); most 0: no bound.
	least, most int64
	// bare says that a text may be a number without quotes.
	bare bool
}

// of says whether the key belongs to that type; "" is a type that is not known.
func (k *Key) of(kind string) bool {
	return len(k.Types) == 0 || kind == "" || slices.Contains(k.Types, kind)
}

// name is the last part of the path, without [].
func (k *Key) name() string {
	return strings.TrimSuffix(k.Path[strings.LastIndexByte(k.Path, '.')+1:], "[]")
}

// parent is the path of the section that the key is in, "" for the file itself.
func (k *Key) parent() string {
	return k.Path[:max(0, strings.LastIndexByte(k.Path, '.'))]
}

// Keys is the table of every key, in the order of the example file.
func Keys() []Key {
	keys := slices.Concat(gatewayKeys(), brokerKeys(), forwarderKeys(), sourceKeys(), deviceKeys())
	c := Default()
	c.MQTT.TLS = defaultTLSListener()
	c.MQTT.ACL = []Rule{{}}
	c.Forwarders, c.Sources = []Forwarder{defaultForwarder()}, []Source{defaultSource()}
	c.Forwarders[0].Routes = []Route{defaultRoute()}
	for i := range keys {
		if k := &keys[i]; k.Default == "" && k.place != nil {
			c.Devices = []devices.Spec{defaultDevice("")}
			if len(k.Types) > 0 {
				c.Devices[0] = defaultDevice(k.Types[0])
			}
			c.Devices[0].Adjust = []devices.Adjust{devices.DefaultAdjust()}
			k.Default = format(k.place(c, 0), k.Kind)
		}
	}
	return keys
}

// format writes the value at a place as people write it.
func format(place any, kind Kind) string {
	switch v := place.(type) {
	case *string:
		return *v
	case *int:
		return fmt.Sprint(*v)
	case *int64:
		return FormatSize(*v)
	case *time.Duration:
		return FormatDuration(*v)
	case *float64:
		return strconv.FormatFloat(*v, 'f', -1, 64)
	case *uint64:
		return strconv.FormatUint(*v, 10)
	case *bool:
		return strconv.FormatBool(*v)
	case *[]string:
		if kind == KindAddresses && len(*v) == 1 {
			return (*v)[0]
		}
		return listYAML(*v)
	}
	return ""
}

func listYAML(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = scalarYAML(item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// scalarYAML quotes what YAML would otherwise read as something else than text.
func scalarYAML(s string) string {
	if s == "" || strings.ContainsAny(s, "#*&!|>'\"%@`{}[],?$") || strings.Contains(s, ": ") || strings.HasPrefix(s, "-") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// tree finds the rows of the table by their paths.
type tree struct {
	keys     map[string]*Key   // by Path, and by Path and type with a space between them
	children map[string][]*Key // by the parent's Path
}

func newTree() *tree {
	keys := Keys()
	t := &tree{keys: map[string]*Key{}, children: map[string][]*Key{}}
	for i := range keys {
		k := &keys[i]
		if t.keys[k.Path] == nil {
			t.keys[k.Path] = k
		}
		for _, kind := range k.Types {
			t.keys[k.Path+" "+kind] = k
		}
		t.children[k.parent()] = append(t.children[k.parent()], k)
	}
	return t
}

// find is the key at path, of that type where several have one there.
func (t *tree) find(path, kind string) *Key {
	if k := t.keys[path+" "+kind]; k != nil {
		return k
	}
	return t.keys[path]
}
