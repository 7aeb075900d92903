package mqtt

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// scenario is a way in which a broker could break its promise. Each is played on our broker, which must keep it, and
// on a naive design that was seen to break it.
type scenario struct {
	name string
	play func(w *world)
	// naive is the design that fails, and symptom a regular expression for what is seen then. nil: no naive design that we know
	// fails, for the reason given.
	naive   design
	symptom string
	reason  string
}

func scenarios() []scenario {
	return []scenario{
		{name: "StalledSubscriber", play: stalledSubscriber, naive: naiveDeferred, symptom: "waiting for Puback"},
		{name: "ReceiveMaximumSubscriber", play: receiveMaximumSubscriber, naive: naiveDeferred, symptom: "the subscriber with Receive Maximum 3 got|waiting for Puback"},
		{name: "AliasReusedBeforeCommit", play: aliasReused, naive: naiveDeferred, symptom: `got topic "a", want "b"|want Puback`},
		{name: "PublisherGoneBeforeCommit", play: publisherGone, naive: naiveDeferred, symptom: "waiting for Publish"},
		{name: "PacketIDReusedDuringCommit", play: falseAck, naive: naiveByID, symptom: "got Puback 1 reason 0x00, want Pingresp"},
		{name: "PacketIDReusedAfterCommitOffline", play: falseAckOffline, naive: naiveDeferred, symptom: "got Puback 1 reason 0x00, want Pingresp"},
		{name: "QoS2SentAgain", play: exactlyOnce, naive: naiveDeferred, symptom: "got 2 events waiting"},
		{name: "QoS2SentAgainMidCommit", play: exactlyOnceMidCommit, naive: naiveDeferred, symptom: `got stored \["x" "x"\]`},
		{name: "OwnPacketIDKeepsCommand", play: ownPacketID, naive: naiveSync, symptom: "waiting for Publish"},
		{name: "SentAgainAfterCut", play: sentAgainAfterCut, naive: naiveDeferred, symptom: `got stored \["1" "1"`},
		{name: "SentAgainUnread", play: sentAgainUnread, naive: naiveDeferred, symptom: "got stored"},
		{name: "SentAgainTwice", play: sentAgainTwice, naive: naiveDeferred, symptom: "got 2 events waiting"},
		{name: "SentAgainAfterCrash", play: sentAgainAfterCrash, naive: naiveKnownID, symptom: "got stored"},
		{name: "MeterLosesNothing", play: meterLosesNothing, naive: naiveKnownID, symptom: "not within 2s: 15 events durable"},
		{name: "MeterLosesNothingToPayload", play: meterLosesNothing, naive: naiveKnownPayload, symptom: "not within 2s: 15 events durable"},
		{name: "OnePacketID", play: onePacketID, naive: naiveKnownID, symptom: "not within 2s: 18 events durable"},
		{name: "RetriedOnLiveConnection", play: retriedOnLiveConnection, naive: naiveKnownID, symptom: "not within 2s: 3 events durable"},
		{name: "AnotherPayload", play: anotherPayload, naive: naiveDeferred, symptom: "got stored|want PUBACK 8"},
		{name: "RetainedBeforeWill", play: retainedBeforeWill, naive: naiveDeferred, symptom: `want the payload "online"`},
		{name: "WillBeforeRetained", play: willBeforeRetained, naive: naiveDeferred, symptom: "not within 2s: 2 events wait"},
		{name: "RetainThenSubscribe", play: retainThenSubscribe, naive: naiveDeferred, symptom: "want Puback|want Suback|want the retained copy|waiting for Publish"},
		{name: "ClientOrder", play: clientOrder, naive: naiveConcurrent, symptom: "got stored"},
		{name: "PublishBeforeConnack", play: beforeConnack, naive: naiveTap, symptom: "want Connack"},
		{name: "ReceiveMaximumIn", play: receiveMaximumIn, naive: naiveDeferred, symptom: "still open|want Puback 1"},
		{name: "ReceiveMaximumOut", play: receiveMaximumOut, naive: naiveSync, symptom: "want the payload"},
		{name: "FullLogWithholdsAck", play: fullLog, naive: naiveSync, symptom: "got Puback 1 reason 0x00"},
		{name: "FullLogForLong", play: fullForLong, naive: naiveSync, symptom: "Puback 1 reason 0x00"},
		{name: "BrokenLog", play: brokenLog, naive: naiveSync, symptom: "Puback 1 reason 0x00"},
		{name: "Takeover", play: takeover, naive: naiveDeferred, symptom: "waiting for Publish"},
		{name: "TakeoverStorm", play: takeoverStorm, reason: "mochi serialises what matters here"},
		{name: "TruncatedPackets", play: truncatedPackets, naive: naiveSync, symptom: "EOF|connection refused|reset by peer"},
		{name: "DelayedWill", play: delayedWill, naive: naiveSync, symptom: "two wills are durable"},
		{name: "OldClient", play: oldClient, reason: "mochi speaks MQTT 3.1"},
		{name: "AccessRules", play: accessRules, naive: naiveSync, symptom: "want the end of the connection"},
		{name: "WrongConnect", play: wrongConnect, naive: naiveSync, symptom: "still open"},
		{name: "SecureListener", play: secureListener, reason: "TLS is the standard library's, whatever the design"},
	}
}

func TestScenario(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.play(&world{TB: t, design: startOurs, patience: 20 * time.Second})
		})
	}
}

// TestNaiveDesignFails shows that each scenario is a test that can fail: the naive design does not survive it.
func TestNaiveDesignFails(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		if s.naive == nil {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			failures := playOn(t, s.naive, s.play)
			if len(failures) == 0 {
				t.Fatal("the naive design survived: the scenario proves nothing")
			}
			t.Logf("as it should be: %s", failures[0])
			if !regexp.MustCompile(s.symptom).MatchString(strings.Join(failures, "\n")) {
				t.Errorf("got %q, want one that matches %q", failures, s.symptom)
			}
		})
	}
}
