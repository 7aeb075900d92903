package devices

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
	"gateway/devices/gpiochip"
)

// runs runs all until the test ends, and then wants no error.
func runs(ctx context.Context, t *testing.T, all *Outputs, log gateway.Appender) (ended chan error) {
	t.Helper()
	ended = make(chan error, 1)
	go func() { ended <- all.Run(ctx, log) }()
	return ended
}

func TestEachChangeIsAnEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, log := newWires(t), &outputLog{}
		all := mustOutputs(t, w, newOutputMemory(), OutputOptions{}, outputSpec("pump", func(s *Spec) { s.MaxOn = time.Minute }))
		ended := runs(t.Context(), t, all, log)
		sendOK(t, all, "pump", 1, "on", "on")
		waitUntil(w, 10*time.Second)
		if err := all.Set(t.Context(), "pump", "blink 1s 1s 3"); err != nil {
			t.Fatal(err)
		}
		waitUntil(w, 20*time.Second)
		sendOK(t, all, "pump", 3, "off", "on")
		waitUntil(w, 30*time.Second)
		wantLines(t, "events", log.take(),
			`output {"state":"off","why":"start"}`,
			`output {"state":"on","why":"command","command":"on","event":"id-1","by":"//cloud"}`,
			`output {"state":"on","why":"set","command":"blink 1s 1s 3"}`,
			`output {"state":"off","why":"blink ended","command":"blink 1s 1s 3"}`,
			`output {"state":"on","why":"command","command":"on","event":"id-4","by":"//cloud"}`)
		waitUntil(w, 2*time.Minute)
		wantLines(t, "max_on", log.take(), `output {"state":"off","why":"max_on"}`)
		sendOK(t, all, "pump", 5, "pulse 2s")
		waitUntil(w, 2*time.Minute+time.Second)
		w.set("pump", func(s *wireState) { s.setErr, s.openErr = gpiochip.ErrGone, gpiochip.ErrNotFound })
		failed := w.begin.Add(2*time.Minute + 2*time.Second).UTC().Format(time.RFC3339Nano)
		waitUntil(w, 2*time.Minute+3*time.Second)
		w.set("pump", func(s *wireState) { s.setErr, s.openErr = nil, nil })
		log.mu.Lock()
		last := log.events[len(log.events)-1]
		log.mu.Unlock()
		if last.Source != "//gw/devices/pump" || last.Subject != "devices/pump" && last.Subject != "devices/pump/fault" || last.Validate() != nil {
			t.Errorf("got %+v, want an event of the pump", last)
		}
		waitUntil(w, 3*time.Minute)
		sendOK(t, all, "pump", 6, "on")
		if err := all.Close(false); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("got %v, want Run to end with Close", err)
		}
		wantLines(t, "fault and stop", log.take(),
			`output {"state":"on","why":"command","command":"pulse 2s","event":"id-5","by":"//cloud"}`,
			fmt.Sprintf(`fault {"device":"pump","type":"gpio_output","where":"pump","class":"missing","cause":"the GPIO chip is gone","since":%q}`, failed),
			fmt.Sprintf(`recovered {"device":"pump","type":"gpio_output","where":"pump","since":%q,"down_seconds":1.5,"attempts":4}`, failed), `output {"state":"off","why":"fault"}`,
			`output {"state":"on","why":"command","command":"on","event":"id-6","by":"//cloud"}`, `output {"state":"off","why":"stop"}`)
		if got := all.Status()[0]; got.Events != 12 || got.State != gateway.DeviceStopped {
			t.Errorf("got %+v, want 12 events and it stopped", got)
		}
	})
}

func TestAFullLogHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, log := newWires(t), &outputLog{err: gateway.ErrFull}
		all := mustOutputs(t, w, newOutputMemory(), OutputOptions{}, outputSpec("pump", nil))
		ended := runs(t.Context(), t, all, log)
		synctest.Wait() // it waits with the first
		const changes = mostReports + 50
		for i := range changes {
			sendOK(t, all, "pump", gateway.Offset(i+1), []string{"on", "off"}[i%2])
		}
		if got, want := len(w.take()), 1+changes; got != want || time.Since(w.begin) != 0 {
			t.Errorf("got %d levels after %v, want %d at once", got, time.Since(w.begin), want)
		}
		log.fail(nil)
		waitUntil(w, time.Minute)
		got := log.take()
		if len(got) != mostReports+1 || got[0] != `output {"state":"off","why":"start"}` || !strings.Contains(got[1], `"event":"id-51"`) || !strings.HasSuffix(got[1], `"lost":50}`) ||
			strings.Contains(strings.Join(got[2:], ""), "lost") {
			t.Errorf("got %d events from %q on, want %d, of which the second says that 50 were lost", len(got), got[:min(len(got), 3)], mostReports+1)
		}
		log.fail(errors.New("the card is gone"))
		sendOK(t, all, "pump", 1000, "on")
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "the card is gone") {
			t.Errorf("got %v, want the log's error", err)
		}
		sendOK(t, all, "pump", 1001, "off") // the outputs go on
	})
}

func TestAStopWaitsForTheLogForAMoment(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprintf("full %v", full), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, log := newWires(t), &outputLog{}
				all := mustOutputs(t, w, newOutputMemory(), OutputOptions{}, outputSpec("pump", nil))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ended := runs(ctx, t, all, log)
				synctest.Wait()
				if full {
					log.fail(gateway.ErrFull)
				}
				sendOK(t, all, "pump", 1, "on")
				cancel()
				begun := time.Now()
				if err := <-ended; err != nil || time.Since(begun) > lastReports {
					t.Errorf("got %v after %v, want the end within %v", err, time.Since(begun), lastReports)
				}
				if got := len(log.take()); got != 2 && !full {
					t.Errorf("got %d events, want 2", got)
				}
			})
		})
	}
}

func TestAFaultSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"permission": &os.PathError{Op: "open", Path: "/dev/gpiochip0", Err: fs.ErrPermission}, "busy": fmt.Errorf("open: %w", gpiochip.ErrBusy),
		"missing": fmt.Errorf("open: %w", gpiochip.ErrNotFound), "other": errors.New("input/output error"),
	} {
		if got, hint := faultClass(err), faultHint(err); got != want || (hint != "") != (want == "permission" || want == "busy") {
			t.Errorf("%v: got %s with the hint %q, want %s", err, got, hint, want)
		}
	}
}
