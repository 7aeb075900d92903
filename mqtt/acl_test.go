package mqtt

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gateway"
)

func policy(t testing.TB, rules ...Rule) *Policy {
	t.Helper()
	p, err := NewPolicy("", rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	p := policy(t,
		Rule{"*", "write", "devices/%c/#"},
		Rule{"*", "read", "news/+"},
		Rule{"kitchen", "readwrite", "home/%u/+/%c-x"},
		Rule{"admin", "readwrite", "#"},
		Rule{"admin", "read", "$SYS/#"},
		Rule{"odd", "write", "%c/#"},
	)
	for _, c := range []struct {
		user, client, topic string
		write, want         bool
	}{
		{"", "d1", "devices/d1/temp", true, true},
		{"", "d1", "devices/d1", true, true},
		{"", "d1", "devices/d2/temp", true, false},
		{"", "d1", "devices/d1/temp", false, false},
		{"", "+", "devices/+/temp", true, false},
		{"", "#", "devices/#/temp", true, false},
		{"", "a/b", "devices/a/b/temp", true, false},
		{"", "", "devices//temp", true, false},
		{"", "d1", "news/a", false, true},
		{"", "d1", "news/+", false, true},
		{"", "d1", "news/#", false, false},
		{"", "d1", "news", false, false},
		{"", "d1", "$share/g/news/+", false, true},
		{"", "d1", "$SHARE/g/news/+", false, true},
		{"", "d1", "$share/g/devices/d1", false, false},
		{"", "d1", "$share/news/a", false, false},
		{"", "d1", "$share//news/a", false, false},
		{"", "d1", "$share/g/", false, false},
		{"", "d1", "$share", false, false},
		{"kitchen", "d", "home/kitchen/a/d-x", true, true},
		{"kitchen", "d", "home/kitchen/+/d-x", false, true},
		{"kitchen", "d", "home/kitchen/a/e-x", true, false},
		{"kitchen", "d", "home/bath/a/d-x", true, false},
		{"bath", "d", "home/bath/a/d-x", true, false},
		{"admin", "x", "#", false, true},
		{"admin", "x", "a/b", true, true},
		{"admin", "x", "a/+", true, false}, // not a topic
		{"admin", "x", "$SYS/broker", false, true},
		{"admin", "x", "$SYS/broker", true, false},
		{"admin", "x", "$SYS/#", false, true},
		{"odd", "a", "a/b", true, true},
		{"odd", "$SYS", "$SYS/b", true, false},
		{"", "d1", "", true, false},
		{"", "d1", "", false, false},
	} {
		if got := p.Allowed(c.user, c.client, c.topic, c.write); got != c.want {
			t.Errorf("Allowed(%q, %q, %q, write %v): got %v, want %v", c.user, c.client, c.topic, c.write, got, c.want)
		}
	}
}

func TestAllowedWithoutRules(t *testing.T) {
	t.Parallel()
	p := policy(t)
	if !p.Allowed("", "c", "a/b", true) || !p.Allowed("", "c", "#", false) || !p.Allowed("", "c", "$share/g/#", false) {
		t.Error("without rules: want everything allowed")
	}
	if p.Allowed("", "c", "$share/g", false) {
		t.Error("a shared subscription without a filter: got allowed, want refused")
	}
}

func TestRulesMistakes(t *testing.T) {
	t.Parallel()
	_, err := NewPolicy("", []Rule{
		{"", "read", "a"}, {"*", "", "a"}, {"*", "Read", "a"}, {"*", "read", "a/#/b"}, {"*", "read", ""}, {"a/b", "read", "x"},
		{"*", "read", "a+"}, {"fine", "readwrite", "a/%u/%c/#"},
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		"access rule 1: user is empty", `access rule 2: access is ""`, `access rule 3: access is "Read", allowed are read, write and readwrite`,
		`access rule 4: topic "a/#/b"`, "access rule 5: topic", "access rule 6: user name", "access rule 7: topic",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if strings.Contains(err.Error(), "rule 8") {
		t.Errorf("got %v, want nothing about rule 8", err)
	}
}

// topicsUpTo returns every topic of up to depth levels of these names.
func topicsUpTo(depth int, names ...string) []string {
	all, last := []string{}, names
	for range depth {
		all = append(all, last...)
		var next []string
		for _, t := range last {
			for _, n := range names {
				next = append(next, t+"/"+n)
			}
		}
		last = next
	}
	return all
}

// TestCoversAgainstBruteForce compares covers with its definition over every topic of up to 5 levels. The filters
// have up to 4 levels of a, b, "", $x and wildcards; z stands for a name that no filter has.
func TestCoversAgainstBruteForce(t *testing.T) {
	t.Parallel()
	topics := topicsUpTo(5, "a", "b", "", "$x", "z")
	level := rapid.SampledFrom([]string{"a", "b", "", "$x", "+"})
	filter := rapid.Custom(func(t *rapid.T) string {
		levels := rapid.SliceOfN(level, 0, 4).Draw(t, "levels")
		if len(levels) == 0 || rapid.Bool().Draw(t, "hash") {
			levels = append(levels, "#")
		}
		return strings.Join(levels, "/")
	}).Filter(func(s string) bool { return s != "" })
	for _, c := range []struct {
		rule, asked string
		want        bool
	}{{"+/#", "#", true}, {"/+/#", "/#", true}, {"+/+/#", "/#", true}, {"+/+/#", "#", false}, {"a/+/#", "a/#", false}, {"a/#", "a", true}, {"#", "$x", false}} {
		r, err := parseRule(Rule{"*", AccessReadWrite, c.rule})
		if err != nil {
			t.Fatal(err)
		}
		if got := covers(r.levels, "u", "c", c.asked); got != c.want {
			t.Errorf("rule %q covers %q: got %v, want %v", c.rule, c.asked, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		ruleFilter, asked := filter.Draw(t, "rule"), filter.Draw(t, "asked")
		want := true
		for _, topic := range topics {
			if topic != "" && gateway.MatchTopic(asked, topic) && !gateway.MatchTopic(ruleFilter, topic) {
				want = false
				break
			}
		}
		r, err := parseRule(Rule{"*", AccessReadWrite, ruleFilter})
		if err != nil {
			t.Fatalf("parseRule(%q): %v", ruleFilter, err)
		}
		if got := covers(r.levels, "u", "c", asked); got != want {
			t.Fatalf("rule %q covers %q: got %v, want %v", ruleFilter, asked, got, want)
		}
	})
}

// TestPlaceholdersNeverWiden: whatever the name, what a rule with a placeholder allows is one level and that name.
func TestPlaceholdersNeverWiden(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{"a", "b", "+", "#", "/", "$", "%u", "%c", "x"})
	text := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(piece, 0, 4).Draw(t, "pieces"), "") })
	p := policy(t, Rule{"*", AccessReadWrite, "in/%c/data"}, Rule{"*", AccessReadWrite, "%u/own"})
	rapid.Check(t, func(t *rapid.T) {
		user, client, topic := text.Draw(t, "user"), text.Draw(t, "client"), text.Draw(t, "topic")
		for _, topic := range []string{topic, "in/" + topic + "/data", topic + "/own", "in/" + client + "/data", user + "/own"} {
			plain := func(s string) bool { return s != "" && !strings.ContainsAny(s, "+#/") }
			want := topic == "in/"+client+"/data" && plain(client) || topic == user+"/own" && plain(user) && user[0] != '$'
			if got := p.Allowed(user, client, topic, true); got != want {
				t.Fatalf("user %q, client %q, write to %q: got %v, want %v", user, client, topic, got, want)
			}
			if got := p.Allowed(user, client, topic, false); got != want {
				t.Fatalf("user %q, client %q, read of %q: got %v, want %v", user, client, topic, got, want)
			}
		}
	})
}

