package rules

import "testing"

// FuzzCompile gives any text to Compile, and any payload to what compiles: neither may panic, and each ends.
func FuzzCompile(f *testing.F) {
	for _, where := range mistakes {
		f.Add(where, reading)
	}
	f.Add(`data.celsius > 30 && type == "reading"`, reading)
	f.Add(`any(data.list, .v > 30) || sum(data.nums) in [1, 2] || level(2) + text matches "a" ? true : data?.x[1] ?? false`, reading)
	f.Fuzz(func(t *testing.T, where, payload string) {
		if len(where) <= maxText {
			_, _ = compile(where) // without the recover of Compile
		}
		condition, err := Compile(where)
		if (condition == nil) == (err == nil) {
			t.Fatalf("%q: got a condition %v and %v", where, condition != nil, err)
		}
		if err != nil {
			return
		}
		e := event(payload)
		first, err := condition(e)
		if first && err != nil {
			t.Fatalf("%q: got true and %v", where, err)
		}
		if second, again := condition(e); first != second || (err == nil) != (again == nil) {
			t.Fatalf("%q: got %v, %v and then %v, %v", where, first, err, second, again)
		}
	})
}
