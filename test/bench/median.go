package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// median is the middle of values, the mean of the two middle ones where their number is even, 0 of none.
func median[T ~int64 | ~float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	v := slices.SortedFunc(slices.Values(values), cmp.Compare[T])
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// list prints values in the order of their rounds.
func list[T any](values []T, format func(T) string) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = format(v)
	}
	return strings.Join(texts, ", ")
}

// ratio is a/b as a number, 0 where there is no b.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// orDash is text, or a dash where a peer was not measured.
func orDash(measured int, format string, args ...any) string {
	if measured == 0 {
		return "–"
	}
	return fmt.Sprintf(format, args...)
}
