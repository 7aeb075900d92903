package mqttsink

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateway"
	"gateway/forwarder"
	"gateway/internal/faultproxy"
	"gateway/internal/gatewaytest"
)

// eventually waits until ok.
func eventually(t *testing.T, what func() string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); {
		<-tick.C
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain: %s", patience, what())
		}
	}
}

func inState(t *testing.T, f *forwarder.Forwarder, state string) gateway.ForwarderStatus {
	t.Helper()
	eventually(t, func() string { return fmt.Sprintf("want the state %s, got %+v", state, f.Status()) },
		func() bool { return f.Status().State == state })
	return f.Status()
}

func TestRefusedLoginBlocksAndRecovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	setPassword := func(password string) {
		out, err := exec.Command("mosquitto_passwd", "-c", "-b", users, "pi", password).CombinedOutput()
		if err != nil {
			t.Skipf("mosquitto_passwd: %v: %s", err, out)
		}
		os.Chmod(users, 0o644)
	}
	mosquittoPath(t)
	setPassword("another")
	m := startMosquitto(t, dir, "allow_anonymous false\npassword_file %[1]s/users\n")
	o := options(t, m.addr)
	o.Username, o.Password, o.Format = "pi", "secret", FormatRaw
	log := gatewaytest.NewLog()
	f := forward(t, log, newSink(t, o))
	feed(t, log, 0, 50)
	s := inState(t, f, gateway.StateBlocked)
	if !strings.Contains(s.LastError, "CONNACK 5") || !strings.Contains(s.LastError, "password") || strings.Contains(s.LastError, "secret") {
		t.Errorf("got %q, want CONNACK 5, what to check, and no secret", s.LastError)
	}
	if s.Settled != 0 || s.Waiting != 50 {
		t.Errorf("got %+v, want nothing settled", s)
	}
	setPassword("secret")
	m.cmd.Process.Signal(syscall.SIGHUP) // reads the password file again
	r := subscribe(t, m.addr, func(o *mqtt.ClientOptions) {
		o.SetUsername("pi").SetPassword("secret").SetConnectRetry(true).SetConnectRetryInterval(10 * time.Millisecond)
	})
	inState(t, f, gateway.StateIdle)
	if got := f.Status(); got.Delivered != 50 || got.DeadLettered != 0 {
		t.Errorf("got %+v, want 50 delivered", got)
	}
	feed(t, log, 50, 1)
	if got := r.wait(t, "the event after the recovery", func(m []message) bool { return lastOf(m).payload == "50" }); lastOf(got).topic != "t/s" {
		t.Errorf("got the topic %q, want t/s", lastOf(got).topic)
	}
}

func TestConnackCodesHaveTheirClass(t *testing.T) {
	t.Parallel()
	for code, blocked := range map[byte]bool{1: true, 2: true, 3: false, 4: true, 5: true, 9: false} {
		broker := startFakeBroker(t, code, nil)
		err := newSink(t, options(t, broker.addr)).Send(t.Context(), gatewaytest.Entries(1, 1))
		if err == nil || errors.Is(err, gateway.ErrBlocked) != blocked || errors.Is(err, gateway.ErrPermanent) {
			t.Errorf("CONNACK %d: got %v, want blocked %v", code, err, blocked)
		}
	}
}

func TestStartsWithTheUpstreamUnreachable(t *testing.T) {
	t.Parallel()
	path := mosquittoPath(t)
	m := &mosquitto{dir: t.TempDir(), addr: freeAddr(t)}
	p, err := faultproxy.New(m.addr) // keeps the sink's port; nothing listens behind it yet
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	log := gatewaytest.NewLog()
	f := forward(t, log, newSink(t, options(t, p.Addr())))
	feed(t, log, 0, 20)
	inState(t, f, gateway.StateRetrying)
	if !m.start(t, path, "allow_anonymous true\n") {
		t.Skipf("the port of the upstream was taken: %s", m.out)
	}
	t.Cleanup(m.stop)
	if s := inState(t, f, gateway.StateIdle); s.Delivered != 20 {
		t.Errorf("got %+v, want 20 delivered", s)
	}
}

func TestRefusedConnectionIsRetried(t *testing.T) {
	t.Parallel()
	err := newSink(t, options(t, freeAddr(t))).Send(t.Context(), gatewaytest.Entries(1, 1))
	if !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, gateway.ErrBlocked) || errors.Is(err, gateway.ErrPermanent) {
		t.Errorf("got %v, want connection refused without a class", err)
	}
}

