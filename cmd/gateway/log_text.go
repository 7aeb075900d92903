package main

import (
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// oneLine writes what others wrote on one line, in at most width columns: control characters and what does not print as
// Go escapes, and an ellipsis where it is cut off. 0: any width.
func oneLine(text string, width int) string {
	var b strings.Builder
	used, cut := 0, 0 // cut is how long b was when an ellipsis still fitted
	for _, r := range text {
		piece := escapeRune(r)
		n := columns(piece)
		if width > 0 && used+n > width {
			return b.String()[:cut] + "…"
		}
		b.WriteString(piece)
		if used += n; used < width {
			cut = b.Len()
		}
	}
	return b.String()
}

// escapeRune is r where it prints, and an escape where it does not.
func escapeRune(r rune) string {
	if unicode.IsPrint(r) {
		return string(r)
	}
	return strings.Trim(strconv.QuoteRune(r), "'")
}

// columns is how wide a terminal shows text that prints.
func columns(text string) int {
	n := 0
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana),
			r >= 0xff01 && r <= 0xff60, r >= 0x1f300 && r <= 0x1faff:
			n += 2
		default:
			n++
		}
	}
	return n
}

// previewBytes is how much of an event's data a table looks at.
const previewBytes = 1024

// preview writes data on one line of at most width columns: text as it is, anything else as hexadecimal digits.
func preview(data []byte, width int) string {
	short := data[:min(len(data), previewBytes)]
	if len(short) < len(data) { // do not end inside of a character
		for n := 0; n < utf8.UTFMax && len(short) > 0 && !utf8.Valid(short[max(0, len(short)-utf8.UTFMax):]); n++ {
			short = short[:len(short)-1]
		}
	}
	if len(short) == 0 && len(data) > 0 || !isText(short) {
		return oneLine("hex "+hex.EncodeToString(data[:min(len(data), previewBytes/2)]), width)
	}
	text := oneLine(string(short), width)
	if len(short) < len(data) && !strings.HasSuffix(text, "…") {
		text += "…"
	}
	return text
}

// isText says whether data is for people: UTF-8 with few control characters.
func isText(data []byte) bool {
	controls := 0
	for rest := data; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n <= 1 {
			return false
		}
		if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
			controls++
		}
		rest = rest[n:]
	}
	return controls*4 <= len(data)
}

// paragraph is text whose lines and tabs stay, and the rest of which cannot steer the terminal.
func paragraph(text string) string {
	var b strings.Builder
	for _, r := range strings.ReplaceAll(text, "\r\n", "\n") {
		if r == '\n' || r == '\t' {
			b.WriteRune(r)
			continue
		}
		b.WriteString(escapeRune(r))
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
