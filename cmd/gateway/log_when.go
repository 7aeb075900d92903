package main

import (
	"errors"
	"time"

	"gateway/configs"
)

var errWhen = errors.New(`a time is a duration ago such as 90s, 2h or 3d, a time today such as 14:30, a date such as 2026-01-31, ` +
	`both such as "2026-01-31 14:30", or RFC 3339 such as 2026-01-31T14:30:00Z`)

// wallLayouts are times by the clock on the wall here. A fraction of a second is taken after every one with seconds.
var wallLayouts = []string{time.DateOnly, "2006-01-02 15:04", time.DateTime, "2006-01-02T15:04", "2006-01-02T15:04:05"}

// parseWhen reads a moment as people write it, seen from now and in its zone.
func parseWhen(text string, now time.Time) (time.Time, error) {
	if ago, err := configs.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{"15:04", time.TimeOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), now.Location()), nil
		}
	}
	for _, layout := range wallLayouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	return time.Time{}, errWhen
}
