package devices

import (
	"encoding/json"
	"net/url"
)

// encode is v as JSON. What devices encode always can be.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil { // a NaN, say: what is wrong is better than nothing
		data, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return data
}

// escapeID makes a gateway's id a part of a URI reference.
func escapeID(id string) string { return url.PathEscape(id) }
