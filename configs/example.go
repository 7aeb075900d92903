package configs

import (
	"io"
	"slices"
	"strings"

	"gateway/devices"
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
	e := &example{tree: newTree(), told: map[string]bool{}}
	e.section("", 0, "")
	_, err := io.WriteString(w, exampleHead+e.render())
	return err
}

// example gathers the lines of the file.
type example struct {
	tree  *tree
	told  map[string]bool // keys of devices that were explained
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
		if len(k.Types) > 0 && !slices.Contains(k.Types, sink) {
			continue
		}
		if path == "" {
			e.lines = append(e.lines, exampleLine{base: -1})
		}
		e.key(k, indent, sink)
	}
}

func (e *example) key(k *Key, indent int, sink string) {
	if again := e.told[k.Path]; again && k.Off {
		return
	} else if !again {
		e.help(k, indent)
	}
	e.told[k.Path] = strings.HasPrefix(k.Path, "devices[]")
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

// help explains a key.
func (e *example) help(k *Key, indent int) {
	for _, text := range wrap(k.Help, 112-indent) {
		e.add(indent, "# "+text)
	}
}

func exampleValue(k *Key, sink string) string {
	switch {
	case k.Path == "forwarders[].sink.type" || k.Path == "devices[].type":
		return sink
	case k.Path == "devices[].name" || k.Path == "devices[].pin":
		return exampleDevice[sink][k.name()]
	case strings.HasPrefix(k.Path, "devices[]") && k.Example == "" && k.place != nil && len(k.Types) > 0 && !k.Off:
		c := &Config{Devices: []devices.Spec{defaultDevice(sink)}}
		c.Devices[0].Adjust = []devices.Adjust{devices.DefaultAdjust()}
		if text := format(k.place(c, 0), k.Kind); text != "" {
			return text
		}
		return k.Default
	case k.Path == "forwarders[].name" && sink == SinkFile:
		return "archive"
	case k.Path == "forwarders[].name" && sink == SinkLocal:
		return "commands"
	case k.Path == "forwarders[].name" && sink == SinkOutput:
		return "pump"
	case k.Example != "":
		return k.Example
	case k.Kind == KindText || k.Kind == KindFilter:
		return scalarYAML(k.Default)
	}
	return k.Default
}

// exampleDevice has what the example file's devices cannot have alike.
var exampleDevice = map[string]map[string]string{
	devices.TypeInput:     {"name": "door", "pin": "GPIO17"},
	devices.TypeCounter:   {"name": "water", "pin": "GPIO27"},
	devices.TypeOutput:    {"name": "pump", "pin": "GPIO22"},
	"bme280":              {"name": "climate"},
	"ds18b20":             {"name": "boiler"},
	"ads1115":             {"name": "soil"},
	"ina219":              {"name": "battery"},
	devices.TypeSimulated: {"name": "demo"},
}

// elements adds a list of sections: one, or one for each type of sink.
func (e *example) elements(k *Key, indent int) {
	sinks := []string{""}
	switch k.Path {
	case "forwarders":
		sinks = sinkTypes
	case "devices":
		sinks = []string{devices.TypeInput, "bme280", devices.TypeCounter, devices.TypeOutput, "ds18b20", "ads1115", "ina219", devices.TypeSimulated}
	case "devices[].adjust":
		sinks = []string{"bme280"}
	}
	for _, sink := range sinks {
		first := len(e.lines)
		if sink == SinkOutput { // its output is off
			e.base, e.off = indent-2, e.off+1
		}
		e.section(k.Path+"[]", indent, sink)
		if sink == SinkOutput {
			e.off--
		}
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