func TestSilentServerIsLeftAfterConnectTimeout(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	o := options(t, ln.Addr().String())
	o.ConnectTimeout = 100 * time.Millisecond
	err = newSink(t, o).Send(t.Context(), gatewaytest.Entries(1, 1))
	if err == nil || !strings.Contains(err.Error(), "connect_timeout") || errors.Is(err, gateway.ErrBlocked) {
		t.Errorf("got %v, want the connect_timeout", err)
	}
}

func TestNamesThatDoNotResolveKeepTheEvents(t *testing.T) {
	t.Parallel()
	o := options(t, "")
	o.URL, o.ConnectTimeout = "mqtt://nowhere.invalid", time.Second
	log := gatewaytest.NewLog()
	f := forward(t, log, newSink(t, o))
	feed(t, log, 0, 3)
	eventually(t, func() string { return fmt.Sprintf("%+v", f.Status()) }, func() bool { return f.Status().Failures > 1 })
	if s := f.Status(); s.Settled != 0 || s.State != gateway.StateBlocked && s.State != gateway.StateRetrying {
		t.Errorf("got %+v, want everything kept", s) // the state depends on whether there is a name server
	}
	for missing, blocked := range map[bool]bool{true: true, false: false} {
		err := classify(fmt.Errorf("connect: %w", &net.DNSError{Err: "x", Name: "nowhere.invalid", IsNotFound: missing, IsTemporary: !missing}))
		if errors.Is(err, gateway.ErrBlocked) != blocked {
			t.Errorf("name not found %v: got blocked %v, want %v", missing, !blocked, blocked)
		}
	}
}

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	cert, key, _ := a.sign(t, "ca", time.Now().Add(time.Hour))
	a.cert, a.key = cert, key
	a.pool.AddCert(cert)
	return a
}

// sign makes a certificate; the first is the authority's own. It returns both also as PEM.
func (a *authority) sign(t *testing.T, name string, until time.Time) (*x509.Certificate, *ecdsa.PrivateKey, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: a.cert == nil,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) write(t *testing.T, dir, name string, until time.Time) {
	t.Helper()
	cert, key, _ := a.sign(t, name, until)
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".crt": {Type: "CERTIFICATE", Bytes: cert.Raw}, name + ".key": {Type: "EC PRIVATE KEY", Bytes: der},
		"ca.crt": {Type: "CERTIFICATE", Bytes: a.cert.Raw},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const tlsConfig = "allow_anonymous true\ncafile %[1]s/ca.crt\ncertfile %[1]s/server.crt\nkeyfile %[1]s/server.key\nrequire_certificate true\n"

func TestTLSWithAClientCertificate(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	ca.write(t, dir, "server", time.Now().Add(time.Hour))
	m := startMosquitto(t, dir, tlsConfig)
	_, _, mine := ca.sign(t, "pi", time.Now().Add(time.Hour))
	_, _, other := stranger.sign(t, "pi", time.Now().Add(time.Hour))
	for _, c := range []struct {
		name    string
		config  *tls.Config
		blocked string // in the error; "" for none
	}{
		{"both trusted", &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{mine}}, ""},
		{"no client certificate", &tls.Config{RootCAs: ca.pool}, "check the client certificate"},
		{"a stranger's client certificate", &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{other}}, "check the client certificate"},
		{"a server that we do not trust", &tls.Config{RootCAs: stranger.pool, Certificates: []tls.Certificate{mine}}, "check tls.ca"},
		{"the system's roots", nil, "check tls.ca"},
		{"another server name", &tls.Config{RootCAs: ca.pool, ServerName: "example.com"}, "check tls.ca"},
		{"a clock that is wrong", &tls.Config{RootCAs: ca.pool, Time: func() time.Time { return time.Now().Add(48 * time.Hour) }}, "clock"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, m.addr)
			o.URL, o.TLS = "ssl://"+m.addr, c.config
			err := newSink(t, o).Send(t.Context(), gatewaytest.Entries(1, 300))
			if c.blocked == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, gateway.ErrBlocked) || !strings.Contains(err.Error(), c.blocked) {
				t.Errorf("got %v, want it blocked and to say %q", err, c.blocked)
			}
		})
	}
	t.Run("a broker without TLS", func(t *testing.T) {
		plain := startMosquitto(t, t.TempDir(), "allow_anonymous true\n")
		o := options(t, plain.addr)
		o.URL, o.ConnectTimeout = "ssl://"+plain.addr, 2*time.Second
		if err := newSink(t, o).Send(t.Context(), gatewaytest.Entries(1, 1)); err == nil || errors.Is(err, gateway.ErrPermanent) {
			t.Errorf("got %v, want an error that is not permanent", err)
		}
	})
}

