package gateway

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
)

// An event that passes through a gateway which did not make it carries that gateway's id in ExtPath, behind those of the gateways before, and
// the number of them in ExtHops; the gateway that made an event stands in its source. So a gateway knows what it had before.
const (
	ExtPath = "gatewaypath" // identities, with a space between them
	ExtHops = "gatewayhops"
	// MaxHops is through how many gateways an event may go.
	MaxHops = 8
)

// Identity tells a gateway from all others: its configured id, and the id of its log, because two may have been given one id, such as the name of a machine
// that came with its system.
type Identity struct{ ID, Log string }

// String is how the identity stands in a path.
func (i Identity) String() string {
	if i.Log == "" {
		return url.PathEscape(i.ID)
	}
	return url.PathEscape(i.ID) + "~" + i.Log
}

// made says whether this gateway made e: then its source begins with the gateway's id, and its ID with that of its log.
func (i Identity) made(e *Event) bool {
	return strings.HasPrefix(e.Source, "//"+url.PathEscape(i.ID)+"/") && (i.Log == "" || strings.HasPrefix(e.ID, i.Log+"."))
}

// Loops says why the gateway with that identity does not take e in: it had the event before, or too many gateways had. "" if it takes it.
//
// Over MQTT 3 nothing says that a payload is a CloudEvent, so a gateway keeps what another one sends as the data of an event of its own: that is looked into.
func (e *Event) Loops(self Identity) string {
	return e.loops(self, 0)
}

func (e *Event) loops(self Identity, depth int) string {
	path := e.Extensions[ExtPath]
	switch {
	case depth > 0 && self.made(e):
		return "this gateway made the event " + e.ID
	case path != "" && containsField(path, self.String()):
		return fmt.Sprintf("the event %s of %s went through this gateway before", e.ID, e.Source)
	case hops(e) >= MaxHops || depth >= MaxHops:
		return fmt.Sprintf("the event %s of %s went through %d gateways", e.ID, e.Source, max(hops(e), depth))
	}
	if inner, ok := e.inner(); ok {
		return inner.loops(self, depth+1)
	}
	return ""
}

// LoopsFrom is Loops for an event as another system sent it, whose source is its own word.
func (e *Event) LoopsFrom(self Identity) string { return e.loops(self, 1) }

// inner is the event that a gateway has sent as e's data.
func (e *Event) inner() (Event, bool) {
	if !bytes.HasPrefix(e.Data, []byte(`{"specversion":"1.0","id":`)) {
		return Event{}, false
	}
	inner, err := ParseJSON(e.Data)
	return inner, err == nil
}

// Pass adds the gateway with that identity to e's path. The map of extensions is e's own afterwards.
func (e *Event) Pass(self Identity) {
	if self.made(e) {
		return
	}
	ext := maps.Clone(e.Extensions)
	if ext == nil {
		ext = map[string]string{}
	}
	ext[ExtPath] = strings.TrimSpace(ext[ExtPath] + " " + self.String())
	ext[ExtHops] = strconv.Itoa(hops(e) + 1)
	e.Extensions = ext
}

func hops(e *Event) int {
	n, _ := strconv.Atoi(e.Extensions[ExtHops]) // what is no number is none
	return max(n, len(strings.Fields(e.Extensions[ExtPath])))
}

func containsField(text, field string) bool {
	for f := range strings.FieldsSeq(text) {
		if f == field {
			return true
		}
	}
	return false
}
