// Package rules decides about events with conditions that users write, such as
//
//	data.celsius > 30 && type == "reading"
//
// The language is a part of that of expr-lang/expr: its parser, type checker and virtual machine do the work, and none of its types
// leave this package. A condition depends on nothing but the event, so that replay decides the same again; what it
// may cost is bounded whatever the condition and the payload are (docs/expressions.md).
package rules

import (
	"errors"
	"fmt"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"gateway"
)

// Bounds of a condition's text.
const (
	maxText  = 4 << 10 // bytes
	maxNodes = 500     // operands and operators
	maxDepth = 200     // levels of nesting
)

// vmMemory bounds what the virtual machine counts: elements of lists that it makes. Lists are only literal, so it never gets there.
const vmMemory = 10_000

// Condition says whether an event fulfils it. An error means that it says nothing about this event; it names the
// condition and the column, and nothing of the payload. Safe for concurrent use.
type Condition func(e *gateway.Event) (bool, error)

// Compile makes a condition of its text. An error is one line that says where, what, and what to do.
func Compile(where string) (c Condition, err error) {
	// The parser and the checker are made for well-meant text. Whatever makes them panic is a mistake in the text for us.
	defer func() {
		if r := recover(); r != nil {
			c, err = nil, errors.New("it cannot be compiled; write it in a simpler way")
		}
	}()
	if len(where) > maxText {
		return nil, fmt.Errorf("it has %d bytes, the most is %d; split it into several routes", len(where), maxText)
	}
	program, err := compile(where)
	if err != nil {
		return nil, err
	}
	runners := &sync.Pool{New: func() any { return &runner{vm: vm.VM{MemoryBudget: vmMemory}} }}
	return func(e *gateway.Event) (bool, error) {
		r := runners.Get().(*runner)
		defer runners.Put(r)
		return r.run(program, where, e)
	}, nil
}

func compile(where string) (*vm.Program, error) {
	config := newConfig()
	tree, err := parser.ParseWithConfig(where, config)
	if err != nil {
		return nil, explain(err, where)
	}
	if err := vet(tree.Node, tree.Source); err != nil {
		return nil, err
	}
	// The first check is for the user, in the words that the user wrote; the second one is for the compiler, after the rewriting.
	if _, err := checker.Check(tree, config); err != nil {
		return nil, explain(err, where)
	}
	ast.Walk(&tree.Node, rewriter{})
	tree.Node = asBool(tree.Node)
	if _, err := checker.Check(tree, config); err != nil {
		return nil, explain(err, where)
	}
	program, err := compiler.Compile(tree, config)
	if err != nil {
		return nil, errors.New("it cannot be compiled; write it in a simpler way")
	}
	return program, nil
}

func newConfig() *conf.Config {
	config := conf.CreateNew()
	for _, option := range []expr.Option{
		expr.Env(&environment{}), expr.AsBool(), expr.DisableAllBuiltins(), expr.DisableIfOperator(), expr.MaxNodes(maxNodes),
		// The optimizer knows nothing of our own operators, and makes lists of ranges while it compiles.
		expr.Optimize(false),
	} {
		option(config)
	}
	for name := range builtins {
		expr.EnableBuiltin(name)(config)
	}
	for name := range config.Disabled {
		delete(config.Builtins, name)
	}
	for _, f := range functions {
		expr.Function(f.name, f.call, f.signature)(config)
	}
	return config
}

// runner is what one evaluation needs; it is used again.
type runner struct {
	vm  vm.VM
	env environment
}

func (r *runner) run(program *vm.Program, where string, e *gateway.Event) (bool, error) {
	r.env.reset(e)
	result, err := r.vm.Run(program, &r.env)
	r.env = environment{}
	clear(r.vm.Stack[:cap(r.vm.Stack)]) // hold no payload until the next event
	if err != nil {
		return false, undecided(err, where)
	}
	ok, _ := result.(bool)
	return ok, nil
}
