package main

import (
	"os"
	"strings"
	"testing"
)

// TestUnitLetsTheGatewayAskForTheClock: adjtimex is among the calls that ProtectClock= and ~@privileged forbid, and without it
// no time would ever be believed.
func TestUnitLetsTheGatewayAskForTheClock(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("../../packaging/gateway.service")
	if err != nil {
		t.Fatal(err)
	}
	text := string(unit)
	if strings.Contains(text, "\nProtectClock=yes") {
		t.Error("ProtectClock=yes forbids adjtimex")
	}
	forbid, allow := strings.Index(text, "\nSystemCallFilter=~"), strings.Index(text, "\nSystemCallFilter=adjtimex")
	if allow < 0 || allow < forbid {
		t.Error("adjtimex is not allowed again after the groups that have it were taken out")
	}
}
