package configs

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gateway"
	"gateway/rules"
)

// The checks of single values. Each error says what is wrong, and what is allowed.

func notEmpty(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("it has characters that cannot be printed")
	}
	return nil
}

func idRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

// validID is for names that become part of URIs, keys and client ids.
func validID(s string) error {
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return !idRune(r) }) || strings.Trim(s, "-_.") != s {
		return errors.New("allowed are 1 to 64 letters and digits of ASCII, and inside also - _ and .")
	}
	return nil
}

func validFilter(s string) error {
	if err := gateway.ValidFilter(s); err != nil {
		return fmt.Errorf("this is no topic filter: %w", err)
	}
	return nil
}

func validPrefix(s string) error {
	if s == "" {
		return nil
	}
	return gateway.ValidTopic(s)
}

var errAddress = errors.New("an address is host:port, such as 127.0.0.1:1883, [::1]:1883 or 0.0.0.0:1883")

// ValidAddress says what keeps s from being an address to listen on, nil if nothing does.
func ValidAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsAny(host, " /@") {
		return errAddress
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || !digitsOnly(port) || n > 65535 {
		return errors.New("the port is a number from 0 (any free one) to 65535")
	}
	return nil
}

// withUnit keeps 500 from being 500 bytes where megabytes are meant.
func withUnit(s string) error {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		return fmt.Errorf("it has no unit: %d bytes would be %dB; allowed are kB, MB, GB, KiB, MiB, GiB", n, n)
	}
	return nil
}

func validTopic(s string) error { return gateway.ValidTopic(s) }

func validNumber(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 0 || n > 99 {
		return errors.New("wanted is a number from 0 to 99")
	}
	return nil
}

// validLoopback keeps what has no login off the network.
func validLoopback(s string) error {
	if err := ValidAddress(s); err != nil {
		return err
	}
	if !Loopback(s) {
		return errors.New("this must be an address of this machine, such as 127.0.0.1:9883: it has no login; let others in through a reverse proxy")
	}
	return nil
}

// validBrokerURL never repeats the URL: it may have a password in it.
func validBrokerURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("this is no URL; wanted is tcp://host:1883 or ssl://host:8883")
	}
	if u.User != nil {
		return errors.New("a URL cannot hold a user or password, because URLs end in logs; use the keys username and password_file")
	}
	switch u.Scheme {
	case "tcp", "mqtt", "ssl", "tls", "mqtts":
	default:
		if !strings.Contains(s, "://") {
			return errors.New("the URL has no scheme; wanted is tcp://host:1883 or ssl://host:8883")
		}
		return fmt.Errorf("the scheme %q is not known; allowed are tcp and mqtt, and with TLS ssl, tls and mqtts, as in tcp://host:1883", u.Scheme)
	}
	if u.Hostname() == "" {
		return errors.New("the URL has no host; wanted is tcp://host:1883 or ssl://host:8883")
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the URL has something after the port; wanted is tcp://host:1883 or ssl://host:8883")
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) {
		return errors.New("the port of the URL is a number from 1 to 65535")
	}
	return nil
}

// encrypted says whether a valid broker URL is one with TLS.
func encrypted(broker string) bool {
	scheme, _, _ := strings.Cut(broker, "://")
	return scheme == "ssl" || scheme == "tls" || scheme == "mqtts"
}

// validStart is for where a new forwarder begins.
func validStart(s string) error {
	if s == "beginning" || s == "end" {
		return nil
	}
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return errors.New("allowed are beginning, end, or a time such as 2026-11-01T00:00:00Z")
	}
	return nil
}

// ParseWindow reads a part of the day, such as 22:00-06:00: from and to after midnight.
func ParseWindow(s string) (from, to time.Duration, err error) {
	wrong := errors.New("a part of the day is written like 22:00-06:00")
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		return 0, 0, wrong
	}
	var at [2]time.Duration
	for i, text := range []string{a, b} {
		t, err := time.Parse("15:04", strings.TrimSpace(text))
		if err != nil {
			return 0, 0, wrong
		}
		at[i] = time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	if at[0] == at[1] {
		return 0, 0, errors.New("it ends when it begins; leave schedule out for the whole day")
	}
	return at[0], at[1], nil
}

func validWindow(s string) error {
	_, _, err := ParseWindow(s)
	return err
}

// validWhere says what keeps s from being a condition.
func validWhere(s string) error {
	_, err := rules.Compile(s)
	return err
}
