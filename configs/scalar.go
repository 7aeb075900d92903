package configs

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// scalar is the text of a single value, with variables filled in, if it can be one of the kind of the key.
func (d *decoder) scalar(node ast.Node, k *Key, path string) (string, bool) {
	d.places[path] = startOf(node)
	var raw string
	switch n := node.(type) {
	case *ast.StringNode:
		raw = n.Value
	case *ast.LiteralNode:
		raw = n.Value.Value
	case *ast.IntegerNode:
		if k.bare || k.Kind == KindNumber || k.Kind == KindDecimal || k.Kind == KindSize || k.Kind == KindDuration {
			return n.GetToken().Value, true
		}
		d.wrongType(node, k, path)
		return "", false
	case *ast.FloatNode:
		if k.Kind == KindDecimal {
			return n.GetToken().Value, true
		}
		d.wrongType(node, k, path)
		return "", false
	case *ast.BoolNode:
		if k.Kind == KindTruth || k.Kind == KindChoice && slices.Contains(k.Choices, n.GetToken().Value) { // "on", say
			return n.GetToken().Value, true
		}
		d.wrongType(node, k, path)
		return "", false
	default:
		d.wrongType(node, k, path)
		return "", false
	}
	text, used, errs := expand(raw, d.env)
	for _, err := range errs {
		d.problemAt(startOf(node), path, err.Error())
	}
	if len(errs) > 0 {
		return "", false
	}
	if (k.Kind == KindNumber || k.Kind == KindDecimal || k.Kind == KindTruth) && !used {
		d.wrongType(node, k, path)
		return "", false
	}
	return text, true
}

// set checks a text and puts it in its place.
func (d *decoder) set(k *Key, text, path string, i int) {
	if !d.accept(k, text, path) {
		return
	}
	switch p := k.place(d.cfg, i).(type) {
	case *string:
		if k.Kind == KindPath {
			text = d.resolve(text)
		}
		*p = text
	case *int64:
		n, err := ParseSize(text)
		if err == nil {
			err = k.inBounds(n)
		}
		if err != nil {
			d.problem(path, quoted(text)+err.Error())
			return
		}
		*p = n
	case *time.Duration:
		n, err := ParseDuration(text)
		if err == nil {
			err = k.inBounds(int64(n))
		}
		if err != nil {
			d.problem(path, quoted(text)+err.Error())
			return
		}
		*p = n
	case *float64:
		d.setDecimal(p, text, path)
	case **float64:
		*p = new(float64)
		d.setDecimal(*p, text, path)
	case *bool:
		truth, err := strconv.ParseBool(text)
		if err != nil {
			d.problem(path, quoted(text)+"wanted is true or false")
			return
		}
		*p = truth
	case *uint64:
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || k.inBounds(int64(n)) != nil {
			d.problem(path, quoted(text)+"wanted is "+d.wanted(k))
			return
		}
		*p = n
	case *int:
		digits, base := text, 10
		if hex, ok := strings.CutPrefix(text, "0x"); ok {
			digits, base = hex, 16
		}
		n, err := strconv.ParseInt(digits, base, 32)
		if err != nil || k.inBounds(n) != nil {
			d.problem(path, quoted(text)+"wanted is "+d.wanted(k))
			return
		}
		*p = int(n)
	}
}

func (d *decoder) setDecimal(to *float64, text, path string) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		d.problem(path, quoted(text)+"wanted is a number such as 0.5")
		return
	}
	*to = n
}

// accept reports what is wrong with a text by the choices and the check of its key.
func (d *decoder) accept(k *Key, text, path string) bool {
	if k.Kind == KindChoice && !slices.Contains(k.Choices, text) {
		d.problem(path, quoted(text)+"allowed are "+strings.Join(k.Choices, ", ")+didYouMean(text, k.Choices))
		return false
	}
	if k.Kind == KindPath && text == "" {
		d.problem(path, "is empty; wanted is "+d.wanted(k))
		return false
	}
	if k.check == nil {
		return true
	}
	if err := k.check(text); err != nil {
		if k.Kind == KindURL { // it may hold a password
			d.problem(path, err.Error())
			return false
		}
		d.problem(path, quoted(text)+err.Error())
		return false
	}
	return true
}

// inBounds says what is wrong with n by the bounds of its key.
func (k *Key) inBounds(n int64) error {
	if n < k.least {
		return fmt.Errorf("the least is %s", k.unit(k.least))
	}
	if k.most > 0 && n > k.most {
		return fmt.Errorf("the most is %s", k.unit(k.most))
	}
	return nil
}

// unit writes a bound as people write it.
func (k *Key) unit(n int64) string {
	switch k.Kind {
	case KindSize:
		return FormatSize(n)
	case KindDuration:
		return FormatDuration(time.Duration(n))
	default:
		return strconv.FormatInt(n, 10)
	}
}

// resolve makes a path relative to the folder of the file.
func (d *decoder) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(d.dir, path)
}

// wrongType reports a value of a shape that the key cannot have.
func (d *decoder) wrongType(node ast.Node, k *Key, path string) {
	d.problemAt(startOf(node), path, "is "+shape(node)+"; wanted is "+d.wanted(k)+quotesHint(node, k))
}

// quotesHint helps where YAML read a number or a truth value for what was meant as text.
func quotesHint(node ast.Node, k *Key) string {
	switch node.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
	default:
		return ""
	}
	switch k.Kind {
	case KindSecret:
		return ": put it in quotes"
	case KindText, KindTexts, KindPath, KindFilter, KindFilters:
		return fmt.Sprintf(": put it in quotes, %q", node.GetToken().Value)
	}
	return ""
}

// shape is what a value is, in the words that people read.
func shape(node ast.Node) string {
	switch node.(type) {
	case *ast.NullNode:
		return "empty"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "a truth value"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a section"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor or alias, which are not allowed here (write the value itself)"
	case *ast.TagNode:
		return "tagged with !, which is not allowed here"
	default:
		return "something else"
	}
}

// wanted is what a key can hold, in the words that people read.
func (d *decoder) wanted(k *Key) string {
	switch k.Kind {
	case KindSection:
		return "a section with the keys " + strings.Join(d.allowed(k.Path, ""), ", ")
	case KindSections:
		return "a list of sections: each begins with \"- \" and has the keys " + strings.Join(d.allowed(k.Path+"[]", ""), ", ")
	case KindChoice:
		return "one of " + strings.Join(k.Choices, ", ")
	case KindNumber:
		return fmt.Sprintf("a whole number from %d to %d", k.least, k.most)
	case KindDecimal:
		return "a number such as 0.5"
	case KindTruth:
		return "true or false"
	case KindTexts:
		return "a list of texts"
	case KindSize:
		return "a size such as 512MiB"
	case KindDuration:
		return "a duration such as 10s"
	case KindPath:
		return "the path of a file or folder"
	case KindURL:
		return "a URL such as tcp://broker.example.com:1883"
	case KindAddress:
		return "an address such as 127.0.0.1:1883"
	case KindAddresses:
		return "an address such as 127.0.0.1:1883, or a list of them"
	case KindFilter:
		return "a topic filter such as \"sensors/+/temperature\""
	case KindFilters:
		return "a list of topic filters such as [\"sensors/#\"]"
	default:
		return "text"
	}
}

// quoted begins a message with the value that it is about, cut short.
func quoted(text string) string {
	const most = 80
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return fmt.Sprintf("%q: ", text)
}
