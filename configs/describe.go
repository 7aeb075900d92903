package configs

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"gateway/devices"
)

// Describe writes every key with its type, default and help, for a terminal; with a filter only the keys whose path
// has it. It says how many it wrote.
func Describe(w io.Writer, filter string) (int, error) {
	var b strings.Builder
	count := 0
	for _, k := range Keys() {
		if !strings.Contains(k.Path, filter) {
			continue
		}
		count++
		fmt.Fprintf(&b, "%s  (%s)\n", k.Path, strings.Join(k.facts(), "; "))
		for _, line := range wrap(k.Help, 96) {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return count, err
}

// facts are what is to say of a key besides its help, in short.
func (k *Key) facts() []string {
	facts := []string{string(k.Kind)}
	if len(k.Choices) > 0 {
		facts[0] = strings.Join(k.Choices, " | ")
	}
	if len(k.Types) > 0 {
		facts = append(facts, "type "+k.shortTypes())
	}
	if k.Required {
		facts = append(facts, "required")
	} else if k.Default != "" {
		facts = append(facts, "default "+k.Default)
	}
	if bounds := k.bounds(); bounds != "" {
		facts = append(facts, bounds)
	}
	return facts
}

func (k *Key) bounds() string {
	switch {
	case k.most > 0:
		return k.unit(k.least) + " to " + k.unit(k.most)
	case k.least > 0:
		return "at least " + k.unit(k.least)
	}
	return ""
}

// shortTypes names the types that the key belongs to.
func (k *Key) shortTypes() string {
	all := sensorTypes(devices.BusI2C, devices.BusWire, devices.BusBoard, devices.BusNone)
	var names []string
	for _, kind := range k.Types {
		if !slices.Contains(all, kind) {
			names = append(names, kind)
		}
	}
	for _, group := range []struct {
		name  string
		kinds []string
	}{{"sensors", all}, {"chips on I2C", sensorTypes(devices.BusI2C)}} {
		if !slices.ContainsFunc(group.kinds, func(kind string) bool { return !slices.Contains(k.Types, kind) }) {
			return strings.Join(append(names, group.name), ", ")
		}
	}
	return strings.Join(k.Types, ", ")
}

// typed is what has the key, in words.
func (k *Key) typed() string {
	what := "sinks"
	if strings.HasPrefix(k.Path, "devices[]") {
		what = "devices"
	}
	return what + " of type " + k.shortTypes()
}

const docHead = `# Configuration

` + "`gateway run --config gateway.yaml`" + ` reads one YAML file. Without a file the defaults below hold: the log in ` + "`./data`" + `, the
broker on 127.0.0.1:1883, no upstream. This page is made from the table that the gateway itself decodes by
(` + "`configs/keys_*.go`" + `); ` + "`gateway config describe`" + ` prints it, ` + "`gateway config example`" + ` prints a commented file.

` + "`gateway config check FILE`" + ` reports every mistake in one run, each with its place:

` + "```" + `
gateway.yaml:4:3: mqtt.max_packt_size: unknown key, allowed here are listen, tls, …; did you mean "max_packet_size"?
    4 |   max_packt_size: 256KiB
      |   ^
` + "```" + `

- Unknown keys, keys given twice and wrong types are mistakes; so are anchors, aliases and tags.
- A text may have ` + "`${VAR}`" + ` or ` + "`${VAR:-default}`" + ` of the environment; a variable that is not set is a mistake. What is filled in
  is never read as YAML. ` + "`$${`" + ` stands for ` + "`${`" + `.
- Relative paths are relative to the file's folder.
- Sizes: B, kB, MB, GB, TB are powers of 1000, KiB, MiB, GiB, TiB of 1024. Durations: ms, s, m, h, d, also together (1m30s).
- A secret has a twin that names a file: ` + "`password_file`" + ` for ` + "`password`" + `. The file should be readable by the gateway's user alone.
- A file is read at start. ` + "`gateway reload`" + ` (or SIGHUP) takes in what has changed of forwarders, sources and devices, and names the keys that hold from the next start on.

| Key | Type | Default | What it does |
|---|---|---|---|
`

// WriteMarkdown writes docs/configuration.md.
func WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(docHead)
	for _, k := range Keys() {
		kind := string(k.Kind)
		if len(k.Choices) > 0 {
			kind = strings.Join(k.Choices, ", ")
		}
		if bounds := k.bounds(); bounds != "" {
			kind += ", " + bounds
		}
		def := cmp.Or(k.Default, "–")
		if k.Required {
			def = "*required*"
		} else if k.Default != "" {
			def = "`" + def + "`"
		}
		help := k.Help
		if len(k.Types) > 0 {
			help = "(" + k.shortTypes() + ") " + help
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Path, kind, def, strings.ReplaceAll(help, "|", "\\|"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
