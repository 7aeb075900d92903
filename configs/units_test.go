package configs_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"gateway/configs"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "7B": 7, "100 kB": 100_000, "100kb": 100_000, "512MiB": 512 << 20, "2GB": 2_000_000_000,
		"1.5 GiB": 3 << 29, "1TiB": 1 << 40, "3 tb": 3_000_000_000_000, "9223372036854775807": 1<<63 - 1,
	} {
		if got, err := configs.ParseSize(text); got != want || err != nil {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MB", "-1", "+1", "1e3", "0x10", "1_000", "5M", "5 PB", "1.MB", ".5GB", "1 2", "inf", "99999999TiB", "1,5GB"} {
		if got, err := configs.ParseSize(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "10s": 10 * time.Second, "1m30s": 90 * time.Second, "2d": 48 * time.Hour, "1d 12h": 36 * time.Hour,
		"1.5h": 90 * time.Minute, "250ms": 250 * time.Millisecond, "1 h": time.Hour, "5us": 5 * time.Microsecond, "5µs": 5 * time.Microsecond,
	} {
		if got, err := configs.ParseDuration(text); got != want || err != nil {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "10", "s", "-1s", "+1s", "1y", "1e3s", "ten s", "1..5s", "999999999d", "5S", "1,5h"} {
		if got, err := configs.ParseDuration(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}

func TestFormatsAreParsed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Min(0).Draw(t, "size")
		if got, err := configs.ParseSize(configs.FormatSize(size)); err != nil || got != size {
			t.Fatalf("size %d: %q is read as %d, %v", size, configs.FormatSize(size), got, err)
		}
		d := time.Duration(rapid.Int64Range(0, 1e18).Draw(t, "duration"))
		d = d.Truncate(time.Microsecond)
		if got, err := configs.ParseDuration(configs.FormatDuration(d)); err != nil || (got-d).Abs() > time.Microsecond {
			t.Fatalf("duration %s: %q is read as %s, %v", d, configs.FormatDuration(d), got, err)
		}
	})
}
