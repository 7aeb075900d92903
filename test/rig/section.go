package rig

import (
	"fmt"
	"os"
	"strings"
)

// ReplaceSection replaces what stands in a Markdown file between the lines "<!-- name: begin -->" and "<!-- name: end -->", so
// that a table in a document is what a program printed.
func ReplaceSection(file, name, section string) error {
	before, after, err := aroundSection(file, name)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(before+"\n"+strings.TrimSpace(section)+"\n\n"+after), 0o644)
}

// HasSection says why ReplaceSection would fail, before a long run and not after it.
func HasSection(file, name string) error {
	_, _, err := aroundSection(file, name)
	return err
}

// aroundSection is the text up to the section, with the line that begins it, and the text from the line that ends it.
func aroundSection(file, name string) (before, after string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", "", err
	}
	begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->\n"
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", "", fmt.Errorf("%s has no lines %q and %q to put the tables between", file, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin, end + after, nil
}
