package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds the configuration file, in bytes.
const maxFile = 1 << 20

// Load reads and checks a configuration file, or standard input where file is "-". Variables come from the
// environment, relative paths are relative to the file's folder. An error that is Problems lists everything that is
// wrong with the content; any other says that the file could not be read. checks say what further is wrong with a configuration; they are asked also where it has
// mistakes already, so that all are told in one run, and what they say about keys that were reported is left out.
func Load(file string, checks ...func(*Config) []Problem) (*Config, error) {
	if file == "-" {
		data, err := io.ReadAll(io.LimitReader(os.Stdin, maxFile+1))
		if err != nil {
			return nil, fmt.Errorf("read configuration from standard input: %w", err)
		}
		return Parse("standard input", ".", data, os.LookupEnv, checks...)
	}
	data, err := readRegular(file, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(file, filepath.Dir(file), data, os.LookupEnv, checks...)
}

// Parse checks the content of a configuration file. name stands in messages, relative paths are taken from dir, and
// env looks variables up. It reads the files that the configuration names. checks are as of Load.
func Parse(name, dir string, data []byte, env func(string) (string, bool), checks ...func(*Config) []Problem) (*Config, error) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	d := &decoder{
		source: source{name: name, lines: strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n"), places: map[string]place{}},
		dir:    dir, env: env, tree: newTree(), cfg: Default(),
	}
	d.cfg.File = name
	d.cfg.DataDir = d.resolve(d.cfg.DataDir)
	if body, ok := d.parse(data); ok {
		d.section(body, d.rootKey(), "", 0)
		d.check()
		d.cfg.source = d.source
		for _, check := range checks {
			for _, p := range check(d.cfg) {
				if !d.hasProblem(p.Path) {
					d.problems = append(d.problems, p)
				}
			}
		}
	}
	sortProblems(d.problems)
	if len(d.problems) > 0 {
		return nil, Problems(d.problems)
	}
	sortProblems(d.warnings)
	d.cfg.Warnings, d.cfg.source = d.warnings, d.source
	return d.cfg, nil
}

// parse makes the syntax tree; nil for an empty file. What keeps it from being one YAML document becomes a problem.
func (d *decoder) parse(data []byte) (body ast.Node, ok bool) {
	if len(data) > maxFile {
		d.problems = append(d.problems, Problem{File: d.name, Text: "the file is too large: a configuration has at most " + FormatSize(maxFile)})
		return nil, false
	}
	file, err := parseYAML(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")))
	if syntax := (*yaml.SyntaxError)(nil); errors.As(err, &syntax) && syntax.Token != nil && syntax.Token.Position != nil {
		pos := place{syntax.Token.Position.Line, syntax.Token.Position.Column}
		d.problemAt(pos, "", "this is not YAML: "+syntax.Message+d.yamlHint(pos))
		return nil, false
	}
	if err != nil {
		d.problems = append(d.problems, Problem{File: d.name, Text: fmt.Sprintf("this is not YAML: %v", err)})
		return nil, false
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			d.problemAt(startOf(doc.Body), "", "a second document begins here: a configuration is one, without ---")
			return nil, false
		}
		body = doc.Body
	}
	return body, true
}

// yamlHint says what to do about the syntax errors that people make most, "" for others.
func (d *decoder) yamlHint(at place) string {
	if at.line < 1 || at.line > len(d.source.lines) {
		return ""
	}
	line := d.source.lines[at.line-1]
	if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, "\t") {
		return "; YAML is indented with spaces, not with tabs"
	}
	// The place is that of the * or what follows it.
	if near := line[min(max(at.col-2, 0), len(line)):min(at.col, len(line))]; strings.Contains(near, "*") {
		return `; a text that begins with * has to be quoted, as in "*"`
	}
	return ""
}

// parseYAML contains the panics of the parser, which is not ours: a file must never crash the gateway.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the parser gave up (%v)", r)
		}
	}()
	return parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
}

// readRegular reads a file of at most limit bytes, and nothing that could block, such as a pipe.
func readRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s is too large: at most %s is read", path, FormatSize(limit))
	}
	return os.ReadFile(path)
}
