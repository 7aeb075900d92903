package mqttsink

import (
	"errors"
	"log/slog"
	"testing"

	"gateway"
)

// Mosquitto closes the connection over such a topic, each time: the event once held up all others for ever.
func TestTopicThatABrokerClosesOnIsPermanent(t *testing.T) {
	t.Parallel()
	o := Default()
	o.URL, o.ClientID, o.Logger = "tcp://127.0.0.1:1", "x", slog.New(slog.DiscardHandler)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for topic, fine := range map[string]bool{
		"a/b": true, "ä/°C": true, "a b": true, "ctl/\x01x": false, "ctl/\u0085": false, "x/\ufdd0": false, "x/\uffff": false, "x/\U0001ffff": false,
	} {
		e := gateway.Event{ID: "1", Source: "//x", Type: "t", Subject: topic}
		_, err := s.encoder.append(nil, &e, 1)
		if fine && err != nil || !fine && !errors.Is(err, gateway.ErrPermanent) {
			t.Errorf("%q: got %v, want fine %v, else Permanent", topic, err, fine)
		}
	}
}
