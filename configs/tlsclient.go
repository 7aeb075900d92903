package configs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
)

// Config makes the TLS configuration of a client, TLS 1.2 and later; nil where nothing is set. It reads the files, and
// the error names the one that is wrong.
func (t *ClientTLS) Config() (*tls.Config, error) {
	if t.CAFile+t.CertFile+t.KeyFile+t.ServerName == "" {
		return nil, nil
	}
	files := sha256.New()
	defer func() { t.digest = hex.EncodeToString(files.Sum(nil)) }()
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, errors.New("cert_file and key_file belong together; give both or none")
	}
	if t.CertFile != "" {
		cert, err := readRegular(t.CertFile, 1<<20)
		if err != nil {
			return nil, fmt.Errorf("cert_file: %w", err)
		}
		key, err := readRegular(t.KeyFile, 1<<20)
		if err != nil {
			return nil, fmt.Errorf("key_file: %w", err)
		}
		_, _ = fmt.Fprintf(files, "%d %s %s", len(cert), cert, key) // a hash takes everything
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("cert_file %s and key_file %s: %w", t.CertFile, t.KeyFile, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if t.CAFile == "" {
		return cfg, nil
	}
	authorities, err := readRegular(t.CAFile, 4<<20)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	_, _ = fmt.Fprintf(files, " %s", authorities)
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("ca_file %s: it has no certificate in PEM form", t.CAFile)
	}
	return cfg, nil
}
