package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateway"
	"gateway/admin"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestStatusScreens compares what people read with testdata/status/*.golden, and holds it to the width of a terminal.
func TestStatusScreens(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	quiet := statusAnswer{DataDir: "data", Status: &admin.Status{
		ID: "greenhouse-1", Version: "v0.2.0", PID: 812, Started: at.Add(-75 * time.Second),
		Log:    gateway.LogStatus{First: 1, MaxBytes: 1 << 30, Bytes: 16 << 10, Clock: gateway.ClockStatus{Synced: true}},
		Broker: gateway.BrokerStatus{Addresses: []string{"127.0.0.1:1883"}},
	}}
	busy := statusAnswer{
		DataDir: "/var/lib/gateway", OldestReceived: at.Add(-50 * time.Hour), NewestReceived: at.Add(-time.Second),
		Status: &admin.Status{
			ID: "greenhouse-1", Version: "v0.2.0", PID: 812, Started: at.Add(-76 * time.Hour),
			Log: gateway.LogStatus{
				First: 1_000_001, Last: 13_456_789, Bytes: 900 << 20, MaxBytes: 1 << 30, Appended: 12_000_000, Commits: 81_000, Trimmed: 1_000_000,
				Lost: map[string]uint64{gateway.LostFull: 1234, gateway.LostAge: 1, gateway.LostDamage: 0},
				Gaps: []gateway.Gap{{From: 1, To: 1234, Reason: gateway.LostFull}, {From: 2000, To: 2000, Reason: gateway.LostAge}, {From: 3, To: 4}, {From: 5, To: 6}},
				Wear: gateway.WearStatus{Written: 5 << 30, PerEvent: 4812.3, PerPayloadByte: 12.34, PerDay: 1 << 30, Endurance: 30 << 40, Years: 84.1},
			},
			Broker: gateway.BrokerStatus{
				Addresses: []string{"0.0.0.0:1883", "0.0.0.0:8883"}, Clients: 12, Connections: 40, Received: 12_000_020, Stored: 12_000_000,
				Unlogged: 1, Duplicates: 2, Refused: 3, Dropped: 4, Disconnected: 10, AuthFailures: 2, RouteDropped: 3,
			},
			Forwarders: []gateway.ForwarderStatus{
				{
					Name: "cloud", State: gateway.StateBlocked, Since: at.Add(-time.Hour), Waiting: 456_789, Lag: 61 * time.Minute,
					Delivered: 9_000_000, DeadLettered: 1, Retried: 17, Attempts: 100_000, Failures: 90,
					LastError: "connect to ssl://broker.example.com:8883: the broker refused the login:\x1b[31m bad user name or password; check username and password_file",
				},
				{Name: "an-archive-with-a-long-name", State: gateway.StateIdle, Since: at.Add(-time.Minute), Delivered: 13_456_789},
			},
			Report: gateway.LogReport{
				Problems: []gateway.LogProblem{{Text: "x"}}, Gone: []gateway.Gap{{From: 10, To: 109, Reason: gateway.LostDamage}}, Quarantine: "/var/lib/gateway/quarantine/2026-11-20T08-00-00",
			},
		},
	}
	lanes := *quiet.Status
	lanes.Forwarders = []gateway.ForwarderStatus{{
		Name: "cloud", State: gateway.StateHeld, Since: at.Add(-time.Minute), Held: "the month's 500000000 bytes are spent", Waiting: 456_789, Lag: 61 * time.Minute,
		Delivered: 9_000, Skipped: 5, Expired: 6, Poison: 7, Undecided: 8, Retried: 9, Letters: 13, LetterBytes: 4096, Requeued: 1, LettersDropped: 2,
		Attempts: 100, Failures: 3, Answers: map[string]uint64{"delivered": 90, gateway.StateRetrying: 3, gateway.StateThrottled: 7}, Month: 500_000_000, MonthLimit: 500_000_000,
		Lanes: []gateway.LaneStatus{
			{Name: "priority 9 live"},
			{Name: "priority 0 live", Waiting: 3, Lag: time.Second, Rate: 12.34, ETA: time.Second},
			{Name: "priority 0 backlog", Backlog: true, Waiting: 456_786, WaitingBytes: 60 << 20, Lag: 61 * time.Minute, Rate: 1000, ETA: 457 * time.Second},
		},
		Replays: []gateway.ReplayStatus{
			{ID: "1", State: gateway.ReplayDone, Ended: at},
			{ID: "2", State: gateway.ReplayRunning, Replay: gateway.Replay{From: 100, To: 2000, Match: []string{"hall/#"}}, At: 1500, Delivered: 1300, Skipped: 100},
		},
	}}
	board, many := *quiet.Status, *quiet.Status
	board.Devices = []gateway.DeviceStatus{
		{Name: "climate", Type: "bme280", Where: "i2c-1 0x76", State: gateway.DeviceOK, Value: "21.5 Cel, 40 %, 1006.53 hPa", Faults: 1},
		{Name: "boiler", Type: "ds18b20", Where: "1-Wire 28-0000a1b2c300", State: gateway.DeviceFault, Since: at.Add(-time.Hour), Fault: "nothing was read: is it unplugged?\x1b[2J", Faults: 3},
		{Name: "water", Type: "gpio_counter", Where: "GPIO27", State: gateway.DeviceOK, Value: "1234.5 L", Missed: 7},
		{Name: "pump", Type: "gpio_output", Where: "GPIO22", State: gateway.DeviceStarting, Since: at},
	}
	for i := range 30 {
		d := gateway.DeviceStatus{Name: fmt.Sprint("probe-", i), Type: "ds18b20", State: gateway.DeviceOK, Where: "1-Wire"}
		if i%3 == 0 {
			d.State, d.Since = gateway.DeviceFault, at.Add(-time.Minute)
		}
		many.Devices = append(many.Devices, d)
	}
	full, disk, failed := *quiet.Status, *quiet.Status, *quiet.Status
	full.Log.Full, full.Log.FullReason, full.Log.Last = true, gateway.FullSize, 1
	disk.Log.Full, disk.Log.FullReason, disk.Log.Clock = true, gateway.FullDisk, gateway.ClockStatus{Ahead: 90 * time.Minute, Now: at}
	failed.Log.Failed, failed.Log.Wear = "the log stopped: sync: input/output error", gateway.WearStatus{Written: 1000, PerDay: 1 << 20}
	for name, a := range map[string]statusAnswer{
		"quiet": quiet, "busy": busy, "lanes": {DataDir: "data", Status: &lanes}, "board": {DataDir: "data", Status: &board}, "many": {DataDir: "data", Status: &many}, "full": {DataDir: "data", Status: &full}, "disk": {DataDir: "data", Status: &disk}, "failed": {DataDir: "data", Status: &failed},
	} {
		got := statusScreen(&a, at)
		for _, line := range strings.Split(got, "\n") {
			if n := len([]rune(line)); n > screenWidth {
				t.Errorf("%s: a line has %d columns: %s", name, n, line)
			}
		}
		if n := strings.Count(got, "\n"); n > 40 {
			t.Errorf("%s: it has %d lines, that is more than a screen", name, n)
		}
		golden := filepath.Join("testdata", "status", name+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0": number(0), "999": number(999), "1,000": number(1000), "18,446,744,073,709,551,615": number(1<<64 - 1),
		"0 B": sizeText(0), "1023 B": sizeText(1023), "1.0 KiB": sizeText(1024), "1.5 GiB": sizeText(1.5 * (1 << 30)),
		"0s": ageText(-time.Hour), "59s": ageText(59*time.Second + 999*time.Millisecond), "1m 5s": ageText(65 * time.Second),
		"2h 3m": ageText(2*time.Hour + 3*time.Minute + time.Second), "9d 1h": ageText(217 * time.Hour),
		"[....................] 0%": bar(1, 1<<30), "[##########..........] 50%": bar(1, 2), "[####################] 110%": bar(11, 10), "": bar(1, 0),
		"1 event": count(1, "event"), "0 events": count(0, "event"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestDataDirectoryIsThatOfALog(t *testing.T) {
	t.Parallel()
	empty, used := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "LOCK"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(empty, "data")
	for _, c := range []struct{ local, system, want string }{
		{missing, used, used}, {empty, used, used}, {used, empty, used}, {missing, empty, missing}, {used, used, used},
	} {
		if got := firstWithLog(c.local, c.system); got != c.want {
			t.Errorf("%q or %q: got %q, want %q", c.local, c.system, got, c.want)
		}
	}
}

// brokenLog is a log that has failed.
type brokenLog struct{ admin.Log }

func (brokenLog) Status() gateway.LogStatus { return gateway.LogStatus{First: 1, Failed: "no disk"} }
func (brokenLog) Report() gateway.LogReport { return gateway.LogReport{} }

func TestStatusOfAFailedLogIsAFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := admin.New(admin.Options{
		Log:    brokenLog{},
		Broker: func() gateway.BrokerStatus { return gateway.BrokerStatus{} }, Forwarders: func() []gateway.ForwarderStatus { return nil },
	})
	if err := server.ListenSocket(dir); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	defer func() { stop(); <-done }()
	for asJSON, want := range map[bool]string{false: "FAILED, nothing is accepted: no disk", true: `"failed": "no disk"`} {
		var out strings.Builder
		err := showStatus(t.Context(), streams{out: &out}, dir, asJSON)
		if !errors.Is(err, errReported) || !strings.Contains(out.String(), want) {
			t.Errorf("got %v and %s, want exit code 1 and %q", err, out.String(), want)
		}
	}
}
