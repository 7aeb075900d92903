package rules

import (
	"strings"
	"sync"
	"testing"
	"time"

	"gateway"
)

const reading = `{"celsius":31.5,"mode":"auto","on":true,"off":false,"none":null,"tags":["a","b"],"big":12,
"list":[{"v":1},{"v":40}],"nums":[1,2,3],"deep":{"er":{"x":7}}}`

func event(payload string) *gateway.Event {
	return &gateway.Event{
		ID: "e1", Source: "gw/1", Type: "reading", Subject: "plant/north/temp", DataContentType: "application/json", DataSchema: "urn:s",
		Time: time.Date(2026, 3, 1, 22, 30, 0, 0, time.FixedZone("", 3600)), Data: []byte(payload),
		Extensions: map[string]string{"area": "north"},
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		where, payload string
		want           bool
	}{
		{`data.celsius > 30 && type == "reading"`, reading, true},
		{`data.celsius > 31.5`, reading, false},
		{`data.celsius >= 31.5 and data.celsius <= 31.5 and not (data.celsius < 31.5)`, reading, true},
		{`30 < data.celsius`, reading, true},
		{`id == "e1" && source == "gw/1" && subject == topic && contenttype == "application/json" && schema == "urn:s"`, "", true},
		{`topic == "plant/north/temp" && level(1) == "plant" && level(3) == "temp" && level(4) == "" && level(0) == ""`, "", true},
		{`match("plant/+/temp") && !match("plant/+")`, "", true},
		{`topic matches "^plant/[a-z]+/" && topic contains "north" && topic startsWith "pl" && topic endsWith "mp"`, "", true},
		{`topic not contains "x" && type not in ["a", "b"] && type in ["x", "reading"]`, "", true},
		{`ext.area == "north" && "area" in ext && not ("x" in ext) && ext.missing == "" && ext["area"] == level(2)`, "", true},
		{`time.Hour() == 21 && time > date("2026-01-01") && time - date("2026-03-01") > duration("21h")`, "", true},
		{`size == 3 && text == "off"`, "off", true},
		{`lower(text) == "off" && upper(data.mode) == "AUTO"`, "OFF", false},
		{`upper(data.mode) == "AUTO" && lower(data.missing) == nil`, reading, true},
		{`text == "" && data == nil && size == 2`, "\xff\xfe", true},
		{`data > 20`, "21.5", true},
		{`data == true`, "true", true},
		{`data == "x"`, `"x"`, true},
		{`data == nil`, "not json", true},
		{`data == nil`, "", true},
		{`data.on`, reading, true},
		{`data.off || data.none || data.missing`, reading, false},
		{`not data.missing && data.on`, reading, true},
		{`data.missing.x.y == nil`, reading, true},
		{`data.missing.x.y > 3`, reading, false},
		{`data.missing < 3`, reading, false},
		{`data.missing == 3`, reading, false},
		{`data.missing != 3`, reading, true},
		{`data.missing matches "a" || data.missing contains "a" || data.missing in ["a"] || "a" in data.missing`, reading, false},
		{`data?.deep?.er.x == 7 && data["deep"]["er"].x == 7`, reading, true},
		{`data.nums[0] == 1 && data.nums[9] == nil && data.nums[-1] == nil`, reading, true},
		{`data.mode == 3`, reading, false},
		{`(data.missing ?? 5) > 4`, reading, true},
		{`data.celsius * 9 / 5 + 32 > 88 && -data.celsius < 0 && abs(0 - data.celsius) > 31`, reading, true},
		{`int(data.big) % 5 == 2 && data.big ** 2 == 144`, reading, true},
		{`any(data.list, .v > 30) && !all(data.list, #.v > 30) && none(data.list, .v > 50) && one(data.list, .v == 1)`, reading, true},
		{`count(data.nums, # > 1) == 2 && sum(data.nums) == 6 && sum(data.list, .v) == 41 && len(data.tags) == 2`, reading, true},
		{`any(data.missing, # > 1) || !all(data.missing, # > 1) || sum(data.missing) > 0`, reading, false},
		{`"b" in data.tags && "on" in data && !("c" in data.tags) && data.mode in ["auto"] && 3 in data.nums`, reading, true},
		{`type | lower() == "reading"`, "", true},
		{`true` + strings.Repeat(` && data.on`, 90), reading, true},
		{`data.on ? data.celsius > 40 : true`, reading, false},
		{`topic == "plant/" + ext.area + "/temp" && data.mode + "x" == "autox"`, reading, true},
		{`round(data.celsius) == 32 && floor(data.celsius) == 31 && ceil(data.celsius) == 32 && float("1.5") == 1.5`, reading, true},
		{"data.celsius > 30 // hot\n&& data.on", reading, true},
		{`data.n == 9007199254740992`, `{"n":9007199254740993}`, true}, // numbers are 64-bit floats
	} {
		condition, err := Compile(c.where)
		if err != nil {
			t.Errorf("%s: %v", c.where, err)
			continue
		}
		for range 2 { // the second time on a used runner
			if got, err := condition(event(c.payload)); err != nil || got != c.want {
				t.Errorf("%s: got %v, %v, want %v", c.where, got, err, c.want)
			}
		}
	}
}

