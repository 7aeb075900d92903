package mqtt

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"
)

// printable says whether s can be an attribute of a CloudEvent as it is: valid UTF-8 without control characters
// (CloudEvents 1.0, "Type System", String).
func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f {
			return printableUnicode(s[i:])
		}
	}
	return true
}

func printableUnicode(s string) bool {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r < 0x20 || r >= 0x7f && r < 0xa0 {
			return false
		}
		i += n
	}
	return true
}

// attribute is s if it is printable, and s percent-encoded if not.
func attribute(s string) string {
	if printable(s) {
		return s
	}
	return percentEncode(s)
}

// percentEncode writes the percent sign and every byte that keeps s from being printable as %XX.
func percentEncode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if s[i] != '%' && printableUnicode(s[i:i+n]) && r != utf8.RuneError || n == 3 && r == utf8.RuneError {
			b.WriteString(s[i : i+n])
			i += n
			continue
		}
		for _, c := range []byte(s[i : i+n]) {
			fmt.Fprintf(&b, "%%%02X", c)
		}
		i += n
	}
	return b.String()
}

// shorten cuts s to at most limit bytes, between characters.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// propertiesJSON writes user properties as a JSON array of [name, value] pairs, without those that skip (if not nil)
// names; "" if none is left. Control characters are escaped, so that the text can be an attribute.
func propertiesJSON(props []packets.UserProperty, skip func(name string) bool) string {
	var b []byte
	for _, p := range props {
		if skip != nil && skip(p.Key) {
			continue
		}
		if b == nil {
			b = append(b, '[')
		} else {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = appendQuoted(b, p.Key)
		b = append(b, ',')
		b = appendQuoted(b, p.Val)
		b = append(b, ']')
	}
	if b == nil {
		return ""
	}
	return string(append(b, ']'))
}

// appendQuoted appends s as a JSON string. What is not UTF-8 becomes U+FFFD: MQTT does not allow it.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			b = fmt.Appendf(b, "\\u%04x", r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
