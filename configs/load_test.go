package configs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gateway/configs"
)

func parse(t *testing.T, dir, text string) *configs.Config {
	t.Helper()
	c, err := configs.Parse("gateway.yaml", dir, []byte(text), environment)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var exported = cmpopts.IgnoreUnexported(configs.Config{}, configs.MQTTSink{}, configs.Source{}, configs.ClientTLS{})

func TestEveryKeyReachesItsPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "s3cret\r\n", 0o600)
	write(t, filepath.Join(dir, "users"), "", 0o600)
	c := parse(t, dir, `
id: pi-1
data_dir: log
log: {level: debug, format: json}
mqtt:
  listen: [127.0.0.1:1, "[::1]:2"]
  users_file: users
  acl: [{user: "*", access: read, topic: "a/%u"}, {user: b, access: readwrite, topic: "#"}]
  capture: {include: ["a/#", b], exclude: c}
  max_packet_size: 100 kB
  max_clients: ${CLIENTS_UNSET:-7}
buffer: {max_size: 1GB, commit_interval: 1.5s}
forwarders:
  - name: one
    routes:
      - {match: [alarms/#, a], where: size > 1, priority: 9, ttl: 1h}
      - {match: "#"}
    catch_up: live_first
    backlog: newest_first
    start: "2026-11-01T00:00:00Z"
    renamed_from: zero
    batch: {max_events: 100, max_bytes: 64KiB, max_age: 1m}
    budget:
      bytes_per_second: 100kB
      backlog_bytes_per_second: 50kB
      events_per_second: 10
      backlog_events_per_second: 5
      burst: 1s
      month: 500MB
      urgent: 8
      schedule: ["22:00-06:00", "12:00-13:00"]
    dead_letters: {max_size: 1MiB, max_age: 1d}
    outcomes: all
    sink:
      type: mqtt
      url: ssl://h
      topic_prefix: p/
      topic: "{prefix}t"
      format: cloudevents
      client_id: me
      username: u
      password_file: secret
      tls: {server_name: name}
      window: 5
      ack_timeout: 1m30s
    retry: {min: 100ms, max: 1d}
  - name: two
    match: x/#
    where: type == 't'
    ttl: 1m
    sink: {type: file, path: out.jsonl, max_size: 1MiB, max_files: 3}
  - name: three
    sink: {type: local, topic: "{prefix}x", topic_prefix: c/, format: cloudevents, retain: keep, wait_for: subscriber}
sources:
  - {name: up, type: mqtt, url: "tcp://h", topics: cmd/#, topic_prefix: cloud/, retained: take, client_id: me, username: u, password: p, max_packet: 10kB}
`)
	want := configs.Default()
	want.File, want.ID, want.DataDir = "gateway.yaml", "pi-1", filepath.Join(dir, "log")
	want.Log = configs.Log{Level: "debug", Format: "json"}
	want.MQTT = configs.MQTT{
		Listen: []string{"127.0.0.1:1", "[::1]:2"}, UsersFile: filepath.Join(dir, "users"),
		ACL:           []configs.Rule{{User: "*", Access: "read", Topic: "a/%u"}, {User: "b", Access: "readwrite", Topic: "#"}},
		Capture:       configs.Capture{Include: []string{"a/#", "b"}, Exclude: []string{"c"}},
		MaxPacketSize: 100_000, MaxClients: 7,
	}
	want.Buffer = configs.Buffer{MaxSize: 1_000_000_000, WhenFull: "reject", Reserve: 64 << 20, CommitInterval: 1500 * time.Millisecond}
	file := configs.FileSink{MaxSize: 64 << 20, MaxFiles: 10}
	local := configs.LocalSink{Topic: "{topic}", Format: "raw", Retain: "never", Wait: "none"}
	batch, letters := configs.Batch{MaxEvents: 2000, MaxBytes: 1 << 20}, configs.DeadLetters{MaxSize: 16 << 20}
	want.Forwarders = []configs.Forwarder{
		{
			Name: "one", Match: []string{"#"}, CatchUp: "live_first", Backlog: "newest_first", Start: "2026-11-01T00:00:00Z", Outcomes: "all", RenamedFrom: "zero",
			Routes: []configs.Route{
				{Match: []string{"alarms/#", "a"}, Where: "size > 1", Priority: 9, TTL: time.Hour},
				{Match: []string{"#"}},
			},
			Batch: configs.Batch{MaxEvents: 100, MaxBytes: 64 << 10, MaxAge: time.Minute}, DeadLetters: configs.DeadLetters{MaxSize: 1 << 20, MaxAge: 24 * time.Hour},
			Budget: configs.Budget{
				BytesPerSecond: 100_000, BacklogBytesPerSecond: 50_000, EventsPerSecond: 10, BacklogEventsPerSecond: 5,
				Burst: time.Second, Month: 500_000_000, Urgent: 8, Schedule: []string{"22:00-06:00", "12:00-13:00"},
			},
			Retry: configs.Retry{Min: 100 * time.Millisecond, Max: 24 * time.Hour},
			Sink: configs.Sink{Type: "mqtt", File: file, Local: local, MQTT: configs.MQTTSink{
				URL: "ssl://h", TopicPrefix: "p/", Topic: "{prefix}t", Format: "cloudevents", ClientID: "me", Username: "u",
				Password: "s3cret", TLS: configs.ClientTLS{ServerName: "name"}, Window: 5, MaxPacket: 268_435_455, AckTimeout: 90 * time.Second,
			}},
		},
		{
			Name: "two", Match: []string{"x/#"}, Where: "type == 't'", TTL: time.Minute, CatchUp: "in_order", Backlog: "oldest_first", Start: "beginning", Outcomes: "none",
			Batch: batch, DeadLetters: letters, Retry: configs.Retry{Min: 100 * time.Millisecond, Max: 30 * time.Second},
			Sink: configs.Sink{
				Type: "file", Local: local, File: configs.FileSink{Path: filepath.Join(dir, "out.jsonl"), MaxSize: 1 << 20, MaxFiles: 3},
				MQTT: configs.MQTTSink{Topic: "{prefix}{topic}", Format: "cloudevents", Window: 1000, MaxPacket: 268_435_455, AckTimeout: 10 * time.Second},
			},
		},
	}
	third := want.Forwarders[1]
	third.Name, third.Match, third.Where, third.TTL = "three", []string{"#"}, "", 0
	third.Sink.Type, third.Sink.File = "local", file
	third.Sink.Local = configs.LocalSink{Topic: "{prefix}x", Prefix: "c/", Format: "cloudevents", Retain: "keep", Wait: "subscriber"}
	want.Forwarders = append(want.Forwarders, third)
	want.Sources = []configs.Source{{
		Name: "up", Type: "mqtt", URL: "tcp://h", Topics: []string{"cmd/#"}, TopicPrefix: "cloud/", Retained: "take", ClientID: "me",
		Username: "u", Password: "p", MaxPacket: 10_000,
	}}
	if diff := cmp.Diff(want, c, exported, cmpopts.IgnoreFields(configs.Config{}, "Warnings")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEmptyFileIsTheDefault(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "mqtt:\nlog:\n  # level: x\nforwarders:\n", "\uFEFF\r\nlog:\r\n  level: info\r\n"} {
		want := configs.Default()
		want.File, want.DataDir = "gateway.yaml", "/etc/gateway/data"
		if diff := cmp.Diff(want, parse(t, "/etc/gateway", text), exported); diff != "" {
			t.Errorf("%q: -want +got:\n%s", text, diff)
		}
	}
}

