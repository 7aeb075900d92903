package gateway

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// appendEscaped appends s, which is valid UTF-8, as the inside of a JSON string.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789abcdef"
	if plainText(s) {
		return append(dst, s...)
	}
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

// unquote returns the text of a JSON string that the scanner has passed, with its quotes; a part of it, where it has no
// escapes. ok is false where it has half of a surrogate pair, which stands for no character.
func unquote(quoted []byte) (text []byte, ok bool) {
	quoted = quoted[1 : len(quoted)-1]
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted, true
	}
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

// Eight bytes at a time: each constant has the same byte eight times.
const (
	ones   = 0x0101010101010101
	highs  = 0x80 * ones
	blanks = 0x20 * ones
	quotes = '"' * ones
	slants = '\\' * ones
)

// stops marks, by its highest bit, the first byte of word that is a quote, a backslash or below 0x20; bytes behind that one may be
// marked without cause. 0: there is none.
func stops(word uint64) uint64 {
	quote, slant := word^quotes, word^slants
	return ((word-blanks)&^word | (quote-ones)&^quote | (slant-ones)&^slant) & highs
}

// stringPrefix counts the bytes before the first quote, backslash or control character.
func stringPrefix(text []byte) int {
	i := 0
	for ; i+8 <= len(text); i += 8 {
		if mark := stops(binary.LittleEndian.Uint64(text[i:])); mark != 0 {
			return i + bits.TrailingZeros64(mark)/8
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < 0x20 || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// plainText says whether s is ASCII that stands for itself in a JSON string and has no control characters.
func plainText[T string | []byte](s T) bool {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		word := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		if (word|(word+ones))&highs|stops(word) != 0 {
			return false
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
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
