package gateway_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// layers says which of our own packages each may import, as prefixes below the module. The root is free to all.
var layers = map[string][]string{
	"":                  {},
	"buffer":            {},
	"mqtt":              {},
	"mqtt/mqttsource":   {"mqtt"},
	"devices":           {"devices"},
	"devices/*":         {},
	"rules":             {},
	"admin":             {},
	"forwarder":         {},
	"forwarder/*":       {},
	"configs":           {"buffer", "mqtt", "devices", "rules", "forwarder", "admin"},
	"cmd/gateway":       {"buffer", "mqtt", "devices", "rules", "forwarder", "admin", "configs", "internal"},
	"internal/demo":     {"internal", "devices"},
	"internal/*":        {"internal"},
	"internal/load/cmd": {"internal"},
	"test":              {"internal"},
	"test/*":            {"internal", "test", "buffer"},
}

// owners says which packages may import a library, by the prefix of its import path. What is not listed is free to all.
var owners = map[string][]string{
	"github.com/dgraph-io/badger":         {"buffer"},
	"github.com/klauspost/compress":       {"buffer"},
	"github.com/mochi-mqtt/server":        {"mqtt", "internal/demo"},
	"github.com/eclipse/paho.mqtt.golang": {"forwarder/mqttsink", "mqtt/mqttsource", "internal/demo"},
	"periph.io":                           {"devices"},
	"github.com/expr-lang/expr":           {"rules"},
	"github.com/goccy/go-yaml":            {"configs"},
	"github.com/spf13/cobra":              {"cmd/gateway"},
	"golang.org/x/crypto":                 {"mqtt"},
	"github.com/cloudevents/sdk-go":       {}, // tests only
	"github.com/google/go-cmp":            {}, // tests only
	"pgregory.net/rapid":                  {}, // tests only
	"github.com/rogpeppe/go-internal":     {}, // tests only
	"github.com/prometheus/client_golang": {"admin", "buffer", "mqtt", "forwarder", "rules", "devices", "cmd/gateway"},
	"golang.org/x/sync":                   {"cmd/gateway", "internal", "test"},
	"golang.org/x/term":                   {"cmd/gateway", "internal/demo"},
}

const module = "gateway"

type pkg struct {
	ImportPath                string
	Standard                  bool
	Imports                   []string
	TestImports, XTestImports []string
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Standard,Imports,TestImports,XTestImports", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// TestImportsRunOneWay holds the house together: root ← {buffer, mqtt, devices, rules, forwarder, admin} ← configs ← cmd,
// siblings never import each other, and only the package that wraps a library imports it. Test files may use more.
func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		dir := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imp := range p.Imports {
			if why := forbidden(dir, imp); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, why)
			}
		}
	}
}

func forbidden(dir, imp string) string {
	if imp == module {
		return ""
	}
	if own, ok := strings.CutPrefix(imp, module+"/"); ok {
		allowed, known := layerOf(dir)
		if !known {
			return "the package has no place in the layers of arch_test.go"
		}
		if own == dir || within(own, allowed) {
			return ""
		}
		return "that is not a layer below it"
	}
	if dir == "" && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
		return "the root imports only the standard library"
	}
	for lib, dirs := range owners {
		if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !within(dir, dirs) {
			return "only " + strings.Join(dirs, ", ") + " may"
		}
	}
	return ""
}

func layerOf(dir string) ([]string, bool) {
	if allowed, ok := layers[dir]; ok {
		return allowed, true
	}
	for d := dir; d != "." && d != ""; d = path.Dir(d) {
		if allowed, ok := layers[path.Dir(d)+"/*"]; ok {
			return allowed, true
		}
	}
	return nil, false
}

func within(dir string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return dir == d || strings.HasPrefix(dir, d+"/") })
}

func TestArchFindsWhatIsForbidden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dir, imp string
		ok       bool
	}{
		{"mqtt", "gateway", true},
		{"mqtt", "gateway/buffer", false},
		{"buffer", "github.com/mochi-mqtt/server/v2", false},
		{"mqtt", "github.com/mochi-mqtt/server/v2/packets", true},
		{"", "github.com/google/go-cmp/cmp", false},
		{"forwarder/mqttsink", "gateway/forwarder", false},
		{"cmd/gateway", "gateway/mqtt", true},
		{"cmd/gateway", "github.com/dgraph-io/badger/v4", false},
		{"configs", "gateway/cmd/gateway", false},
		{"nowhere", "gateway/buffer", false},
	} {
		if why := forbidden(c.dir, c.imp); (why == "") != c.ok {
			t.Errorf("%q importing %q: got %q, want allowed %v", c.dir, c.imp, why, c.ok)
		}
	}
}
