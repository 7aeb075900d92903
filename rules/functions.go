package rules

import (
	"strings"

	"gateway"
)

// function is one that the virtual machine calls, with its Go type for the checker.
type function struct {
	name      string
	call      func(args ...any) (any, error)
	signature any
}

// functions are what users may call, as the checker sees it, and below it what the rewriter puts there.
var functions = []function{
	{"level", misplaced, new(func(int) string)},
	{"match", misplaced, new(func(string) bool)},
	{"lower", misplaced, new(func(string) any)},
	{"upper", misplaced, new(func(string) any)},

	{"#level", level, new(func(any, any) string)},
	{"#match", match, new(func(any, any) bool)},
	{"#lower", letters(strings.ToLower), new(func(any, any) any)},
	{"#upper", letters(strings.ToUpper), new(func(any, any) any)},
	{"#data", func(a ...any) (any, error) { return env(a).data(), nil }, new(func(any) any)},
	{"#text", func(a ...any) (any, error) { return env(a).text(), nil }, new(func(any) string)},
	{"#topic", func(a ...any) (any, error) { return env(a).event.Topic(), nil }, new(func(any) string)},
	{"#field", field, new(func(any, any, any) any)},
	{"#bool", truth, new(func(any, any) bool)},
	{"#string", str, new(func(any, any) any)},
	{"#list", list, new(func(any, any, any) []any)},
	{"#in", in, new(func(any, any, any) bool)},
	{"#+", add, new(func(any, any, any) any)},
	{"#==", func(a ...any) (any, error) { return equal(env(a), a[1], a[2]) }, new(func(any, any, any) bool)},
	{"#!=", differ, new(func(any, any, any) bool)},
	{"#<", order("<", func(c int) bool { return c < 0 }), new(func(any, any, any) bool)},
	{"#<=", order("<=", func(c int) bool { return c <= 0 }), new(func(any, any, any) bool)},
	{"#>", order(">", func(c int) bool { return c > 0 }), new(func(any, any, any) bool)},
	{"#>=", order(">=", func(c int) bool { return c >= 0 }), new(func(any, any, any) bool)},
}

func env(args []any) *environment { return args[0].(*environment) }

// misplaced stands for a function that the rewriter replaces.
func misplaced(...any) (any, error) { return nil, failure("it is used in a wrong place") }

// level is the n-th level of the topic, from 1; "" where there is none.
func level(args ...any) (any, error) {
	n, ok := number(args[1])
	if !ok {
		return nil, failure("level() takes a number, not %s", kind(args[1]))
	}
	topic := env(args).event.Topic()
	for i := 1; ; i++ {
		name, rest, more := strings.Cut(topic, "/")
		if float64(i) == n {
			return name, nil
		}
		if !more {
			return "", nil
		}
		topic = rest
	}
}

// match says whether a topic filter matches the topic.
func match(args ...any) (any, error) {
	filter, ok := args[1].(string)
	if !ok || gateway.ValidFilter(filter) != nil {
		return nil, failure("match() takes a topic filter, such as \"plant/+/temp\"")
	}
	v := env(args)
	topic := v.event.Topic()
	return gateway.MatchTopic(filter, topic), v.spend(len(topic) + len(filter))
}

// letters changes the case of a text; nil stays nil.
func letters(change func(string) string) func(args ...any) (any, error) {
	return func(args ...any) (any, error) {
		s, err := str(args...)
		if text, ok := s.(string); ok && err == nil {
			return change(text), nil
		}
		return nil, err
	}
}

// str passes a text, which an operator is about to look through, and nil.
func str(args ...any) (any, error) {
	switch s := args[1].(type) {
	case nil:
		return nil, nil
	case string:
		return args[1], env(args).spend(len(s))
	}
	return nil, failure("there is %s where text is needed", kind(args[1]))
}

// truth is what && and the like take; what is missing is not true.
func truth(args ...any) (any, error) {
	switch args[1].(type) {
	case nil:
		return false, nil
	case bool:
		return args[1], nil
	}
	return nil, failure("there is %s where true or false is needed; compare it with something", kind(args[1]))
}

// list is what a loop goes over, at a cost for each element; what is missing is an empty list.
func list(args ...any) (any, error) {
	switch l := args[1].(type) {
	case nil:
		return []any{}, nil
	case []any:
		if len(l) > maxWork {
			return nil, failure("it is too much work for this event")
		}
		return l, env(args).spend(len(l) * args[2].(int))
	}
	return nil, failure("there is %s where a list is needed", kind(args[1]))
}

// field is a member of an object or an element of a list; nil where there is none, and of what is missing itself.
func field(args ...any) (any, error) {
	switch from := args[1].(type) {
	case nil:
		return nil, nil
	case map[string]any:
		if name, ok := args[2].(string); ok {
			return from[name], nil
		}
		return nil, failure("a field of an object has a name, not %s", kind(args[2]))
	case []any:
		n, ok := number(args[2])
		if !ok {
			return nil, failure("an element of a list has a number, not %s", kind(args[2]))
		}
		if n < 0 || n >= float64(len(from)) {
			return nil, nil
		}
		return from[int(n)], nil
	}
	return nil, failure("%s has no fields", kind(args[1]))
}