func TestAllowedAllocatesNothing(t *testing.T) {
	p := policy(t, Rule{"*", "read", "x"}, Rule{"*", "write", "devices/%u-%c/#"})
	if got := testing.AllocsPerRun(100, func() { p.Allowed("user", "client", "devices/user-client/a", true) }); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func TestCapture(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		capture Capture
		topic   string
		want    bool
	}{
		{Capture{}, "a/b", true},
		{Capture{}, "/a", true},
		{Capture{}, "$SYS/a", false},
		{Capture{Include: []string{"#"}}, "$SYS/a", false},
		{Capture{Include: []string{"$SYS/#"}}, "$SYS/a", true},
		{Capture{Include: []string{"a/#", "b"}}, "b", true},
		{Capture{Include: []string{"a/#", "b"}}, "c", false},
		{Capture{Exclude: []string{"homeassistant/#"}}, "homeassistant/x", false},
		{Capture{Exclude: []string{"homeassistant/#"}}, "a", true},
		{Capture{Include: []string{"a/#"}, Exclude: []string{"a/+/debug"}}, "a/1/debug", false},
	} {
		if got := c.capture.Match(c.topic); got != c.want {
			t.Errorf("%+v of %q: got %v, want %v", c.capture, c.topic, got, c.want)
		}
	}
	bad := Capture{Include: []string{"a", "a/#/b"}, Exclude: []string{""}}
	if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), `include 2: topic filter "a/#/b"`) || !strings.Contains(err.Error(), "exclude 1") {
		t.Errorf("got %v, want both mistakes", err)
	}
	if err := (&Capture{Include: []string{"a/+/#"}}).Validate(); err != nil {
		t.Errorf("got %v, want none", err)
	}
}
