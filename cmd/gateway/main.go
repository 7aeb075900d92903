// Command gateway is the edge event gateway: the verbs, the wiring of the packages, and the exit codes. It is the
// only place that knows everybody.
//
// Exit codes: 0 all went well, 1 something failed at run time, 2 the command line or the configuration is wrong.
package main

import (
	"fmt"
	"io"
	"os"
)

// version is set by the linker: -X main.version=…
var version = ""

// streams are what a verb reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// say writes to standard error. Where that is closed, there is nobody to tell.
func (s streams) say(format string, args ...any) { _, _ = fmt.Fprintf(s.err, format, args...) }

func main() {
	os.Exit(execute(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}
