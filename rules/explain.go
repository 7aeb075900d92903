package rules

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/file"
)

// place is where an error is, as a user counts: from 1.
func place(at *file.Error) string {
	if at.Line > 1 {
		return fmt.Sprintf("line %d, column %d", at.Line, at.Column+1)
	}
	return fmt.Sprintf("column %d", at.Column+1)
}

// explain makes one line in our words of an error of expr's parser and checker. What it does not know it quotes.
func explain(err error, where string) error {
	if strings.TrimSpace(where) == "" {
		return errors.New(`it is empty; write a condition, such as data.celsius > 30`)
	}
	if m := notBool.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("it gives %s, not true or false; compare it with something", inWords(m[1]))
	}
	at := &file.Error{}
	if !errors.As(err, &at) {
		return errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	message := at.Message
	for _, e := range explanations {
		if m := e.pattern.FindStringSubmatch(message); m != nil {
			message = e.say(m)
			break
		}
	}
	return fmt.Errorf("%s: %s", place(at), strings.Join(strings.Fields(message), " "))
}

var notBool = regexp.MustCompile(`^expected bool, but got (.+)$`)

var explanations = []struct {
	pattern *regexp.Regexp
	say     func(m []string) string
}{
	{regexp.MustCompile(`^unexpected token EOF|^unexpected end of expression`), func([]string) string {
		return "it ends too early; something is missing here, such as a value or a closing bracket"
	}},
	{regexp.MustCompile(`^unexpected token \w+\("(.+)"\)$`), func(m []string) string {
		if m[1] == "=" {
			return `"=" does not compare; use "=="`
		}
		return fmt.Sprintf(`"%s" cannot stand here; an operator, such as && or ==, or a bracket may be missing before it`, m[1])
	}},
	{regexp.MustCompile(`^invalid operation: (\S+) \(mismatched types (.+) and (.+)\)$`), func(m []string) string {
		return fmt.Sprintf("%s and %s cannot go with %q; use two values of one kind", inWords(m[2]), inWords(m[3]), m[1])
	}},
	{regexp.MustCompile(`^invalid operation: (\S+) \(mismatched type (.+)\)$`), func(m []string) string {
		return fmt.Sprintf("%s cannot go with %q", inWords(m[2]), m[1])
	}},
	{regexp.MustCompile(`^cannot use (.+) as (?:argument \(type (.+)\) to call|type (.+) in) (.+?) ?$`), func(m []string) string {
		return fmt.Sprintf("%s cannot stand here; %s takes %s", inWords(m[1]), m[4], inWords(m[2]+m[3]))
	}},
	{regexp.MustCompile(`^(too many|not enough) arguments to call (.+)$`), func(m []string) string {
		return fmt.Sprintf("%s has %s arguments", m[2], strings.Replace(m[1], "not enough", "too few", 1))
	}},
	{regexp.MustCompile(`^invalid number of arguments`), func([]string) string { return "this function has a wrong number of arguments" }},
	{regexp.MustCompile(`^expected at least`), func([]string) string {
		return "this function needs a list and a condition, as in any(data.list, # > 3)"
	}},
	{regexp.MustCompile(`^invalid argument for (\w+) \(type (.+)\)$`), func(m []string) string {
		return fmt.Sprintf("%s cannot be given to %s", inWords(m[2]), m[1])
	}},
	{regexp.MustCompile(`^builtin (\w+) takes only array \(got (.+)\)$`), func(m []string) string {
		return fmt.Sprintf("%s takes a list, not %s", m[1], inWords(m[2]))
	}},
	{regexp.MustCompile(`^predicate should return boolean \(got (.+)\)$|^non-bool expression \(type (.+)\)`), func(m []string) string {
		return fmt.Sprintf("there is %s where true or false is needed; compare it with something", inWords(m[1]+m[2]))
	}},
	{regexp.MustCompile(`^type (.+?)(?:\[.*\] is undefined| has no (?:field|method) .*)$|^type (nil) has no field`), func(m []string) string {
		return fmt.Sprintf("%s has no fields; only data and ext have", inWords(m[1]+m[2]))
	}},
	{regexp.MustCompile(`^literal not terminated`), func([]string) string { return "a text has no closing quote" }},
	{regexp.MustCompile(`^invalid \w+ literal|^bad number syntax|literal is too large`), func([]string) string {
		return "this is not a number, or too large for one"
	}},
	{regexp.MustCompile(`^invalid char escape|unable to unescape`), func([]string) string {
		return "a backslash in a text needs a second one; or put the text in `backquotes`"
	}},
	{regexp.MustCompile(`^unclosed comment`), func([]string) string { return "a comment has no end */" }},
	{regexp.MustCompile(`^unrecognized character: \S+ (.+)$`), func(m []string) string {
		return fmt.Sprintf("the character %s means nothing here; put texts in quotes", m[1])
	}},
	{regexp.MustCompile(`^error parsing regexp: (.+)$`), func(m []string) string { return "the pattern is not a regular expression: " + m[1] }},
	{regexp.MustCompile(`exceeds maximum allowed nodes`), func([]string) string {
		return fmt.Sprintf("it has more than %d operands and operators; split it into several routes", maxNodes)
	}},
	{regexp.MustCompile(`^cannot use pointer accessor`), func([]string) string {
		return `"#" stands for an element, inside all, any, none, one, count and sum only`
	}},
}

// inWords says what a Go type is for a user.
func inWords(goType string) string {
	if word := typeNames[goType]; word != "" {
		return word
	}
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "func"):
		return "a function"
	case goType == "unknown" || goType == "interface {}":
		return "something unknown"
	}
	return goType
}
