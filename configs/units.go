package configs

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

var errSize = errors.New("a size is a number and a unit (B, kB, MB, GB, TB, KiB, MiB, GiB or TiB), such as 512MiB")

// ParseSize reads a number of bytes as people write it: "512MiB", "1.5 GB", "4096". Units of two letters are powers
// of 1000, those with an i of 1024; case does not matter.
func ParseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.TrimSpace(text[len(digits):])
	factor, ok := sizeUnit(unit)
	if !ok || !plainNumber(digits) {
		return 0, errSize
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n <= math.MaxInt64/factor {
		return n * factor, nil
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0, errSize
	}
	if n *= float64(factor); n >= math.MaxInt64 {
		return 0, errors.New("it is too large")
	}
	return int64(n), nil
}

func sizeUnit(unit string) (int64, bool) {
	if unit == "" || strings.EqualFold(unit, "B") {
		return 1, true
	}
	for i, letter := range "kmgt" {
		if strings.EqualFold(unit, string(letter)+"B") {
			return int64(math.Pow(1000, float64(i+1))), true
		}
		if strings.EqualFold(unit, string(letter)+"iB") {
			return 1 << (10 * (i + 1)), true
		}
	}
	return 0, false
}

// FormatSize writes n bytes in the largest unit of 1024 that leaves a whole number.
func FormatSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for n != 0 && n%1024 == 0 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	return strconv.FormatInt(n, 10) + units[i]
}

var errDuration = errors.New("a duration is a number and a unit (ms, s, m, h or d), such as 10s, 1m30s or 2d")

// ParseDuration reads a duration as people write it: "500ms", "1m30s", "2d", "1.5 h", "0". A day has 24 hours.
func ParseDuration(text string) (time.Duration, error) {
	rest := strings.ReplaceAll(text, " ", "")
	if rest == "0" {
		return 0, nil
	}
	if rest == "" {
		return 0, errDuration
	}
	var sum float64
	for rest != "" {
		number := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789."))]
		rest = rest[len(number):]
		unit := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzµ"))]
		rest = rest[len(unit):]
		factor, ok := durationUnit(unit)
		if !ok || !plainNumber(number) {
			return 0, errDuration
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return 0, errDuration
		}
		sum += n * float64(factor)
	}
	if sum >= math.MaxInt64 {
		return 0, errors.New("it is too long")
	}
	return time.Duration(math.Round(sum)), nil
}

func durationUnit(unit string) (time.Duration, bool) {
	switch unit {
	case "us", "µs":
		return time.Microsecond, true
	case "ms":
		return time.Millisecond, true
	case "s":
		return time.Second, true
	case "m":
		return time.Minute, true
	case "h":
		return time.Hour, true
	case "d":
		return 24 * time.Hour, true
	}
	return 0, false
}

// FormatDuration writes d in the units that ParseDuration reads, without parts that are zero.
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "us"}} {
		if n := d / u.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d %= u.size
		}
	}
	return b.String()
}

// plainNumber keeps out what strconv takes besides digits and one point: signs, exponents, hexadecimal, Inf.
func plainNumber(s string) bool {
	whole, fraction, point := strings.Cut(s, ".")
	return digitsOnly(whole) && (!point || digitsOnly(fraction))
}

func digitsOnly(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