func TestPayloadBounds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, where, payload string
	}{
		{"too long for data", `data == nil`, `"` + strings.Repeat("x", maxPayload) + `"`},
		{"as long as data may be", `data != nil`, `"` + strings.Repeat("x", maxPayload-2) + `"`},
		{"too deep", `data == nil`, strings.Repeat("[", maxPayloadDepth+1) + strings.Repeat("]", maxPayloadDepth+1)},
		{"as deep as it may be", `data != nil`, strings.Repeat("[", maxPayloadDepth) + strings.Repeat("]", maxPayloadDepth)},
		{"brackets in text", `data.x endsWith "["`, `{"x":"\"` + strings.Repeat("[", 100) + `"}`},
		{"too long for text", `text == ""`, strings.Repeat("x", maxString+1)},
		{"as long as text may be", `text startsWith "xxx"`, strings.Repeat("x", maxString)},
	} {
		condition, err := Compile(c.where)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := condition(event(c.payload)); err != nil || !got {
			t.Errorf("%s: got %v, %v, want true", c.name, got, err)
		}
	}
}

// TestDataIsParsedOnlyWhenReached looks at the payload's parsing, which an evaluation does once at most.
func TestDataIsParsedOnlyWhenReached(t *testing.T) {
	t.Parallel()
	var v environment
	v.reset(event(reading))
	program, err := compile(`type == "other" && data.on`)
	if err != nil {
		t.Fatal(err)
	}
	var r runner
	if _, err := r.vm.Run(program, &v); err != nil || v.parsed {
		t.Errorf("got parsed %v, %v; want not parsed", v.parsed, err)
	}
	v.Data, v.parsed = map[string]any{"on": "kept"}, true
	if got := v.data().(map[string]any)["on"]; got != "kept" {
		t.Errorf("got %v, want what was parsed before", got)
	}
}

func TestConditionIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	condition, err := Compile(`data.n > 5 && topic matches "^plant" && any(data.l, # == 1) && text != "" && data.s contains "a"`)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			hot := event(`{"n":6,"l":[0,1],"s":"a"}`)
			cold := event(`{"n":5}`)
			bad := event(`{"n":"x"}`)
			for range 500 {
				if ok, err := condition(hot); !ok || err != nil {
					t.Errorf("goroutine %d: got %v, %v, want true", i, ok, err)
				}
				if ok, err := condition(cold); ok || err != nil {
					t.Errorf("goroutine %d: got %v, %v, want false", i, ok, err)
				}
				if ok, err := condition(bad); ok || err == nil {
					t.Errorf("goroutine %d: got %v, %v, want an error", i, ok, err)
				}
			}
		})
	}
	group.Wait()
}
