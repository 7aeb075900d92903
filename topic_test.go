package gateway_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gateway"
)

// naiveMatch is MQTT 5.0 section 4.7 level by level, written to be read.
func naiveMatch(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	want, have := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range want {
		if level == "#" {
			return true // also the parent: everything before it has matched
		}
		if i >= len(have) || level != "+" && level != have[i] {
			return false
		}
	}
	return len(want) == len(have)
}

// allLevels is every string of up to n levels out of the alphabet.
func allLevels(alphabet []string, n int) []string {
	all := append([]string(nil), alphabet...)
	for tail := all; n > 1; n-- {
		var longer []string
		for _, a := range alphabet {
			for _, b := range tail {
				longer = append(longer, a+"/"+b)
			}
		}
		all, tail = append(all, longer...), longer
	}
	return all
}

func TestMatchTopicAgreesWithANaiveMatcher(t *testing.T) {
	t.Parallel()
	topics := allLevels([]string{"", "a", "b", "$s"}, 4)
	matched := 0
	for _, filter := range allLevels([]string{"", "a", "$s", "+", "#"}, 4) {
		if gateway.ValidFilter(filter) != nil {
			continue
		}
		for _, topic := range topics {
			if gateway.ValidTopic(topic) != nil {
				continue
			}
			got, want := gateway.MatchTopic(filter, topic), naiveMatch(filter, topic)
			if got != want {
				t.Errorf("MatchTopic(%q, %q): got %v, want %v", filter, topic, got, want)
			}
			if got {
				matched++
			}
		}
	}
	if matched < 1000 {
		t.Errorf("only %d pairs matched: the test tries too little", matched)
	}
}

// The examples of MQTT 5.0 sections 4.7.1.2, 4.7.1.3 and 4.7.2.
func TestMatchTopicExamples(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		filter, topic string
		want          bool
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/#", "sport", true},
		{"sport/#", "sports", false},
		{"#", "a/b", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"#", "$SYS/monitor", false},
		{"+/monitor/Clients", "$SYS/monitor/Clients", false},
		{"$SYS/#", "$SYS/", true},
		{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
		{"Accounts", "ACCOUNTS", false},
	} {
		if got := gateway.MatchTopic(tt.filter, tt.topic); got != tt.want {
			t.Errorf("MatchTopic(%q, %q): got %v, want %v", tt.filter, tt.topic, got, tt.want)
		}
	}
}

func TestMatchTopicAllocatesNothing(t *testing.T) {
	for _, filter := range []string{"greenhouse/+/climate/#", "greenhouse/1/climate", "#", "x/y"} {
		if n := testing.AllocsPerRun(100, func() { gateway.MatchTopic(filter, "greenhouse/1/climate/temperature") }); n != 0 {
			t.Errorf("%s: got %v allocations, want none", filter, n)
		}
	}
}

func TestValidTopicAndFilter(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 65535)
	for _, tt := range []struct {
		text          string
		topic, filter string // what the error says, "" for none
	}{
		{"a/b", "", ""},
		{"/", "", ""},
		{" $a/ü", "", ""},
		{long, "", ""},
		{long + "x", "65536 bytes", "65536 bytes"},
		{"", "empty", "empty"},
		{"a\x00b", "NUL", "NUL"},
		{"a\xff", "UTF-8", "UTF-8"},
		{"a/+/b", "wildcards", ""},
		{"+/+", "wildcards", ""},
		{"#", "wildcards", ""},
		{"a/#", "wildcards", ""},
		{"a/b+", "wildcards", "wildcard + must be a whole level"},
		{"+a/b", "wildcards", "wildcard + must be a whole level"},
		{"a#", "wildcards", "wildcard # must be the whole last level"},
		{"#/a", "wildcards", "wildcard # must be the whole last level"},
		{"a/#/", "wildcards", "wildcard # must be the whole last level"},
		{"##", "wildcards", "wildcard # must be the whole last level"},
	} {
		checkError(t, "ValidTopic("+tt.text[:min(len(tt.text), 20)]+")", gateway.ValidTopic(tt.text), tt.topic)
		checkError(t, "ValidFilter("+tt.text[:min(len(tt.text), 20)]+")", gateway.ValidFilter(tt.text), tt.filter)
	}
}

// checkError fails unless err is nil for an empty want, and has want in its text otherwise.
func checkError(t *testing.T, what string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: got error %v, want %q", what, err, want)
	}
}

// What is valid as a topic is valid as a filter, and that filter matches that topic alone.
func TestATopicIsAFilterForItself(t *testing.T) {
	t.Parallel()
	topics := rapid.StringMatching(`[ab$/]{1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		one, other := topics.Draw(t, "one"), topics.Draw(t, "other")
		if err := gateway.ValidFilter(one); err != nil {
			t.Fatalf("ValidFilter(%q): got %v, want nil", one, err)
		}
		if got, want := gateway.MatchTopic(one, other), one == other; got != want {
			t.Fatalf("MatchTopic(%q, %q): got %v, want %v", one, other, got, want)
		}
	})
}

func BenchmarkMatchTopic(b *testing.B) {
	for b.Loop() {
		gateway.MatchTopic("greenhouse/+/climate/#", "greenhouse/1/climate/temperature")
	}
}
