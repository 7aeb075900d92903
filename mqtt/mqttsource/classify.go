package mqttsource

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"gateway"
)

// refusals are the CONNACK return codes (MQTT 3.1.1 section 3.2.2.3) that no waiting cures, and what to do.
var refusals = map[byte]string{
	1: "the broker does not speak MQTT 3.1.1",
	2: "the broker does not accept the client id; change client_id",
	4: "the broker does not accept the user name or password; check username and password",
	5: "the broker does not authorise this client; check username, password and client_id, and the broker's access rules",
}

// refused is the error for a CONNACK that is not 0.
func refused(code byte) error {
	if why, ok := refusals[code]; ok {
		return gateway.Blocked(fmt.Errorf("%s (CONNACK %d)", why, code))
	}
	if code == 3 {
		return errors.New("the broker says that it is unavailable (CONNACK 3)")
	}
	return fmt.Errorf("the broker answered CONNECT with the unknown code %d", code)
}

// classify marks an error of making a connection as Blocked where a person must look. Everything else may pass by itself.
func classify(err error) error {
	var (
		dns       *net.DNSError
		untrusted *tls.CertificateVerificationError
		invalid   x509.CertificateInvalidError
		plain     tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return gateway.Blocked(fmt.Errorf("%w; check the host name in url, and the name server", err))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return gateway.Blocked(fmt.Errorf("%w; if the certificate is in date, this machine's clock is not", err))
	case errors.As(err, &untrusted):
		return gateway.Blocked(fmt.Errorf("%w; check tls.ca and the host name in url", err))
	case isAlert(err):
		return gateway.Blocked(fmt.Errorf("%w; the broker refused our side of TLS: check the client certificate", err))
	case errors.As(err, &plain):
		return gateway.Blocked(fmt.Errorf("%w; the broker does not speak TLS on this port", err))
	}
	return err
}

// isAlert says whether the other side of TLS ended it with an alert. crypto/tls has no exported type for it, only this Op.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
