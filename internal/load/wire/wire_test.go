package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestReaderSplitsWhatWasAppended(t *testing.T) {
	t.Parallel()
	big := bytes.Repeat([]byte("x"), 70_000)
	var stream []byte
	stream = AppendPublish(stream, "a/b", 7, 1, true, []byte("hello"))
	stream = AppendAck(stream, Puback, 9)
	stream = AppendPublish(stream, "c", 0, 0, false, big)
	stream = AppendAck(stream, Pubrel, 300)
	stream = AppendEmpty(stream, Pingreq)
	for name, src := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		r := NewReader(src, 64)
		m := nextPublish(t, r)
		if string(m.Topic) != "a/b" || m.ID != 7 || m.QoS != 1 || !m.Dup || string(m.Payload) != "hello" {
			t.Errorf("%s: got %+v, want the publish to a/b", name, m)
		}
		wantAck(t, r, Puback, 9)
		if m := nextPublish(t, r); m.QoS != 0 || !bytes.Equal(m.Payload, big) {
			t.Errorf("%s: got QoS %d and %d bytes, want QoS 0 and %d", name, m.QoS, len(m.Payload), len(big))
		}
		wantAck(t, r, Pubrel|2, 300)
		if first, body, err := r.Next(); first != Pingreq || len(body) != 0 || err != nil {
			t.Errorf("%s: got %x % x %v, want PINGREQ", name, first, body, err)
		}
		if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v at the end, want EOF", name, err)
		}
	}
}

func nextPublish(t *testing.T, r *Reader) Message {
	t.Helper()
	first, body, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParsePublish(first, body)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func wantAck(t *testing.T, r *Reader, packet byte, id uint16) {
	t.Helper()
	first, body, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ID(body); first != packet || got != id || err != nil {
		t.Errorf("got %x id %d %v, want %x id %d", first, got, err, packet, id)
	}
}

func TestReaderRefusesWhatIsTooLong(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"\x30\xff\xff\xff\xff\x01", "\x30\xff\xff\xff\x7f"} {
		if _, _, err := NewReader(strings.NewReader(stream), 64).Next(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("reading % x: got %v, want an error about its length", stream, err)
		}
	}
}

func TestDialTellsARefusal(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, _, err := NewReader(conn, 64).Next(); err != nil {
			return
		}
		_, _ = conn.Write([]byte{Connack, 2, 0, 5})
	}()
	if _, _, err := Dial(ln.Addr().String(), Options{ClientID: "a", User: "u"}, 5*time.Second); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v, want ErrRefused", err)
	}
}
