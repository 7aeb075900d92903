package test

import (
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"gateway/test/rig"
)

// state is what `gateway status --json` says, as far as tests look at it.
type state struct {
	Log struct {
		Last uint64 `json:"last"`
	} `json:"log"`
	Broker struct {
		Looped uint64 `json:"looped"`
	} `json:"broker"`
	Forwarders []forwarderState `json:"forwarders"`
	Sources    []struct {
		Name       string `json:"name"`
		State      string `json:"state"`
		Stored     uint64 `json:"stored"`
		Duplicates uint64 `json:"duplicates"`
		Looped     uint64 `json:"looped"`
	} `json:"sources"`
}

type forwarderState struct {
	Name         string `json:"name"`
	Waiting      uint64 `json:"waiting"`
	Delivered    uint64 `json:"delivered"`
	DeadLettered uint64 `json:"dead_lettered"`
	Expired      uint64 `json:"expired"`
	LastError    string `json:"last_error"`
}

// status asks a running gateway.
func status(t *testing.T, g *rig.Gateway) (s state) {
	t.Helper()
	out, err := exec.Command(program, "status", "--json", "--data-dir", g.Data()).Output()
	if err != nil {
		return s // it does not run yet
	}
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("status: %v: %s", err, out)
	}
	return s
}

// waitFor waits until the status of g is as wanted.
func waitFor(t *testing.T, g *rig.Gateway, what string, ok func(*state) bool) state {
	t.Helper()
	var s state
	if !rig.Poll(t.Context(), 30*time.Second, func() bool { s = status(t, g); return ok(&s) }) {
		t.Fatalf("%s: %s never came; the last status is %+v", g.Name, what, s)
	}
	return s
}
