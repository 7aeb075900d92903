package mqtt

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"unicode/utf8"
)

// Media types that sniff tells apart.
const (
	typeJSON   = "application/json"
	typeText   = "text/plain"
	typeBinary = "application/octet-stream"
)

// sniff says what a payload is that comes without a content type: one JSON value in UTF-8 (a bare number too), else
// printable UTF-8 (with tabs and line breaks), else binary; "" for an empty one. It reads each byte once or twice and
// allocates nothing, but for JSON that is nested more than 64 deep.
func sniff(data []byte) string {
	switch {
	case len(data) == 0:
		return ""
	case isJSON(data):
		return typeJSON
	case isText(data):
		return typeText
	}
	return typeBinary
}

// Eight bytes of the same value, to look at eight bytes of text at once.
const (
	ones   = 0x0101010101010101
	spaces = 0x20 * ones
	quotes = '"' * ones
	slants = '\\' * ones
	dels   = 0x7f * ones
	highs  = 0x80 * ones
)

// zeros has the high bit of the lowest byte of x that is 0, and perhaps of bytes above it; 0 if no byte is 0.
func zeros(x uint64) uint64 { return (x - ones) &^ x & highs }

// controls is like zeros, for the lowest byte below 0x20 of an x of ASCII.
func controls(x uint64) uint64 { return (x - spaces) &^ x & highs }

// skipPlainText passes ASCII without control characters, up to the next byte that wants a closer look.
func skipPlainText(data []byte, i int) int {
	for i+8 <= len(data) {
		x := binary.LittleEndian.Uint64(data[i:])
		if stop := x&highs | controls(x) | zeros(x^dels); stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
		i += 8
	}
	return i
}

// skipPlainString does the same in a JSON string, where quotes and backslashes want it too.
func skipPlainString(data []byte, i int) int {
	for i+8 <= len(data) {
		x := binary.LittleEndian.Uint64(data[i:])
		if stop := x&highs | controls(x) | zeros(x^quotes) | zeros(x^slants); stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
		i += 8
	}
	return i
}

func isText(data []byte) bool {
	for i := skipPlainText(data, 0); i < len(data); i = skipPlainText(data, i) {
		c := data[i]
		if c < utf8.RuneSelf {
			if c < 0x20 && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(data[i:])
		if n == 1 || r < 0xa0 {
			return false
		}
		i += n
	}
	return true
}

// isJSON says whether data is valid UTF-8 and one JSON value (RFC 8259) with white space around it at most.
func isJSON(data []byte) bool {
	i := skipSpace(data, 0)
	if i == len(data) || !startsJSON(data[i]) {
		return false
	}
	var objects uint64 // a stack of bits, the innermost lowest: object (1) or array (0)
	depth := 0
	for {
		// A value stands at i.
		if i == len(data) {
			return false
		}
		if c := data[i]; c == '{' || c == '[' {
			if depth == 64 {
				return utf8.Valid(data) && json.Valid(data)
			}
			objects, depth = objects<<1, depth+1
			i = skipSpace(data, i+1)
			if c == '{' {
				objects |= 1
			}
			if i == len(data) || data[i] != c+2 { // '}' and ']' follow their opening by two
				if c == '{' {
					i = skipName(data, i)
				}
				continue
			}
			objects, depth = objects>>1, depth-1 // it is empty
		} else if i = skipScalar(data, i) - 1; i < 0 {
			return false
		}
		// A value ends at i. Close what ends with it, to where the next one stands.
		for {
			i = skipSpace(data, i+1)
			if depth == 0 {
				return i == len(data)
			}
			if i == len(data) {
				return false
			}
			if data[i] == ',' {
				break
			}
			if data[i] != ']'+byte(objects&1)*('}'-']') {
				return false
			}
			objects, depth = objects>>1, depth-1
		}
		i = skipSpace(data, i+1)
		if objects&1 == 1 {
			i = skipName(data, i)
		}
	}
}

// startsJSON lets most of what is not JSON go at its first byte.
func startsJSON(c byte) bool {
	switch c {
	case '{', '[', '"', '-', 't', 'f', 'n':
		return true
	}
	return c >= '0' && c <= '9'
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

// skipName passes an object's member name and colon to where its value stands; len(data) if there is none.
func skipName(data []byte, i int) int {
	if i >= len(data) || data[i] != '"' {
		return len(data)
	}
	if i = skipString(data, i); i == 0 {
		return len(data)
	}
	if i = skipSpace(data, i); i == len(data) || data[i] != ':' {
		return len(data)
	}
	return skipSpace(data, i+1)
}

// skipScalar returns the place behind the string, number or word at i; 0 if there is none.
func skipScalar(data []byte, i int) int {
	switch data[i] {
	case '"':
		return skipString(data, i)
	case 't':
		return skipWord(data, i, "true")
	case 'f':
		return skipWord(data, i, "false")
	case 'n':
		return skipWord(data, i, "null")
	}
	return skipNumber(data, i)
}

func skipWord(data []byte, i int, word string) int {
	if len(data)-i < len(word) || string(data[i:i+len(word)]) != word {
		return 0
	}
	return i + len(word)
}

func skipString(data []byte, i int) int {
	for i = skipPlainString(data, i+1); i < len(data); {
		c := data[i]
		switch {
		case c == '"':
			return i + 1
		case c == '\\':
			n := escapeLen(data[i:])
			if n == 0 {
				return 0
			}
			i = skipPlainString(data, i+n)
		case c < 0x20:
			return 0
		case c < utf8.RuneSelf:
			i++
		default:
			_, n := utf8.DecodeRune(data[i:])
			if n == 1 {
				return 0
			}
			i += n
		}
	}
	return 0
}

// escapeLen returns the length of the escape sequence that s begins with, 0 if it is none.
func escapeLen(s []byte) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(s) < 6 {
			return 0
		}
		for _, c := range s[2:6] {
			if !isHex(c) {
				return 0
			}
		}
		return 6
	}
	return 0
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func skipNumber(data []byte, i int) int {
	if data[i] == '-' {
		i++
	}
	if i < len(data) && data[i] == '0' {
		i++
	} else if i = skipDigits(data, i); i == 0 {
		return 0
	}
	if i < len(data) && data[i] == '.' {
		if i = skipDigits(data, i+1); i == 0 {
			return 0
		}
	}
	if i == len(data) || data[i] != 'e' && data[i] != 'E' {
		return i
	}
	if i++; i < len(data) && (data[i] == '+' || data[i] == '-') {
		i++
	}
	return skipDigits(data, i)
}

// skipDigits passes one digit and more; 0 if there is none.
func skipDigits(data []byte, i int) int {
	start := i
	for i < len(data) && data[i] >= '0' && data[i] <= '9' {
		i++
	}
	if i == start {
		return 0
	}
	return i
}
