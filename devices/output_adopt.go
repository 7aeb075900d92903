package devices

import (
	"errors"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
)

// wire says which line an output drives, and how: what has the same can go on with the same request.
func wire(s *Spec) string {
	polarity := "high"
	if s.Invert {
		polarity = "low"
	}
	return strings.Join([]string{"output", url.QueryEscape(s.Chip), url.QueryEscape(s.Pin), polarity}, "/")
}

// Files are the descriptors of the lines that are open now, by names that systemd takes (FDNAME): the line, how it is driven, and its safe state. Kept by
// systemd, and given to NewOutputs of the next process, a line keeps its level in between. They belong to the outputs: nobody else may close them. After Change
// there are others; what is not there any more must be removed from systemd's store, for as long as it is kept nobody else can have the line.
func (o *Outputs) Files() map[string]*os.File {
	o.mu.Lock()
	defer o.mu.Unlock()
	files := map[string]*os.File{}
	for _, p := range o.byName {
		if p.file != nil {
			files[p.at+"/"+p.spec.Safe] = p.file
		}
	}
	return files
}

// adopt takes over the descriptors of an earlier process. Those that fit no spec are driven to what was their safe level, and closed.
func (o *Outputs) adopt(specs []Spec) (kept map[string]line) {
	kept = map[string]line{}
	for _, name := range slices.Sorted(maps.Keys(o.o.Adopt)) {
		at, safe := cutLast(name)
		i := slices.IndexFunc(specs, func(s Spec) bool { return wire(&s) == at })
		config := (&Spec{Name: "left over", Invert: strings.HasSuffix(at, "/low")}).outputConfig(safe == OutputOn)
		if i >= 0 {
			config = specs[i].outputConfig(safe == OutputOn)
		}
		l, err := o.lines.Adopt(o.o.Adopt[name], config)
		if err != nil {
			o.o.Logger.Warn("a line that systemd kept cannot be taken over", "name", name, "err", err)
			continue
		}
		if i >= 0 && kept[at] == nil {
			kept[at] = l
			continue
		}
		if err := errors.Join(l.Set(safe == OutputOn), l.Close()); err != nil {
			o.o.Logger.Warn("a line that systemd kept and that no output has any more cannot be put into its safe state", "name", name, "err", err)
		}
	}
	return kept
}

func cutLast(name string) (before, after string) {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)], name[i+1:]
}
