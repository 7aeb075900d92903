package configs

import (
	"io"
	"strings"
)

const exampleHead = `# The configuration of an edge event gateway, with every key and its default, or an example where there is none.
# "# " begins an explanation, "#" alone a key that is off: delete it to set the key.
# Check the file with "gateway config check FILE".
#
# Relative paths are relative to this file. Texts may have ${VARIABLES} of the environment, or ${VARIABLE:-default}.
# Sizes are written like 512MiB or 2GB, durations like 500ms, 10s, 1m30s or 2d.
`

// WriteExample writes a commented configuration file with every key. It can be loaded as it is: what depends on
// files of its own is off.
func WriteExample(w io.Writer) error {
	e := &example{tree: newTree()}
	e.section("", 0, "")
	_, err := io.WriteString(w, exampleHead+e.render())
	return err
}

// example gathers the lines of the file.
type example struct {
	tree  *tree
	lines []exampleLine
	off   int // depth of sections around that are off
	base  int // where the # of such a section stands
}

type exampleLine struct {
	indent int
	text   string
	base   int // where # stands, -1 for none
	dash   bool
}

// section adds the keys of a section; those of sinks only for the type of this one.
func (e *example) section(path string, indent int, sink string) {
	for _, k := range e.tree.children[path] {
		if k.Sink != "" && k.Sink != sink {
			continue
		}
		if path == "" {
			e.lines = append(e.lines, exampleLine{base: -1})
		}
		e.key(k, indent, sink)
	}
}

func (e *example) key(k *Key, indent int, sink string) {
	for _, text := range wrap(k.Help, 112-indent) {
		e.add(indent, "# "+text)
	}
	if k.Off {
		if e.off == 0 {
			e.base = indent
		}
		e.off++
		defer func() { e.off-- }()
	}
	switch k.Kind {
	case KindSection:
		e.add(indent, k.name()+":")
		e.section(k.Path, indent+2, sink)
	case KindSections:
		e.add(indent, k.name()+":")
		e.elements(k, indent+4)
	default:
		e.add(indent, k.name()+": "+exampleValue(k, sink))
	}
}

func exampleValue(k *Key, sink string) string {
	switch {
	case k.Path == "forwarders[].sink.type":
		return sink
	case k.Path == "forwarders[].name" && sink == SinkFile:
		return "archive"
	case k.Path == "forwarders[].name" && sink == SinkLocal:
		return "commands"
	case k.Example != "":
		return k.Example
	case k.Kind == KindText || k.Kind == KindFilter:
		return scalarYAML(k.Default)
	}
	return k.Default
}

// elements adds a list of sections: one, or one for each type of sink.
func (e *example) elements(k *Key, indent int) {
	sinks := []string{""}
	if k.Path == "forwarders" {
		sinks = sinkTypes
	}
	for _, sink := range sinks {
		first := len(e.lines)
		e.section(k.Path+"[]", indent, sink)
		for i := first; i < len(e.lines); i++ {
			if !strings.HasPrefix(e.lines[i].text, "# ") {
				e.lines[i].dash = true
				break
			}
		}
	}
}

func (e *example) add(indent int, text string) {
	base := -1
	if e.off > 0 {
		base = e.base
	}
	e.lines = append(e.lines, exampleLine{indent: indent, text: text, base: base})
}

func (e *example) render() string {
	var b strings.Builder
	for _, l := range e.lines {
		text := strings.Repeat(" ", l.indent) + l.text
		if l.dash {
			text = strings.Repeat(" ", l.indent-2) + "- " + l.text
		}
		if l.base >= 0 {
			text = text[:l.base] + "#" + text[l.base:]
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}

// wrap breaks text into lines of at most width bytes, where its words allow that.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
