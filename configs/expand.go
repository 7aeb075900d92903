package configs

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand fills ${VAR} and ${VAR:-default} in; $${ stands for ${ itself, and any other $ for itself. What it puts in is
// not looked at again. used says that there was a variable; the errors name those that are not set.
func expand(text string, env func(string) (string, bool)) (out string, used bool, errs []error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			return b.String(), used, errs
		}
		if strings.HasSuffix(before, "$") {
			b.WriteString(before + "{")
			text = rest
			continue
		}
		b.WriteString(before)
		inner, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", used, append(errs, errors.New("the } after ${ is missing; to mean ${ itself, write $${"))
		}
		used = true
		value, err := lookup(inner, env)
		if err != nil {
			errs = append(errs, err)
		}
		b.WriteString(value)
		text = after
	}
}

// lookup finds the value of what stands between ${ and }. As in a shell, :- holds for an empty variable too.
func lookup(inner string, env func(string) (string, bool)) (string, error) {
	name, fallback, hasFallback := strings.Cut(inner, ":-")
	if !variableName.MatchString(name) {
		return "", fmt.Errorf("${%s}: a variable's name has letters, digits and _; to mean ${ itself, write $${", inner)
	}
	value, set := env(name)
	if hasFallback && value == "" {
		return fallback, nil
	}
	if !set {
		return "", fmt.Errorf("the variable %s is not set; set it in the environment, or give a default: ${%s:-…}", name, name)
	}
	return value, nil
}