func TestVariablesAreNotReadAsYAML(t *testing.T) {
	t.Parallel()
	c := parse(t, "/", `
forwarders:
  - name: a
    sink: {type: mqtt, url: "tcp://h", username: "${TRAP}", password: "$${TRAP} $5 ${EMPTY:-d}${EMPTY}"}
`)
	s := c.Forwarders[0].Sink.MQTT
	if s.Username != "a: [b, &c" || s.Password != "${TRAP} $5 d" {
		t.Errorf("got user %q, password %q", s.Username, s.Password)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "open"), "x\n", 0o644)
	c := parse(t, dir, `
mqtt: {listen: 0.0.0.0:1883, users_file: users}
forwarders:
  - name: a
    sink: {type: mqtt, url: "tcp://h", format: raw, username: u, password_file: open}
`)
	var got []string
	for _, w := range c.Warnings {
		got = append(got, w.Path)
	}
	want := []string{"mqtt.listen", "mqtt.users_file", "forwarders[0].sink.format", "forwarders[0].sink.password_file"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s\n%v", diff, c.Warnings)
	}
	if text := c.Warnings[0].Explain(); !strings.Contains(text, "gateway user add") || !strings.Contains(text, "gateway.yaml:2:16: mqtt.listen: ") {
		t.Errorf("got %s", text)
	}
}

