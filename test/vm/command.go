package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Command runs a program in dir and returns what it printed on standard output; the error has the rest.
func Command(ctx context.Context, dir, program string, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %.500s %.500s", program, err, stderr.String(), out)
	}
	return string(out), nil
}

// Need names all programs that are missing; tools has them by the Debian package that they are in. The folders of system programs are searched
// also where PATH leaves them out.
func Need(tools map[string][]string) error {
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return err
	}
	var missing []error
	for pkg, programs := range tools {
		for _, program := range programs {
			if _, err := exec.LookPath(program); err != nil {
				missing = append(missing, fmt.Errorf("%s is missing: apt-get install %s", program, pkg))
			}
		}
	}
	return errors.Join(missing...)
}
