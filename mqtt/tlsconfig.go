package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

// ServerTLS makes the configuration of a TLS listener: TLS 1.2 and later, with the certificate (and its chain) and
// key of the PEM files. With clientCAFile a client must show a certificate of one of its authorities. Errors name the
// file and what is wrong with it. Dates are not checked here: a Pi starts in 1970, and a gateway whose certificate
// has run out still has sensors to listen to. See CertificateDates.
func ServerTLS(certFile, keyFile, clientCAFile string) (*tls.Config, error) {
	certPEM, err := readPEM("certificate", certFile, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	keyPEM, err := readPEM("key", keyFile, "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate %s and key %s: %w", certFile, keyFile, err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if clientCAFile == "" {
		return cfg, nil
	}
	caPEM, err := readPEM("client CA", clientCAFile, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for block, rest := pem.Decode(caPEM); block != nil; block, rest = pem.Decode(rest) {
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("client CA file %s: %w", clientCAFile, err)
		}
		pool.AddCert(ca)
	}
	cfg.ClientCAs, cfg.ClientAuth = pool, tls.RequireAndVerifyClientCert
	return cfg, nil
}

// CertificateDates says whether clients will refuse the configuration's own certificate at the time now because of
// its dates; nil if they will not. It is a reason to warn, not to stop.
func CertificateDates(cfg *tls.Config, now time.Time) error {
	var wrong []error
	for _, c := range cfg.Certificates {
		if c.Leaf == nil {
			continue
		}
		if now.After(c.Leaf.NotAfter) {
			wrong = append(wrong, fmt.Errorf("certificate %q ran out on %s: clients will refuse it until it is renewed", c.Leaf.Subject, c.Leaf.NotAfter.Format(time.DateOnly)))
		}
		if now.Before(c.Leaf.NotBefore) {
			wrong = append(wrong, fmt.Errorf("certificate %q is valid from %s, and it is %s by the clock of this machine: one of the two is wrong",
				c.Leaf.Subject, c.Leaf.NotBefore.Format(time.DateOnly), now.Format(time.DateOnly)))
		}
	}
	return errors.Join(wrong...)
}

// readPEM reads the file and checks that the first block in it is of one of the types.
func readPEM(what, path string, types ...string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s file: %w", what, err)
	}
	found := ""
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		for _, t := range types {
			if block.Type == t {
				return data, nil
			}
		}
		if found == "" {
			found = block.Type
		}
	}
	if found == "ENCRYPTED PRIVATE KEY" {
		return nil, fmt.Errorf("%s file %s: the key has a passphrase: store it without one, readable by the gateway's user alone", what, path)
	}
	if found != "" {
		return nil, fmt.Errorf("%s file %s: it has %q, wanted is %q", what, path, found, types[0])
	}
	return nil, fmt.Errorf("%s file %s: it is not PEM (text that begins with -----BEGIN %s-----)", what, path, types[0])
}
