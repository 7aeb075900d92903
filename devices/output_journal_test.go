package devices

import (
	"slices"
	"strings"
	"testing"

	"gateway"

	"pgregory.net/rapid"
)

func TestTheJournalKnowsWhatWasCarriedOut(t *testing.T) {
	t.Parallel()
	const last = 300
	j := journal{Version: memoryVersion}
	carry := func(offset gateway.Offset) {
		j.begin(offset, "id", Command{Do: DoOn})
		j.finish(offset)
	}
	for offset := gateway.Offset(100); offset < 100+last; offset++ {
		carry(offset)
	}
	carry(90) // of a lower priority: nothing says that it was here
	again, err := readJournal(j.value())
	if err != nil {
		t.Fatal(err)
	}
	const forgotten = last + 1 - ringSize - olderSize
	for _, j := range []*journal{&j, &again} {
		for offset := gateway.Offset(1); offset < 500; offset++ {
			state, old := j.find(offset, "id")
			wantState, wantOld := "", offset < 100+forgotten
			if offset == 90 || offset >= 100+forgotten && offset < 100+last {
				wantState, wantOld = stateDone, false
			}
			if state != wantState || old != wantOld {
				t.Fatalf("offset %d: got %q and %v, want %q and %v", offset, state, old, wantState, wantOld)
			}
		}
	}
	if size := len(j.value()); size > 2500 {
		t.Errorf("got a value of %d bytes, want at most 2500: each command writes one", size)
	}
}

func TestWhatIsUnknownIsNeverTakenForDone(t *testing.T) {
	t.Parallel()
	var j journal
	j.Version = memoryVersion
	long := strings.Repeat("ä", maxID)
	j.begin(7, long, Command{Do: DoOn})
	j, err := readJournal(j.value())
	if err != nil {
		t.Fatal(err)
	}
	if j.interrupted == nil || j.interrupted.Offset != 7 || j.interrupted.Command != "on" {
		t.Errorf("got %+v, want the command at 7 as interrupted", j.interrupted)
	}
	for offset := gateway.Offset(100); offset < 1000; offset++ {
		j.begin(offset, "id", Command{Do: DoOn})
		j.finish(offset)
		if state, _ := j.find(7, long); state != stateUnknown {
			t.Fatalf("after %d: got %q, want it unknown", offset, state)
		}
	}
	if j, err = readJournal(j.value()); err != nil || j.interrupted != nil {
		t.Errorf("got %+v and %v, want nothing interrupted: that was told before", j.interrupted, err)
	}
	for range 2 * ringSize { // however many: an unknown one that is forgotten is refused
		j.begin(2000, "id", Command{Do: DoOn})
		j, _ = readJournal(j.value())
	}
	if state, old := j.find(7, long); state == stateDone || state == "" && !old {
		t.Errorf("got %q and %v, want it forgotten", state, old)
	}
}

func TestAJournalThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`{`, `{"v":2}`, `{"v":1,"older":"gA=="}`} {
		if _, err := readJournal([]byte(value)); err == nil {
			t.Errorf("%s: got no error", value)
		}
	}
}

func TestOffsetsArePacked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		offsets := rapid.SliceOf(rapid.Map(rapid.Uint64(), func(u uint64) gateway.Offset { return gateway.Offset(u) })).Draw(t, "offsets")
		got, err := unpack(pack(offsets))
		if err != nil || !slices.Equal(got, offsets) {
			t.Fatalf("got %v and %v, want %v", got, err, offsets)
		}
	})
}