func TestDeliversToTheTopicThatTheTemplateSays(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, t.TempDir(), "allow_anonymous true\n")
	r := subscribe(t, m.addr, nil)
	for i, c := range []struct{ template, want string }{
		{"{prefix}{topic}", "plant-1/kitchen/t"},
		{"{prefix}{subject}", "plant-1/s"},
		{"all/{gateway}/{type}/{source}", "all/pi-7/mqtt.publish///pi/mqtt/c"},
		{"fixed", "fixed"},
	} {
		o := options(t, m.addr)
		o.Topic, o.TopicPrefix, o.Gateway, o.Format = c.template, "plant-1/", "pi-7", FormatRaw
		o.ClientID += strconv.Itoa(i)
		batch := []gateway.Entry{{Offset: 1, Event: gateway.Event{ID: "1", Source: "//pi/mqtt/c", Type: "mqtt.publish",
			Subject: "s", Data: []byte("x"), Extensions: map[string]string{gateway.ExtTopic: "kitchen/t", gateway.ExtRetain: "true"}}}}
		if err := newSink(t, o).Send(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if got := r.waitFor(t, i+1)[i]; got.topic != c.want {
			t.Errorf("template %q: got %q, want %q", c.template, got.topic, c.want)
		}
	}
	late := subscribe(t, m.addr, func(o *mqtt.ClientOptions) { o.SetClientID("late") })
	for _, m := range late.waitFor(t, 4) {
		if !m.retain {
			t.Errorf("%s was not kept as retained", m.topic)
		}
	}
}

func TestNewSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.URL = "http://x" }, "use tcp://host:port or mqtt://host:port, or ssl://, tls:// or mqtts://"},
		{func(o *Options) { o.URL = "broker.example.com:1883" }, "use tcp://"},
		{func(o *Options) { o.URL = "tcp://" }, "no host"},
		{func(o *Options) { o.URL = "tcp://h:99999" }, "port"},
		{func(o *Options) { o.URL = "tcp://h/topic" }, "behind the port"},
		{func(o *Options) { o.URL = "tcp://user:hunter2@h" }, "use username and password"},
		{func(o *Options) { o.URL = "tcp://user:hunter2@h:%zz" }, "url"},
		{func(o *Options) { o.TLS = &tls.Config{} }, "use ssl://"},
		{func(o *Options) { o.ClientID = "" }, "client_id"},
		{func(o *Options) { o.ClientID = "a\x00b" }, "client_id"},
		{func(o *Options) { o.Password = "hunter2" }, "no username"},
		{func(o *Options) { o.Topic = "" }, "topic"},
		{func(o *Options) { o.Topic = "a/{nothing}" }, "{nothing} is not known"},
		{func(o *Options) { o.Topic = "a/{subject" }, "without }"},
		{func(o *Options) { o.TopicPrefix = "a/#/" }, "wildcards"},
		{func(o *Options) { o.Format = "xml" }, `use "raw" or "cloudevents"`},
		{func(o *Options) { o.Window = 0 }, "window"},
		{func(o *Options) { o.MaxPacket = 0 }, "max_packet"},
		{func(o *Options) { o.AckTimeout = 0 }, "ack_timeout"},
		{func(o *Options) { o.ConnectTimeout = 0 }, "connect_timeout"},
		{func(o *Options) { o.KeepAlive = 0 }, "keep_alive"},
		{func(o *Options) { o.Logger = nil }, "logger"},
	} {
		o := options(t, "127.0.0.1:1")
		c.change(&o)
		_, err := New(o)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want it to say %q and no secret", err, c.want)
		}
	}
	_, err := New(Options{URL: "x", ClientID: "", Topic: "{"})
	if err == nil || strings.Count(err.Error(), "\n") < 5 {
		t.Errorf("got %v, want every mistake on a line of its own", err)
	}
}
