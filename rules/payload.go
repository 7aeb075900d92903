package rules

import "encoding/json"

// Bounds of a payload that is parsed; beyond them data is nil.
const (
	maxPayload      = 256 << 10 // bytes
	maxPayloadDepth = 64        // lists and objects in each other
)

// parsePayload returns what the JSON in payload says, with numbers as float64; nil if it is not JSON or is beyond the
// bounds. Whether it is JSON is seen in the payload, because most devices do not say it.
func parsePayload(payload []byte) any {
	if len(payload) == 0 || len(payload) > maxPayload || !shallow(payload) {
		return nil
	}
	var data any
	if json.Unmarshal(payload, &data) != nil {
		return nil
	}
	return data
}

// shallow says that no place of the JSON text is deeper than maxPayloadDepth.
func shallow(text []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > maxPayloadDepth {
				return false
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return true
}
