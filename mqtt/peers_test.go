package mqtt

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// TestPaho publishes and subscribes with the client library that most Go programs use.
func TestPaho(t *testing.T) {
	t.Parallel()
	log := newFakeLog(t)
	_, addr := startBroker(t, Options{}, log)
	connect := func(id string) paho.Client {
		c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(id).SetAutoReconnect(false))
		wait(t, "connect", c.Connect())
		t.Cleanup(func() { c.Disconnect(100) })
		return c
	}
	var mu sync.Mutex
	var got []string
	receive := func(_ paho.Client, m paho.Message) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprintf("%s %s %v", m.Topic(), m.Payload(), m.Retained()))
	}
	received := func(n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return len(got) >= n }
	}
	sub, pub := connect("sub"), connect("pub")
	wait(t, "subscribe", sub.Subscribe("a/#", 2, receive))
	const each = 50
	for i := range 3 * each {
		token := pub.Publish(fmt.Sprintf("a/%d", i%3), byte(i%3), i == 0, fmt.Sprint(i))
		wait(t, "publish", token)
	}
	eventually(t, 10*time.Second, "all is delivered", received(3*each))
	if n := len(log.events()); n != 3*each {
		t.Errorf("got %d events, want %d", n, 3*each)
	}
	for i, line := range got {
		if want := fmt.Sprintf("a/%d %d false", i%3, i); line != want {
			t.Fatalf("message %d: got %q, want %q", i, line, want)
		}
	}
	got = nil
	wait(t, "subscribe", connect("late").Subscribe("a/0", 1, receive))
	eventually(t, 10*time.Second, "the retained message is delivered", received(1))
	if got[0] != "a/0 0 true" {
		t.Errorf("got %q, want the retained message", got)
	}
}

func wait(t *testing.T, what string, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(10 * time.Second) {
		t.Fatalf("%s: no answer", what)
	}
	if err := token.Error(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestMosquitto publishes and subscribes with Mosquitto's tools: every QoS, MQTT 3.1.1 and 5.
func TestMosquitto(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"mosquitto_pub", "mosquitto_sub"} {
		if _, err := exec.LookPath(tool); err != nil && os.Getenv("CI") == "true" {
			t.Fatalf("%s is needed: install the package mosquitto-clients", tool)
		} else if err != nil {
			t.Skipf("%s is not installed: install the package mosquitto-clients", tool)
		}
	}
	log := newFakeLog(t)
	_, addr := startBroker(t, Options{}, log)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stored := 0
	for _, version := range []string{"mqttv311", "mqttv5"} {
		for qos := range 3 {
			topic, lines := fmt.Sprintf("%s/%d", version, qos), "one\ntwo\nthree\n"
			common := []string{"-h", host, "-p", port, "-V", version, "-q", fmt.Sprint(qos), "-t", topic}
			pub := exec.CommandContext(ctx, "mosquitto_pub", append(common, "-l")...)
			pub.Stdin = strings.NewReader(lines)
			if out, err := pub.CombinedOutput(); err != nil {
				t.Fatalf("mosquitto_pub %s: %v: %s", topic, err, out)
			}
			stored += 3
			eventually(t, 10*time.Second, topic+" is stored", func() bool { return len(log.events()) == stored })
			retain := exec.CommandContext(ctx, "mosquitto_pub", append(common, "-r", "-m", "kept")...)
			if out, err := retain.CombinedOutput(); err != nil {
				t.Fatalf("mosquitto_pub -r %s: %v: %s", topic, err, out)
			}
			stored++
			eventually(t, 10*time.Second, topic+" is stored", func() bool { return len(log.events()) == stored })
			out, err := exec.CommandContext(ctx, "mosquitto_sub", append(common, "-C", "1", "-W", "10")...).CombinedOutput()
			if err != nil || string(out) != "kept\n" {
				t.Errorf("mosquitto_sub %s: got %q, %v, want the retained message", topic, out, err)
			}
		}
	}
}
