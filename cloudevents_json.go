package gateway

import (
	"unicode/utf16"
	"unicode/utf8"
)

// maxJSONDepth bounds how deep JSON data may be nested; deeper data is kept, as base64.
const maxJSONDepth = 200

// scanner walks over JSON text (RFC 8259) without building anything. Its methods return what is wrong, "" if nothing
// is; pos is then behind what was read, and else near the mistake. UTF-8 is for the caller to check.
type scanner struct {
	text  []byte
	pos   int
	lines bool // white space outside strings had a line break
}

// space moves over white space.
func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '\n', '\r':
			s.lines = true
		case ' ', '\t':
		default:
			return
		}
		s.pos++
	}
}

// peek returns the next byte, 0 at the end of the text.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

// take moves over c, if it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c || s.pos >= len(s.text) {
		return false
	}
	s.pos++
	return true
}

// value moves over one value, which begins right here.
func (s *scanner) value(depth int) string {
	if depth > maxJSONDepth {
		return "is nested too deep"
	}
	switch c := s.peek(); c {
	case '{':
		return s.object(depth)
	case '[':
		return s.array(depth)
	case '"':
		return s.str()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) object(depth int) string {
	s.pos++
	s.space()
	if s.take('}') {
		return ""
	}
	for {
		if problem := s.str(); problem != "" {
			return problem
		}
		s.space()
		if !s.take(':') {
			return "lacks a colon after a member's name"
		}
		s.space()
		if problem := s.value(depth + 1); problem != "" {
			return problem
		}
		s.space()
		if s.take('}') {
			return ""
		}
		if !s.take(',') {
			return "lacks a comma or closing brace in an object"
		}
		s.space()
	}
}

func (s *scanner) array(depth int) string {
	s.pos++
	s.space()
	if s.take(']') {
		return ""
	}
	for {
		if problem := s.value(depth + 1); problem != "" {
			return problem
		}
		s.space()
		if s.take(']') {
			return ""
		}
		if !s.take(',') {
			return "lacks a comma or closing bracket in an array"
		}
		s.space()
	}
}

// str moves over a string with its quotes.
func (s *scanner) str() string {
	if !s.take('"') {
		return "lacks the opening quote of a string"
	}
	for s.pos < len(s.text) {
		c := s.text[s.pos]
		s.pos++
		switch {
		case c == '"':
			return ""
		case c < 0x20:
			return "has a raw control character in a string"
		case c == '\\':
			if !s.escape() {
				return "has an unknown escape in a string"
			}
		}
	}
	return "ends inside a string"
}

// escape moves over what follows a backslash.
func (s *scanner) escape() bool {
	c := s.peek()
	s.pos++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		if _, ok := hex4(s.text, s.pos); ok {
			s.pos += 4
			return true
		}
	}
	return false
}

func (s *scanner) word(word string) string {
	if len(s.text)-s.pos < len(word) || string(s.text[s.pos:s.pos+len(word)]) != word {
		return "has something that is not a JSON value"
	}
	s.pos += len(word)
	return ""
}

func (s *scanner) number() string {
	s.take('-')
	if !s.take('0') && s.digits() == 0 {
		return "has something that is not a JSON value"
	}
	if s.take('.') && s.digits() == 0 {
		return "has a number without digits after its point"
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if s.digits() == 0 {
			return "has a number without digits in its exponent"
		}
	}
	return ""
}

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

// appendCompact appends valid JSON without the white space outside its strings.
func appendCompact(dst, text []byte) []byte {
	inside := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			inside = !inside
		case inside && c == '\\':
			dst = append(dst, c)
			i++
		case !inside && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		dst = append(dst, text[i])
	}
	return dst
}

// plainText says whether s is ASCII that stands for itself in a JSON string.
func plainText[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// validUTF8 is utf8.Valid, quick where all is ASCII.
func validUTF8(b []byte) bool { return utf8.Valid(b) }

// appendEscaped appends s, which is valid UTF-8, as the inside of a JSON string.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789abcdef"
	done := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, s[done:]...)
}

// unquote returns the text of a JSON string that the scanner has passed, with its quotes. ok is false where it has
// half of a surrogate pair, which stands for no character.
func unquote(quoted []byte) (text []byte, ok bool) {
	quoted = quoted[1 : len(quoted)-1]
	text = make([]byte, 0, len(quoted))
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '\\' {
			text = append(text, quoted[i])
			continue
		}
		i++
		if quoted[i] != 'u' {
			text = append(text, unescape(quoted[i]))
			continue
		}
		r, _ := hex4(quoted, i+1)
		i += 4
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if i+6 < len(quoted) && quoted[i+1] == '\\' && quoted[i+2] == 'u' {
				low, _ = hex4(quoted, i+3)
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return nil, false
			}
			i += 6
		}
		text = utf8.AppendRune(text, r)
	}
	return text, true
}

// unescape is what the letter behind a backslash stands for.
func unescape(letter byte) byte {
	switch letter {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return letter
}

// hex4 reads four hexadecimal digits at pos.
func hex4(text []byte, pos int) (r rune, ok bool) {
	if len(text)-pos < 4 {
		return 0, false
	}
	for _, c := range text[pos : pos+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
