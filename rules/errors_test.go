package rules

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// mistakes are conditions that do not compile; testdata/mistakes.txt has what is said about each.
var mistakes = []string{
	``, `  `, `tpic == "a"`, `foo`, `type`, `size`, `size + 1`, `type == 5`, `type > 5`, `type = "a"`, `data.x >`, `(data.x`, `data.x > 3)`,
	`data.x > 3 type`, `"abc`, `'a' == "a`, `type @ 3`, `topic matches "("`, `topic matches data.x`, `topic matches type`, `now() > time`,
	`lvel(1) == "a"`, `level("a") == "b"`, `level() == "a"`, `level(1, 2) == "a"`, `match(1)`, `repeat("a", 9) == "a"`, `filter(data, true) == nil`,
	`map(data, #) == nil`, `reduce(data, #acc + #) > 1`, `1..9 == nil`, `3 in 1..9`, `1 < size < 3`, `data.a ?: true`, `let x = 1; x > 1`, `true; false`,
	`data[1:2] == nil`, `{"a": 1} == nil`, `b"x" == text`, `$env.type == "a"`, `$env == nil`, `type.x == "a"`, `size.x == 1`, `nil.x`, `ext.area > 3`, `any(type, true)`,
	`any(data.l)`, `any(data.l, 3)`, `# > 3`, `not type`, `-type == "a"`, `type && true`, `data.Hour() == 3`, `time.String() == "a"`, `time.Add(3) > time`,
	`len(3) == 1`, `abs(type) == 1`, `len == 1`, `if true { true } else { false }`, "type == \"a\" &&\n  tpe == \"b\"", `type ? true : false`, `1e999 > 1`, `0xzz > 1`,
	`99999999999999999999 > 1`, `lower(3) == "a"`, `/* x`, `data.x == "\q"`, `match("a/#/b")`, `"#data" == #data`, `data.x not`,
}

func TestMistakesAreExplained(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, where := range mistakes {
		_, err := Compile(where)
		if err == nil {
			t.Errorf("%q compiled", where)
			continue
		}
		if strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%q: got more than a line: %q", where, err)
		}
		got.WriteString(strings.ReplaceAll(where, "\n", "⏎") + "\n\t" + err.Error() + "\n")
	}
	golden := filepath.Join("testdata", "mistakes.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestUndecidedSaysWhyWithoutThePayload(t *testing.T) {
	t.Parallel()
	const payload = `{"c":"secret","l":[1,"secret"],"o":{},"b":true,"n":3}`
	for _, c := range []struct{ where, want string }{
		{`data.c > 30`, `column 8: text and a number cannot be compared with >`},
		{`30 <= data.c`, `column 4: a number and text cannot be compared with <=`},
		{`data.c.d == 1`, `column 8: text has no fields`},
		{`data.n.d == 1`, `column 8: a number has no fields`},
		{`data.l["a"] == 1`, `column 7: an element of a list has a number, not text`},
		{`data[1] == 1`, `column 5: a field of an object has a name, not a number`},
		{`data.c`, `column 6: there is text where true or false is needed; compare it with something`},
		{`data.n && true`, `column 6: there is a number where true or false is needed; compare it with something`},
		{`data.c + 1 > 2`, `column 8: text and a number cannot be added`},
		{`data.c * 2 > 2`, `column 8: text and a number cannot go with *`},
		{`data.x - 2 > 2`, `column 8: nothing and a number cannot go with -`},
		{`data.n % 2 == 1`, `column 8: a number and a number cannot go with %`},
		{`-data.c > 2`, `column 1: it has no value for this event`},
		{`int(data.c) > 2`, `column 1: it has no value for this event`},
		{`float(data.x) > 2`, `column 1: it has no value for this event`},
		{`date(data.c) > time`, `column 1: it has no value for this event`},
		{`duration(data.n) > duration("1s")`, `column 1: there is a number where something else is needed`},
		{`data.n matches "3"`, `column 6: there is a number where text is needed`},
		{`data.n contains "3"`, `column 6: there is a number where text is needed`},
		{`lower(data.n) == "3"`, `column 1: there is a number where text is needed`},
		{`any(data.c, true)`, `column 10: there is text where a list is needed`},
		{`any(data.l, # > 3)`, `column 15: text and a number cannot be compared with >`},
		{`sum(data.l) > 3`, `column 1: text and a number cannot go with +`},
		{`len(data.x) > 3`, `column 1: there is nothing where something else is needed`},
		{`1 in data.c`, `column 3: there is text where a list is needed`},
		{`data == data`, `column 6: an object cannot be compared; compare its fields`},
		{`match(data.c + "#")`, `column 1: match() takes a topic filter, such as "plant/+/temp"`},
		{`match(data.c + "/#/x")`, `column 1: match() takes a topic filter, such as "plant/+/temp"`},
		{`level(data.c) == ""`, `column 1: level() takes a number, not text`},
	} {
		condition, err := Compile(c.where)
		if err != nil {
			t.Errorf("%s: %v", c.where, err)
			continue
		}
		ok, err := condition(event(payload))
		if ok || err == nil {
			t.Errorf("%s: got %v, %v, want an error", c.where, ok, err)
			continue
		}
		if _, why, _ := strings.Cut(err.Error(), `": `); why != c.want || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %q, want %q", c.where, err, c.want)
		}
	}
}

func TestHostileConditionsEndSoon(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]string{
		"too long":           strings.Repeat(" ", maxText) + "true",
		"too many nodes":     "true" + strings.Repeat("||true", 400),
		"too deep":           strings.Repeat("!(", 250) + "true" + strings.Repeat(")", 250),
		"chained":            strings.Repeat("1<(", 400) + "1<1" + strings.Repeat(")<1", 400),
		"nested chains":      strings.Repeat("1<(", 40) + "1<1<1" + strings.Repeat(")<1", 40) + "<1",
		"nested short forms": strings.Repeat("(", 40) + "data" + strings.Repeat(" ?: true)", 40),
		"brackets":           strings.Repeat("[", maxText),
		"minuses":            strings.Repeat("-", maxText-1) + "1",
		"huge range":         "1..9000000000 == nil",
	} {
		start := time.Now()
		if _, err := Compile(where); err == nil {
			t.Errorf("%s: it compiled", name)
		} else if took := time.Since(start); took > 5*time.Second || len(err.Error()) > 300 {
			t.Errorf("%s: took %s and said %q", name, took, err)
		}
	}
}

func TestHostileEvaluationsEndSoon(t *testing.T) {
	t.Parallel()
	list := "[" + strings.Repeat("1,", 30000) + "1]"
	for _, c := range []struct{ where, payload string }{
		{`any(data, any(data, any(data, # == 2)))`, list},
		{`all(data, text matches "(x+x+)+y|1" || true)`, list},
		{`count(data, # in data) > 3`, list},
		{`any(data, text + text == "")`, list[:60000] + "1]"},
		{`text` + strings.Repeat(`+text`, 100) + ` == ""`, strings.Repeat("x", 60000)},
	} {
		condition, err := Compile(c.where)
		if err != nil {
			t.Errorf("%s: %v", c.where, err)
			continue
		}
		start := time.Now()
		_, err = condition(event(c.payload))
		if took := time.Since(start); err == nil || took > 5*time.Second {
			t.Errorf("%s: got %v after %s, want an error soon", c.where, err, took)
		}
	}
}
