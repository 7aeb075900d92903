package rules

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"

	"gateway"
)

// names are those of an event that a condition can use, in the order in which they are explained.
var names = []string{"id", "source", "type", "subject", "topic", "time", "contenttype", "schema", "ext", "data", "text", "size"}

// builtins are the functions of expr that we let through. The others loop without bounds, make long texts, or read the clock.
var builtins = map[string]bool{
	"all": true, "any": true, "none": true, "one": true, "count": true, "sum": true, "len": true, "abs": true, "ceil": true,
	"floor": true, "round": true, "int": true, "float": true, "date": true, "duration": true,
}

// own are our functions for users, and loops the builtins with a loop in them.
var (
	own   = map[string]bool{"level": true, "match": true, "lower": true, "upper": true}
	loops = map[string]bool{"all": true, "any": true, "none": true, "one": true, "count": true, "sum": true}
)

// timeMethods give plain numbers, in UTC.
var timeMethods = []string{"Year", "Day", "Hour", "Minute", "Second", "YearDay", "Unix"}

// vetter walks over what the parser made of a text, before the checker does: it lets through what is in our language
// and bounded. In expr's tree a chained comparison shares its middle operand, which the checker would visit twice at every
// level of nesting: twelve bytes more, twice the time.
type vetter struct {
	source file.Source
	seen   map[ast.Node]bool
}

func vet(root ast.Node, source file.Source) error {
	v := &vetter{source: source, seen: map[ast.Node]bool{}}
	return v.node(root, 0)
}

func (v *vetter) node(n ast.Node, depth int) error {
	if v.seen[n] {
		return v.fail(n, "a comparison cannot go on, and ?: needs a middle; write a < b && b < c, or a ? b : c")
	}
	v.seen[n] = true
	if depth > maxDepth {
		return v.fail(n, "it is nested deeper than %d levels; write it in a flatter way", maxDepth)
	}
	if err := v.allowed(n); err != nil {
		return err
	}
	for _, child := range children(n) {
		if err := v.node(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (v *vetter) allowed(n ast.Node) error {
	switch n := n.(type) {
	case *ast.NilNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode, *ast.UnaryNode,
		*ast.ChainNode, *ast.MemberNode, *ast.PredicateNode, *ast.PointerNode, *ast.ConditionalNode, *ast.ArrayNode:
		return nil
	case *ast.IdentifierNode:
		if !slices.Contains(names, n.Value) {
			return v.fail(n, "there is no name %q%s The names are %s", n.Value, closest(n.Value, names), strings.Join(names, ", "))
		}
		return nil
	case *ast.BuiltinNode:
		return v.function(n, n.Name)
	case *ast.CallNode:
		return v.call(n)
	case *ast.BinaryNode:
		return v.binary(n)
	}
	kind := strings.TrimSuffix(reflect.TypeOf(n).Elem().Name(), "Node")
	return v.fail(n, "%s is not a part of conditions; use comparisons, &&, ||, not, and the functions in docs/expressions.md", constructs[kind])
}

var constructs = map[string]string{
	"VariableDeclarator": "let", "Sequence": "a semicolon", "Slice": "a slice [a:b]", "Map": "a map { }", "Bytes": `b"bytes"`,
}

func (v *vetter) binary(n *ast.BinaryNode) error {
	if n.Operator == ".." {
		return v.fail(n, "a range is not a part of conditions; write a >= 1 && a <= 9")
	}
	if _, literal := n.Right.(*ast.StringNode); n.Operator == "matches" && !literal {
		return v.fail(n, `the pattern of matches must be a text in quotes, as in topic matches "^plant/[0-9]+/"`)
	}
	return nil
}

func (v *vetter) call(n *ast.CallNode) error {
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		if err := v.filter(n, callee.Value); err != nil {
			return err
		}
		return v.function(n, callee.Value)
	case *ast.MemberNode:
		base, isName := callee.Node.(*ast.IdentifierNode)
		method, isText := callee.Property.(*ast.StringNode)
		if isName && base.Value == "time" && isText && slices.Contains(timeMethods, method.Value) {
			return nil
		}
	}
	return v.fail(n, "only time has functions of its own: %s, as in time.Hour() >= 22", strings.Join(timeMethods, ", "))
}

// filter checks the topic filter of match, where it is literal.
func (v *vetter) filter(n *ast.CallNode, name string) error {
	if name != "match" || len(n.Arguments) != 1 {
		return nil
	}
	text, literal := n.Arguments[0].(*ast.StringNode)
	if !literal {
		return nil
	}
	if err := gateway.ValidFilter(text.Value); err != nil {
		return v.fail(text, "%q is not a topic filter: %v", text.Value, err)
	}
	return nil
}

func (v *vetter) function(n ast.Node, name string) error {
	if builtins[name] || own[name] {
		return nil
	}
	var all []string
	for _, set := range []map[string]bool{builtins, own} {
		for f := range set {
			all = append(all, f)
		}
	}
	slices.Sort(all)
	return v.fail(n, "there is no function %q%s The functions are %s", name, closest(name, all), strings.Join(all, ", "))
}

func (v *vetter) fail(n ast.Node, format string, args ...any) error {
	at := (&file.Error{Location: n.Location()}).Bind(v.source)
	return fmt.Errorf("%s: %s", place(at), fmt.Sprintf(format, args...))
}

// children are the operands of a node that allowed let through. The name of a function is none.
func children(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.ChainNode:
		return []ast.Node{n.Node}
	case *ast.MemberNode:
		return []ast.Node{n.Node, n.Property}
	case *ast.PredicateNode:
		return []ast.Node{n.Node}
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.BuiltinNode:
		return n.Arguments
	case *ast.CallNode:
		return n.Arguments
	}
	return nil
}
