package rules

import (
	"cmp"
	"strings"
	"time"
)

// order compares two values of a kind. What is missing is neither smaller nor larger than anything.
func order(operator string, holds func(int) bool) func(args ...any) (any, error) {
	return func(args ...any) (any, error) {
		a, b := args[1], args[2]
		if a == nil || b == nil {
			return false, nil
		}
		if x, ok := number(a); ok {
			if y, ok := number(b); ok {
				return holds(cmp.Compare(x, y)), nil
			}
		}
		switch x := a.(type) {
		case string:
			if y, ok := b.(string); ok {
				return holds(strings.Compare(x, y)), env(args).spend(min(len(x), len(y)))
			}
		case time.Time:
			if y, ok := b.(time.Time); ok {
				return holds(x.Compare(y)), nil
			}
		case time.Duration:
			if y, ok := b.(time.Duration); ok {
				return holds(cmp.Compare(x, y)), nil
			}
		}
		return nil, failure("%s and %s cannot be compared with %s", kind(a), kind(b), operator)
	}
}

// equal compares two values; those of different kinds are not equal. Lists and objects are not looked into, except to
// see that they are not nil.
func equal(v *environment, a, b any) (bool, error) {
	if a == nil || b == nil {
		return a == nil && b == nil, nil
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y, nil
	}
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		return x == y, v.spend(len(x))
	case bool:
		y, ok := b.(bool)
		return ok && x == y, nil
	case time.Time:
		y, ok := b.(time.Time)
		return ok && x.Equal(y), nil
	case time.Duration:
		y, ok := b.(time.Duration)
		return ok && x == y, nil
	}
	return false, failure("%s cannot be compared; compare its fields", kind(a))
}

func differ(args ...any) (any, error) {
	same, err := equal(env(args), args[1], args[2])
	return !same, err
}

// in looks for a value in a list, and for a name in an object or in the extensions.
func in(args ...any) (any, error) {
	v := env(args)
	switch where := args[2].(type) {
	case nil:
		return false, nil
	case []any:
		if err := v.spend(len(where)); err != nil {
			return nil, err
		}
		for _, element := range where {
			if same, err := equal(v, args[1], element); same || err != nil {
				return same, err
			}
		}
		return false, nil
	case map[string]any:
		name, _ := args[1].(string)
		_, there := where[name]
		return there, nil
	case map[string]string:
		name, _ := args[1].(string)
		_, there := where[name]
		return there, nil
	}
	return nil, failure("there is %s where a list is needed", kind(args[2]))
}

// add adds numbers, a time and a duration, and joins texts up to a bound.
func add(args ...any) (any, error) {
	a, b := args[1], args[2]
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			return x + y, nil
		}
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			if len(x)+len(y) > maxString {
				return nil, failure("the text would have more than %d bytes", maxString)
			}
			return x + y, env(args).spend(len(x) + len(y))
		}
	case time.Time:
		if y, ok := b.(time.Duration); ok {
			return x.Add(y), nil
		}
	case time.Duration:
		switch y := b.(type) {
		case time.Duration:
			return x + y, nil
		case time.Time:
			return y.Add(x), nil
		}
	}
	return nil, failure("%s and %s cannot be added", kind(a), kind(b))
}

// number is what v is as a number. JSON has float64, expressions also have int.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	}
	return 0, false
}

// kind says in words what v is, and never its value.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case string:
		return "text"
	case bool:
		return "true or false"
	case float64, int, int64:
		return "a number"
	case time.Time:
		return "a time"
	case time.Duration:
		return "a duration"
	case []any:
		return "a list"
	}
	return "an object"
}