func TestUsersMakeOtherAddressesFine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "users"), "a:$2a$04$abcdefghijklmnopqrstuuqS5DwuQ2iDqbAE0SLrXTlZUWvkpG8x6\n", 0o600)
	c := parse(t, dir, "mqtt: {listen: 0.0.0.0:1883, users_file: users}\n")
	if len(c.Warnings) != 0 {
		t.Errorf("got %v, want no warnings", c.Warnings)
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, file := range []string{dir, filepath.Join(dir, "none.yaml")} {
		if _, err := configs.Load(file); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("got %v, want an error that names %s", err, file)
		}
	}
	big := filepath.Join(dir, "big.yaml")
	write(t, big, strings.Repeat("# x\n", 1<<19), 0o600)
	if _, err := configs.Load(big); err == nil || !strings.Contains(err.Error(), "at most 1MiB") {
		t.Errorf("got %v", err)
	}
}

// TestShippedFiles loads what is shipped, and holds the generated files to the table.
func TestShippedFiles(t *testing.T) {
	t.Parallel()
	var example, doc bytes.Buffer
	if err := configs.WriteExample(&example); err != nil {
		t.Fatal(err)
	}
	golden(t, "gateway.example.yaml", example.String())
	if err := configs.WriteMarkdown(&doc); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("..", "docs", "configuration.md"), doc.String())
	for _, file := range []string{"gateway.example.yaml", "minimal.yaml"} {
		c, err := configs.Load(file)
		if err != nil {
			t.Errorf("%s:\n%v", file, err)
			continue
		}
		if len(c.Warnings) > 0 {
			t.Errorf("%s: got warnings %v", file, c.Warnings)
		}
	}
}

// TestExampleHasEveryKey sets every key of the example that is off, and expects complaints about missing files, and keys that exclude each other, only.
func TestExampleHasEveryKey(t *testing.T) {
	t.Parallel()
	var example bytes.Buffer
	if err := configs.WriteExample(&example); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(example.String(), "\n")
	for i, line := range lines {
		if at := strings.Index(line, "#"); at >= 0 && strings.TrimSpace(line[:at]) == "" && !strings.HasPrefix(line[at:], "# ") && line[at:] != "#" || at >= 0 && strings.HasPrefix(line[at:], "#  ") {
			lines[i] = line[:at] + line[at+1:]
		}
	}
	text := strings.Join(lines, "\n")
	_, err := configs.Parse("x", t.TempDir(), []byte(text), func(string) (string, bool) { return "x", true })
	var problems configs.Problems
	if err != nil && !errors.As(err, &problems) {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.Contains(p.Text, "no such file") && !strings.Contains(p.Text, "one of the two") && !strings.Contains(p.Text, "beside routes") {
			t.Errorf("got %s\nin\n%s", p.Explain(), text)
		}
	}
	for _, k := range configs.Keys() {
		last := k.Path[strings.LastIndexByte(k.Path, '.')+1:]
		if !strings.Contains(text, last+":") {
			t.Errorf("the example does not have %s", k.Path)
		}
	}
}

func TestKeysAreComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range configs.Keys() {
		if seen[k.Path+strings.Join(k.Types, " ")] {
			t.Errorf("%s stands twice in the table", k.Path)
		}
		seen[k.Path+strings.Join(k.Types, " ")] = true
		if k.Help == "" || !strings.HasSuffix(k.Help, ".") {
			t.Errorf("%s: help %q is no sentence", k.Path, k.Help)
		}
		if k.Kind == configs.KindChoice && len(k.Choices) == 0 {
			t.Errorf("%s has no choices", k.Path)
		}
	}
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

// TestNewCertificatesAreAChange: also in files of the same name.
func TestNewCertificatesAreAChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const text = "forwarders:\n  - {name: up, sink: {type: mqtt, url: \"ssl://h:1\", tls: {ca_file: ca.pem}}}\n"
	load := func(ca []byte) configs.Forwarder {
		t.Helper()
		write(t, filepath.Join(dir, "ca.pem"), string(ca), 0o600)
		return parse(t, dir, text).Forwarders[0]
	}
	first, second := authority(t), authority(t)
	one, same, other := load(first), load(first), load(second)
	if !reflect.DeepEqual(one, same) || reflect.DeepEqual(one, other) {
		t.Errorf("the same file is equal: %v, another: %v; want true and false", reflect.DeepEqual(one, same), reflect.DeepEqual(one, other))
	}
}

// authority is a new certificate, as PEM.
func authority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
