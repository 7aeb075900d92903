package rules

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/expr-lang/expr/file"
)

// failed is an error of one of our functions: words that hold nothing of the payload.
type failed string

func (f failed) Error() string { return string(f) }

func failure(format string, args ...any) error { return failed(fmt.Sprintf(format, args...)) }

// undecided says in one line why an evaluation came to nothing. The virtual machine's own messages may quote the
// payload, so that only types are taken from them.
func undecided(err error, where string) error {
	at := &file.Error{}
	_ = errors.As(err, &at)
	why := failed("")
	if !errors.As(err, &why) {
		why = failed(typesOf(at.Message))
	}
	return fmt.Errorf("%q: %s: %s", shorten(where), place(at), string(why))
}

var (
	twoTypes = regexp.MustCompile(`^invalid operation: (\S+) (\S+) (\S+)$`)
	oneType  = regexp.MustCompile(`\(type (\S+)\)|is (\S+), not `)
)

func typesOf(message string) string {
	if m := twoTypes.FindStringSubmatch(message); m != nil && typeNames[m[1]] != "" && typeNames[m[3]] != "" {
		return fmt.Sprintf("%s and %s cannot go with %s", typeNames[m[1]], typeNames[m[3]], m[2])
	}
	if m := oneType.FindStringSubmatch(message); m != nil && typeNames[m[1]+m[2]] != "" {
		return fmt.Sprintf("there is %s where something else is needed", typeNames[m[1]+m[2]])
	}
	return "it has no value for this event"
}

// typeNames are the words for Go types in expr's messages.
var typeNames = map[string]string{
	"<nil>": "nothing", "nil": "nothing", "string": "text", "bool": "true or false", "int": "a number", "int64": "a number", "float64": "a number",
	"time.Time": "a time", "time.Duration": "a duration", "map[string]string": "the extensions", "map[string]interface {}": "an object",
	"[]interface {}": "a list", "[]string": "a list", "[]int": "a list", "[]float64": "a list", "[]bool": "a list",
}

// shorten keeps a log line readable.
func shorten(where string) string {
	const most = 80
	runes := []rune(where)
	if len(runes) <= most {
		return where
	}
	return string(runes[:most]) + "…"
}
