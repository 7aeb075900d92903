package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gateway/configs"
)

// FuzzParse: whatever is in the file, the answer is a configuration or problems that can be shown.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "gateway.example.yaml", "minimal.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := configs.Parse("fuzz.yaml", dir, data, environment)
		if err == nil {
			if c == nil || c.ID == "" || c.DataDir == "" {
				t.Fatalf("got %+v without an error", c)
			}
			return
		}
		var problems configs.Problems
		if !errors.As(err, &problems) || len(problems) == 0 || err.Error() == "" {
			t.Fatalf("got %T %v, want problems", err, err)
		}
	})
}
