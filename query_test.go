package gateway

import (
	"testing"
	"time"
)

func TestQueryWants(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	e := &Entry{Offset: 10, Received: at, Event: Event{Source: "//pi/mqtt/a", Type: "mqtt.publish", Subject: "hall/3/temp"}}
	for name, c := range map[string]struct {
		q    Query
		want bool
	}{
		"nothing asked": {Query{}, true},
		"from":          {Query{From: 10}, true},
		"later":         {Query{From: 11}, false},
		"to":            {Query{To: 10}, true},
		"earlier":       {Query{To: 9}, false},
		"since":         {Query{Since: at}, true},
		"since later":   {Query{Since: at.Add(1)}, false},
		"until":         {Query{Until: at}, false},
		"until later":   {Query{Until: at.Add(1)}, true},
		"source":        {Query{Source: "//pi/mqtt/a"}, true},
		"source prefix": {Query{Source: "//pi/*"}, true},
		"other source":  {Query{Source: "//pi"}, false},
		"type":          {Query{Type: "mqtt.*"}, true},
		"other type":    {Query{Type: "gateway.gap"}, false},
		"topic":         {Query{Topics: []string{"x/#", "hall/+/temp"}}, true},
		"other topic":   {Query{Topics: []string{"hall/+"}}, false},
	} {
		if got := c.q.Wants(e); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
