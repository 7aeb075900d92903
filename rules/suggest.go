package rules

import "fmt"

// closest is a question after the candidate that is most like name, and a full stop if none is.
func closest(name string, candidates []string) string {
	if len(name) > 32 {
		return "."
	}
	best, least := "", 3
	for _, c := range candidates {
		if d := distance(name, c); d < least && 2*d <= len(name) {
			best, least = c, d
		}
	}
	if best == "" {
		return "."
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is how many bytes must be put in, taken out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
