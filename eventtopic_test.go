package gateway_test

import (
	"testing"

	"gateway"
)

func TestTopicOfAnEvent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		extensions map[string]string
		want       string
	}{
		{nil, "subject"},
		{map[string]string{"mqttqos": "1"}, "subject"},
		{map[string]string{gateway.ExtTopic: "a/b"}, "a/b"},
		{map[string]string{gateway.ExtTopic: "a", gateway.ExtTopicBase64: "YQFi"}, "a\x01b"},
		{map[string]string{gateway.ExtTopicBase64: "not base64"}, "subject"},
	} {
		e := gateway.Event{Subject: "subject", Extensions: c.extensions}
		if got := e.Topic(); got != c.want {
			t.Errorf("extensions %v: got %q, want %q", c.extensions, got, c.want)
		}
	}
}
