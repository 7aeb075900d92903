package gateway

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
	if s.peek() <= ' ' {
		s.spaces()
	}
}

func (s *scanner) spaces() {
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
	if s.pos < len(s.text) && s.text[s.pos] == c {
		s.pos++
		return true
	}
	return false
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
	for {
		s.pos += stringPrefix(s.text[s.pos:])
		switch s.peek() {
		case '"':
			s.pos++
			return ""
		case '\\':
			s.pos++
			if !s.escape() {
				return "has an unknown escape in a string"
			}
		default:
			if s.pos >= len(s.text) {
				return "ends inside a string"
			}
			return "has a raw control character in a string"
		}
	}
}

// escape moves over what follows a backslash.
func (s *scanner) escape() bool {
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return true
	case 'u':
		if _, ok := hex4(s.text, s.pos+1); ok {
			s.pos += 5
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
