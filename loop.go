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
	ExtPath = "gatewaypath" // ids, percent-encoded, with a space between them
	ExtHops = "gatewayhops"
	// MaxHops is through how many gateways an event may go.
	MaxHops = 8
)

// Loops says why the gateway with that id does not take e in: it had the event before, or too many gateways had. "" if it takes it.
//
// Over MQTT 3 nothing says that a payload is a CloudEvent, so a gateway keeps what another one sends as the data of an event of its own: that is looked into.
func (e *Event) Loops(id string) string {
	return e.loops(id, 0)
}

func (e *Event) loops(id string, depth int) string {
	own := url.PathEscape(id)
	path := e.Extensions[ExtPath]
	switch {
	case depth > 0 && strings.HasPrefix(e.Source, "//"+own+"/"):
		return "this gateway made the event " + e.ID
	case path != "" && containsField(path, own):
		return fmt.Sprintf("the event %s of %s went through this gateway before", e.ID, e.Source)
	case hops(e) >= MaxHops || depth >= MaxHops:
		return fmt.Sprintf("the event %s of %s went through %d gateways", e.ID, e.Source, max(hops(e), depth))
	}
	if inner, ok := e.inner(); ok {
		return inner.loops(id, depth+1)
	}
	return ""
}

// LoopsFrom is Loops for an event as another system sent it, whose source is its own word.
func (e *Event) LoopsFrom(id string) string { return e.loops(id, 1) }

// inner is the event that a gateway has sent as e's data.
func (e *Event) inner() (Event, bool) {
	if !bytes.HasPrefix(e.Data, []byte(`{"specversion":"1.0","id":`)) {
		return Event{}, false
	}
	inner, err := ParseJSON(e.Data)
	return inner, err == nil
}

// Pass adds the gateway with that id to e's path. The map of extensions is e's own afterwards.
func (e *Event) Pass(id string) {
	own := url.PathEscape(id)
	if strings.HasPrefix(e.Source, "//"+own+"/") {
		return
	}
	ext := maps.Clone(e.Extensions)
	if ext == nil {
		ext = map[string]string{}
	}
	ext[ExtPath] = strings.TrimSpace(ext[ExtPath] + " " + own)
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
