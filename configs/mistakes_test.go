package configs_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateway/configs"
)

var update = flag.Bool("update", false, "write the golden files anew")

// environment is what the variables of test files come from.
func environment(name string) (string, bool) {
	value, ok := map[string]string{"LEVEL": "loud", "CLIENTS": "lots", "SECRET": "geheim", "EMPTY": "", "TRAP": "a: [b, &c"}[name]
	return value, ok
}

// TestMistakes compares every message, for each kind of mistake, with its golden file, which is read in review.
func TestMistakes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(files) < 15 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = configs.Parse("gateway.yaml", "testdata/mistakes", data, environment)
			var problems configs.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("got %v, want problems", err)
			}
			got := err.Error() + "\n"
			if strings.Contains(got, "geheim") {
				t.Errorf("a secret is in the message:\n%s", got)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", got)
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", file, diff)
	}
}
