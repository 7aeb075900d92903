package rules

import (
	"reflect"

	"github.com/expr-lang/expr/ast"
)

// rewriter puts our own operators where the checker cannot know the types, which is wherever data is: expr's own ones panic
// over what is missing and over lists, and count no work. The names of ours begin with #, which no text can say. It
// visits operands before what is made of them, and keeps the types that the checker found.
type rewriter struct{}

// Visit implements ast.Visitor.
func (rewriter) Visit(at *ast.Node) {
	switch n := (*at).(type) {
	case *ast.IdentifierNode:
		if n.Value == "data" || n.Value == "text" || n.Value == "topic" {
			replace(at, "#"+n.Value)
		}
	case *ast.MemberNode:
		if unknown(n.Node) {
			replace(at, "#field", n.Node, n.Property)
		}
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			n.Node = asBool(n.Node)
		}
	case *ast.ConditionalNode:
		n.Cond = asBool(n.Cond)
	case *ast.BinaryNode:
		rewriteBinary(at, n)
	case *ast.BuiltinNode:
		rewriteLoop(n)
	case *ast.CallNode:
		if name, ok := n.Callee.(*ast.IdentifierNode); ok && own[name.Value] {
			replace(at, "#"+name.Value, n.Arguments...)
		}
	}
}

func rewriteBinary(at *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "&&", "||", "and", "or":
		n.Left, n.Right = asBool(n.Left), asBool(n.Right)
	case "<", "<=", ">", ">=", "==", "!=":
		if unknown(n.Left) || unknown(n.Right) {
			replace(at, "#"+n.Operator, n.Left, n.Right)
		}
	case "+":
		if unknown(n.Left) || unknown(n.Right) || n.Left.Type().Kind() == reflect.String {
			replace(at, "#+", n.Left, n.Right)
		}
	case "in":
		replace(at, "#in", n.Left, literalList(n.Right))
	case "matches":
		n.Left = call("#string", n.Left, n.Left)
	case "contains", "startsWith", "endsWith":
		n.Left, n.Right = call("#string", n.Left, n.Left), call("#string", n.Right, n.Right)
	}
}

// stepWork is what one operand or operator in the body of a loop costs, in the measure of maxWork.
const stepWork = 8

// rewriteLoop makes a loop pay for all of its rounds before the first one.
func rewriteLoop(n *ast.BuiltinNode) {
	if !loops[n.Name] {
		return
	}
	cost := &counter{}
	for i := range n.Arguments[1:] {
		ast.Walk(&n.Arguments[i+1], cost)
		if body, ok := n.Arguments[i+1].(*ast.PredicateNode); ok && n.Name != "sum" {
			body.Node = asBool(body.Node)
		}
	}
	n.Arguments[0] = call("#list", n.Arguments[0], n.Arguments[0], &ast.IntegerNode{Value: (cost.nodes + 1) * stepWork})
}

type counter struct{ nodes int }

// Visit implements ast.Visitor.
func (c *counter) Visit(*ast.Node) { c.nodes++ }

// literalList makes a list of literals once, instead of at every event.
func literalList(n ast.Node) ast.Node {
	list, ok := n.(*ast.ArrayNode)
	if !ok {
		return n
	}
	values := make([]any, len(list.Nodes))
	for i, element := range list.Nodes {
		switch e := element.(type) {
		case *ast.StringNode:
			values[i] = e.Value
		case *ast.IntegerNode:
			values[i] = e.Value
		case *ast.FloatNode:
			values[i] = e.Value
		case *ast.BoolNode:
			values[i] = e.Value
		default:
			return n
		}
	}
	constant := &ast.ConstantNode{Value: values}
	constant.SetLocation(n.Location())
	return constant
}

func asBool(n ast.Node) ast.Node {
	if unknown(n) {
		return call("#bool", n, n)
	}
	return n
}

func unknown(n ast.Node) bool { return n.Type().Kind() == reflect.Interface }

func replace(at *ast.Node, name string, args ...ast.Node) { *at = call(name, *at, args...) }

// call is a call of one of our functions, at the place and of the type of n. The first argument is always the environment.
func call(name string, n ast.Node, args ...ast.Node) ast.Node {
	c := &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: append([]ast.Node{&ast.IdentifierNode{Value: "$env"}}, args...)}
	c.SetLocation(n.Location())
	c.SetNature(*n.Nature())
	return c
}
