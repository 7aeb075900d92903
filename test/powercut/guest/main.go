// Command guest is the rig's helper inside the virtual machine:
//
//	guest gateway DIR   prints what is in the gateway's log in DIR, which it changes
//	guest file FILE     prints what is in the file of a control
//	guest append FILE   is a control: acknowledges on port 1883 what it has appended to FILE and not synced
//	guest sync FILE     is the other one: it syncs before it acknowledges
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"gateway/test/powercut/found"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: guest gateway|file|append|sync PATH")
		os.Exit(2)
	}
	var err error
	switch verb, path := os.Args[1], os.Args[2]; verb {
	case "gateway":
		err = report(found.InGateway(context.Background(), path))
	case "file":
		err = report(found.InAppendFile(path))
	case "append":
		err = serve(":1883", path, false)
	case "sync":
		err = serve(":1883", path, true)
	default:
		err = fmt.Errorf("there is no verb %q", verb)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

// report prints one line, in one write, so that the kernel's messages stay outside it.
func report(f found.Found) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = fmt.Printf("\n%s%s\n", found.Prefix, text)
	return err
}
