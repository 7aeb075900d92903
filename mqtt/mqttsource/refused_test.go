package mqttsource

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"gateway/internal/faultproxy"
	"gateway/internal/gatewaytest"
)

// start runs a source that may not get a connection, with its log.
func start(t *testing.T, o Options) (*Source, *gatewaytest.FakeLog, *lockedBuffer) {
	t.Helper()
	out, log := &lockedBuffer{}, gatewaytest.NewLog()
	o.Logger = slog.New(slog.NewTextHandler(out, nil))
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, log) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
	return s, log, out
}

func TestWrongPasswordIsToldApartFromALineThatIsDown(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "users")
	if out, err := exec.Command(program(t, "mosquitto_passwd"), "-c", "-b", users, "pi", "right").CombinedOutput(); err != nil {
		t.Skipf("mosquitto_passwd: %v: %s", err, out)
	}
	m := startMosquitto(t, "allow_anonymous false\npassword_file "+users+"\n")
	proxy, err := faultproxy.New(m.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	o := options(proxy.Addr())
	o.Username, o.Password = "pi", "hunter2"
	s, _, out := start(t, o)
	attempts := func(n int64) func() bool {
		n += proxy.Opened()
		return func() bool { return proxy.Opened() >= n }
	}
	inState(t, s, StateRefused)
	until(t, out.String, attempts(5))
	if got := s.Status(); !strings.Contains(got.LastError, "check username, password") {
		t.Errorf("got %+v, want it to say what to do", got)
	}
	proxy.SetDown()
	inState(t, s, StateConnecting)
	proxy.SetUp()
	inState(t, s, StateRefused)
	if n := out.lines("level=ERROR", "refused"); n != 2 {
		t.Errorf("got %d lines of ERROR, want one for each time that it is refused:\n%s", n, out)
	}
	if n := out.lines("level=WARN", "no connection"); n != 1 {
		t.Errorf("got %d lines of WARN, want one:\n%s", n, out)
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("the log has the password:\n%s", out)
	}
	t.Logf("\n%s", out)
}

func TestLineDownIsLoggedOnceAndItsReturn(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true\n")
	proxy, err := faultproxy.New(m.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	proxy.SetDown()
	s, log, out := start(t, options(proxy.Addr()))
	until(t, out.String, func() bool { return out.lines("level=WARN") > 0 })
	proxy.SetUp()
	inState(t, s, StateConnected)
	if got := s.Status(); got.LastError != "" || got.Reconnects != 0 {
		t.Errorf("got %+v, want no error and no reconnect", got)
	}
	proxy.SetDown()
	inState(t, s, StateConnecting)
	newPublisher(t, m.addr, nil).publish("t", false, "while it was down")
	proxy.SetUp()
	stored(t, log, 1)
	if s.Status().Reconnects != 1 || out.lines("level=ERROR") != 0 || out.lines("level=WARN") != 2 || out.lines("level=INFO", "source connected") != 2 {
		t.Errorf("got %+v and\n%s\nwant a WARN and an INFO for each time", s.Status(), out)
	}
}

// TestTopicsThatTheBrokerDenies: a SUBACK says for each topic whether it is granted.
func TestTopicsThatTheBrokerDenies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		codes []byte // in the order of the topics a, b
		state string
	}{{"all", []byte{0x80, 0x80}, StateRefused}, {"one", []byte{1, 0x80}, StateConnected}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := options(denyingBroker(t, c.codes))
			o.Topics = []string{"a", "b"}
			s, _, out := start(t, o)
			inState(t, s, c.state)
			if got := s.Status(); !strings.Contains(got.LastError, "b; check topics") || out.lines("level=ERROR") != 1 {
				t.Errorf("got %+v and\n%s\nwant one ERROR that names the topic", got, out)
			}
		})
	}
}

// denyingBroker answers SUBSCRIBE with these codes for the topics in alphabetical order.
func denyingBroker(t *testing.T, codes []byte) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(patience))
			in := bufio.NewReader(conn)
			for {
				first, err := in.ReadByte()
				if err != nil {
					break
				}
				length, _ := binary.ReadUvarint(in)
				body := make([]byte, length)
				io.ReadFull(in, body)
				switch first >> 4 {
				case 1:
					conn.Write([]byte{0x20, 2, 0, 0})
				case 8:
					answer := []byte{0x90, byte(2 + len(codes)), body[0], body[1]}
					for topics := body[2:]; len(topics) > 0; topics = topics[4:] { // each of one letter
						answer = append(answer, codes[topics[2]-'a'])
					}
					conn.Write(answer)
				}
			}
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

func TestCertificateThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	m := startMosquitto(t, "allow_anonymous true\ncertfile "+cert+"\nkeyfile "+key+"\n")
	o := options(m.addr)
	o.URL = "mqtts://" + m.addr
	s, _, logged := start(t, o)
	if got := inState(t, s, StateRefused); !strings.Contains(got.LastError, "check tls.ca") || logged.lines("level=ERROR") != 1 {
		t.Errorf("got %+v and\n%s", got, logged)
	}
	o.ClientID, o.TLS = "gw-2", &tls.Config{InsecureSkipVerify: true}
	s, log, _ := start(t, o)
	inState(t, s, StateConnected)
	newPublisher(t, "", func(p *paho.ClientOptions) {
		p.Servers = nil
		p.AddBroker("ssl://" + m.addr).SetTLSConfig(o.TLS)
	}).publish("t", false, "over TLS")
	stored(t, log, 1)
}

// certificate makes one for 127.0.0.1 that nobody has signed, and returns the files that it and its key are in.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("server.crt", "CERTIFICATE", der), write("server.key", "EC PRIVATE KEY", keyDER)
}
