package rules

import "testing"

var costs = []struct{ name, where, payload string }{
	{"attributes", `type == "reading" && topic startsWith "plant/" && size < 1000`, `{"celsius":31.5,"unit":"C"}`},
	{"match", `match("plant/+/temp")`, `{"celsius":31.5,"unit":"C"}`},
	{"data", `data.celsius > 30 && type == "reading"`, `{"celsius":31.5,"unit":"C"}`},
	{"number", `data > 30`, `31.5`},
	{"notreached", `type == "other" && data.celsius > 30`, `{"celsius":31.5,"unit":"C"}`},
	{"undecided", `data.celsius > 30`, `{"celsius":"hot"}`},
}

func BenchmarkCondition(b *testing.B) {
	for _, c := range costs {
		b.Run(c.name, func(b *testing.B) {
			condition, err := Compile(c.where)
			if err != nil {
				b.Fatal(err)
			}
			e := event(c.payload)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = condition(e)
			}
		})
	}
}

// TestWithoutDataNothingIsParsed bounds the allocations of a condition over attributes: one for each name that is looked at,
// and one for the arguments of calls, however large the payload is.
func TestWithoutDataNothingIsParsed(t *testing.T) {
	condition, err := Compile(costs[0].where)
	if err != nil {
		t.Fatal(err)
	}
	e := event(reading)
	if got := testing.AllocsPerRun(200, func() { _, _ = condition(e) }); got > 8 {
		t.Errorf("got %v allocations, want 8 at most", got)
	}
}
