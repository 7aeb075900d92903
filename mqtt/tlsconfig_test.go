package mqtt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testCA issues certificates for tests.
type testCA struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newTestCA(t testing.TB) *testCA {
	t.Helper()
	ca := &testCA{t: t, key: newTestKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &ca.key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	ca.file = writeFile(t, "ca.pem", pemText("CERTIFICATE", der))
	return ca
}

func newTestKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// issue returns the files of a certificate for 127.0.0.1 and its key.
func (ca *testCA) issue(name string, from, to time.Time) (certFile, keyFile string) {
	ca.t.Helper()
	key := newTestKey(ca.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		ca.t.Fatal(err)
	}
	return writeFile(ca.t, name+".pem", pemText("CERTIFICATE", der)), writeFile(ca.t, name+".key", pemText("PRIVATE KEY", keyDER))
}

func (ca *testCA) valid(name string) (certFile, keyFile string) {
	return ca.issue(name, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
}

func (ca *testCA) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

func TestServerTLSMistakes(t *testing.T) {
	t.Parallel()
	ca := newTestCA(t)
	cert, key := ca.valid("server")
	_, otherKey := ca.valid("other")
	missing := filepath.Join(t.TempDir(), "missing.pem")
	text := writeFile(t, "text", "not PEM")
	broken := writeFile(t, "broken", pemText("CERTIFICATE", []byte("junk")))
	locked := writeFile(t, "locked", pemText("ENCRYPTED PRIVATE KEY", []byte("junk")))
	for name, c := range map[string]struct{ cert, key, ca, file, want string }{
		"no certificate":       {missing, key, "", missing, "read certificate file"},
		"no key":               {cert, missing, "", missing, "read key file"},
		"no client CA":         {cert, key, missing, missing, "read client CA file"},
		"certificate not PEM":  {text, key, "", text, "it is not PEM"},
		"key not PEM":          {cert, text, "", text, "it is not PEM"},
		"client CA not PEM":    {cert, key, text, text, "it is not PEM"},
		"swapped":              {key, cert, "", key, `it has "PRIVATE KEY", wanted is "CERTIFICATE"`},
		"key of another":       {cert, otherKey, "", otherKey, "does not match"},
		"key with passphrase":  {cert, locked, "", locked, "has a passphrase"},
		"broken certificate":   {broken, key, "", broken, "x509"},
		"broken client CA":     {cert, key, broken, broken, "client CA file"},
		"client CA is the key": {cert, key, key, key, `wanted is "CERTIFICATE"`},
	} {
		_, err := ServerTLS(c.cert, c.key, c.ca)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) {
			t.Errorf("%s: got %v, want an error with %q and the file", name, err, c.want)
		}
	}
}

func TestCertificateDates(t *testing.T) {
	t.Parallel()
	ca, now := newTestCA(t), time.Now()
	for name, c := range map[string]struct {
		from, to time.Duration
		want     string
	}{
		"valid":   {-time.Hour, time.Hour, ""},
		"old":     {-2 * time.Hour, -time.Hour, "ran out on"},
		"not yet": {time.Hour, 2 * time.Hour, "is valid from"},
	} {
		cert, key := ca.issue("server", now.Add(c.from), now.Add(c.to))
		cfg, err := ServerTLS(cert, key, "")
		if err != nil {
			t.Fatalf("%s: %v, want dates to be no reason to refuse", name, err)
		}
		switch err := CertificateDates(cfg, now); {
		case c.want == "" && err != nil:
			t.Errorf("%s: got %v, want none", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
}

func TestServerTLSHandshakes(t *testing.T) {
	t.Parallel()
	ca := newTestCA(t)
	cert, key := ca.valid("server")
	client, err := tls.LoadX509KeyPair(ca.valid("client"))
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := tls.LoadX509KeyPair(newTestCA(t).valid("stranger"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		clientCA string
		client   *tls.Config
		want     bool
	}{
		"no client certificate asked":   {"", &tls.Config{}, true},
		"TLS 1.1":                       {"", &tls.Config{MaxVersion: tls.VersionTLS11}, false},
		"client certificate":            {ca.file, &tls.Config{Certificates: []tls.Certificate{client}}, true},
		"without a client certificate":  {ca.file, &tls.Config{}, false},
		"client certificate of another": {ca.file, &tls.Config{Certificates: []tls.Certificate{stranger}}, false},
	} {
		server, err := ServerTLS(cert, key, c.clientCA)
		if err != nil {
			t.Fatal(err)
		}
		c.client.RootCAs, c.client.ServerName = ca.pool(), "127.0.0.1"
		if got := handshake(server, c.client); (got == nil) != c.want {
			t.Errorf("%s: got %v, want success %v", name, got, c.want)
		}
	}
}

// handshake returns the server's error.
func handshake(server, client *tls.Config) error {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go func() {
		conn := tls.Client(b, client)
		if conn.Handshake() == nil {
			conn.Read(make([]byte, 1))
		}
		b.Close()
	}()
	return tls.Server(a, server).Handshake()
}
