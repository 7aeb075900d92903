package configs

import (
	"fmt"
	"slices"
	"strings"
)

// unknownKey is the message for a key that the table does not have.
func unknownKey(name string, allowed []string) string {
	hint := didYouMean(name, allowed)
	if other := otherNames[strings.ToLower(name)]; hint == "" && slices.Contains(allowed, other) {
		hint = fmt.Sprintf("; did you mean %q?", other)
	}
	return "unknown key, allowed here are " + strings.Join(allowed, ", ") + hint
}

// otherNames are what other programs call our keys.
var otherNames = map[string]string{
	"port": "listen", "address": "listen", "bind": "listen", "host": "url", "server": "url", "broker": "url", "topics": "match",
	"user": "username", "ca": "ca_file", "cafile": "ca_file", "path": "data_dir", "size": "max_size", "retention": "max_age",
}

// didYouMean names the word that name was likely meant to be, "" if none is near.
func didYouMean(name string, words []string) string {
	best, distance := "", 1+min(3, len(name)/3)
	for _, word := range words {
		if d := editDistance(strings.ToLower(name), word); d < distance {
			best, distance = word, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance counts the letters to insert, delete, replace or swap with their neighbour that lie between a and b.
// Longer words than any of ours are as far as they are long.
func editDistance(a, b string) int {
	const most = 64
	if len(a) > most || len(b) > most {
		return max(len(a), len(b))
	}
	var rows [most + 1][most + 1]int
	for i := range len(a) + 1 {
		rows[i][0] = i
	}
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
