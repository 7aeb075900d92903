package configs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"gateway/devices"
)

// decoder fills a Config from a syntax tree by the table of keys, and gathers every problem on its way.
type decoder struct {
	source
	dir      string
	env      func(string) (string, bool)
	tree     *tree
	cfg      *Config
	problems []Problem
	warnings []Problem
}

// place is a line and a column, both from 1.
type place struct{ line, col int }

func (d *decoder) rootKey() *Key { return &Key{Kind: KindSection} }

// entry is one `key: value` of a section.
type entry struct {
	name  string
	at    place
	value ast.Node
}

// section decodes the keys of one section. key is its row in the table, path where it stands, i the element of the
// list that path goes through.
func (d *decoder) section(node ast.Node, key *Key, path string, i int) {
	entries, ok := d.entries(node, key, path)
	if !ok {
		return
	}
	kind := d.typeOf(key, entries)
	if key.Path == "devices[]" {
		d.cfg.Devices[i] = defaultDevice(kind)
	}
	if key.Path == "devices[].adjust[]" { // a list in a list: the outer one has the type
		kind = d.cfg.Devices[i].Type
	}
	seen := map[string]place{}
	for _, e := range entries {
		at := join(path, e.name)
		if first, twice := seen[e.name]; twice {
			d.problemAt(e.at, at, fmt.Sprintf("is given twice, first in line %d: remove one of the two", first.line))
			continue
		}
		seen[e.name] = e.at
		d.places[at] = e.at
		k := d.tree.find(join(key.Path, e.name), kind)
		if k == nil {
			d.problemAt(e.at, at, unknownKey(e.name, d.allowed(key.Path, kind)))
			continue
		}
		if !k.of(kind) {
			d.problemAt(e.at, at, fmt.Sprintf("is a key of %s, this one is of type %s; allowed here are %s",
				k.typed(), kind, strings.Join(d.allowed(key.Path, kind), ", ")))
			continue
		}
		d.value(e.value, k, at, i)
	}
	d.missing(seen, key, path, kind)
}

// allowed lists the keys of a section, for a sink or a device those of its type.
func (d *decoder) allowed(section, kind string) []string {
	var names []string
	for _, k := range d.tree.children[section] {
		if k.of(kind) && !slices.Contains(names, k.name()) {
			names = append(names, k.name())
		}
	}
	return names
}

// missing reports the required keys that a section does not have. Those of a type wait until it is known.
func (d *decoder) missing(seen map[string]place, section *Key, path, kind string) {
	for _, k := range d.tree.children[section.Path] {
		if _, given := seen[k.name()]; given || !k.Required || len(k.Types) > 0 && !slices.Contains(k.Types, kind) {
			continue
		}
		text := "is missing; wanted is " + d.wanted(k)
		if k.Kind != KindSection {
			text += ". " + k.Help
		}
		d.problem(join(path, k.name()), text)
	}
}

// typeOf is the valid type of the sink or device whose entries these are, "" for other sections.
func (d *decoder) typeOf(section *Key, entries []entry) string {
	k := d.tree.find(section.Path+".type", "")
	if k == nil {
		return ""
	}
	for _, e := range entries {
		if s, ok := e.value.(*ast.StringNode); ok && e.name == "type" {
			text, _, _ := expand(s.Value, d.env)
			if slices.Contains(k.Choices, text) {
				return text
			}
		}
	}
	return ""
}

// value decodes what stands behind a key.
func (d *decoder) value(node ast.Node, k *Key, path string, i int) {
	switch k.Kind {
	case KindSection:
		if k.place != nil {
			d.allocate(k, i)
		}
		d.section(node, k, path, i)
	case KindSections:
		d.sections(node, k, path, i)
	case KindFilters, KindAddresses, KindWindows, KindTexts:
		d.list(node, k, path, i)
	default:
		if text, ok := d.scalar(node, k, path); ok {
			d.set(k, text, path, i)
		}
	}
}

// allocate makes the section that a place points to.
func (d *decoder) allocate(k *Key, i int) {
	if p, ok := k.place(d.cfg, i).(**TLSListener); ok {
		*p = defaultTLSListener()
	}
}

// sections decodes a list of sections. In a list inside a list i stays the element of the outer one: the element of the inner one that
// is read is its last.
func (d *decoder) sections(node ast.Node, k *Key, path string, i int) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		if _, null := node.(*ast.NullNode); !null { // a key with every element below it commented out
			d.wrongType(node, k, path)
		}
		return
	}
	for n, item := range seq.Values {
		element := n
		switch list := k.place(d.cfg, i).(type) {
		case *[]Rule:
			*list = append(*list, Rule{})
		case *[]Forwarder:
			*list = append(*list, defaultForwarder())
		case *[]Source:
			*list = append(*list, defaultSource())
		case *[]devices.Spec:
			*list = append(*list, defaultDevice(""))
		case *[]devices.Adjust:
			*list = append(*list, devices.DefaultAdjust())
			element = i
		case *[]Route:
			*list = append(*list, defaultRoute())
			element = i
		}
		at := fmt.Sprintf("%s[%d]", path, n)
		d.places[at] = startOf(item)
		d.section(item, &Key{Path: k.Path + "[]", Kind: KindSection}, at, element)
	}
}

// list decodes a list of texts; one text alone is a list of one.
func (d *decoder) list(node ast.Node, k *Key, path string, i int) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		if text, ok := d.scalar(node, k, path); ok && d.accept(k, text, path) {
			*k.place(d.cfg, i).(*[]string) = []string{text}
		}
		return
	}
	values := []string{}
	for n, item := range seq.Values {
		at := fmt.Sprintf("%s[%d]", path, n)
		d.places[at] = startOf(item)
		if text, ok := d.scalar(item, k, at); ok && d.accept(k, text, at) {
			values = append(values, text)
		}
	}
	*k.place(d.cfg, i).(*[]string) = values
}

// entries lists the keys of a section; none for one that is empty.
func (d *decoder) entries(node ast.Node, key *Key, path string) ([]entry, bool) {
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return nil, true
	case *ast.MappingValueNode:
		return []entry{newEntry(n)}, true
	case *ast.MappingNode:
		entries := make([]entry, 0, len(n.Values))
		for _, v := range n.Values {
			entries = append(entries, newEntry(v))
		}
		return entries, true
	}
	d.wrongType(node, key, path)
	return nil, false
}

func newEntry(n *ast.MappingValueNode) entry {
	e := entry{at: startOf(n), value: n.Value}
	if t := n.Key.GetToken(); t != nil {
		e.name = t.Value
	}
	return e
}

// startOf is where a node begins. The token of a section in block style is its first colon.
func startOf(node ast.Node) place {
	switch n := node.(type) {
	case nil:
		return place{}
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return startOf(n.Values[0])
		}
	case *ast.MappingValueNode:
		if n.Key != nil {
			return startOf(n.Key)
		}
	}
	if t := node.GetToken(); t != nil && t.Position != nil {
		return place{t.Position.Line, max(1, t.Position.Column)}
	}
	return place{}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// problem reports what is wrong with the key at path, at its place or, where the file does not have it, at that of
// the section around it.
func (d *decoder) problem(path, text string) { d.problemAt(d.placeOf(path), path, text) }

func (d *decoder) problemAt(at place, path, text string) {
	d.problems = append(d.problems, d.source.problem(at, path, text))
}

func (d *decoder) warn(path, text string) {
	d.warnings = append(d.warnings, d.source.problem(d.placeOf(path), path, text))
}
