package configs

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one thing in a configuration file that a person should look at.
type Problem struct {
	File string `json:"file"`
	// Line and Col count from 1, Col in characters. Line 0: the problem is with the file as a whole.
	Line int `json:"line"`
	Col  int `json:"col"`
	// Path is the key, such as "forwarders[0].sink.url"; "" for the file as a whole.
	Path string `json:"path"`
	// Text says what is wrong, and what is allowed.
	Text string `json:"text"`
	// Source is the line of the file, with secrets masked.
	Source string `json:"source"`
}

// String is the problem in one line: file:line:col: path: text.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Col)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	b.WriteString(": " + p.Text)
	return b.String()
}

// Explain is String with the line of the file and a caret below it.
func (p Problem) Explain() string {
	if p.Line == 0 || p.Source == "" {
		return p.String()
	}
	number := fmt.Sprintf("%5d | ", p.Line)
	return p.String() + "\n" + number + p.Source + "\n" + strings.Repeat(" ", len(number)-2) + "| " + caret(p.Source, p.Col)
}

// caret is as much white space as stands before column col of the line, and ^.
func caret(line string, col int) string {
	var b strings.Builder
	for _, r := range line {
		if col--; col < 1 {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
			continue
		}
		b.WriteByte(' ')
	}
	return b.String() + "^"
}

// Problems is the error of a configuration that cannot be used: everything that is wrong with it, in the order of the file.
type Problems []Problem

func (p Problems) Error() string {
	var b strings.Builder
	for i, problem := range p {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(problem.Explain())
	}
	return b.String()
}

func (s *source) placeOf(path string) place {
	for path != "" {
		if at, ok := s.places[path]; ok {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return place{}
}

func (s *source) problem(at place, path, text string) Problem {
	p := Problem{File: cmp.Or(s.name, "configuration"), Line: at.line, Col: at.col, Path: path, Text: text}
	if at.line > 0 && at.line <= len(s.lines) {
		p.Source = redact(s.lines[at.line-1])
	}
	return p
}

func sortProblems(p []Problem) {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}

var (
	// secretKey finds `password: value` in a line, misspelt or in braces, with the value up to where it surely ends.
	secretKey = regexp.MustCompile(`(?i)([\w-]*(?:pas+w|pwd|secret|token)[\w-]*)["']?\s*:\s+("[^"]*"|'[^']*'|[^#]*)`)
	// secretURL finds what stands before the @ of a URL.
	secretURL = regexp.MustCompile(`://([^/@\s"']*)@`)
)

// redact masks what looks like a secret in a line that may end in a log. Columns stay what they are.
func redact(line string) string {
	for _, m := range secretURL.FindAllStringSubmatchIndex(line, -1) {
		line = mask(line, m[2], m[3])
	}
	for _, m := range secretKey.FindAllStringSubmatchIndex(line, -1) {
		if strings.HasSuffix(line[m[2]:m[3]], "_file") {
			continue
		}
		line = mask(line, m[4], m[5])
	}
	return line
}

// mask replaces the characters from byte from to byte to by as many bytes of *, so that later indexes stay true.
func mask(line string, from, to int) string {
	if plain := strings.TrimSpace(line[from:to]); strings.HasPrefix(plain, "${") && strings.HasSuffix(plain, "}") && utf8.RuneCountInString(plain) == len(plain) && !strings.Contains(plain, ":-") {
		return line // a variable is no secret
	}
	return line[:from] + strings.Repeat("*", to-from) + line[to:]
}
