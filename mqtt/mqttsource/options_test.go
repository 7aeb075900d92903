package mqttsource

import (
	"crypto/tls"
	"strings"
	"testing"
)

func TestNewSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.Name = "" }, "name"},
		{func(o *Options) { o.Gateway = "" }, "gateway"},
		{func(o *Options) { o.URL = "http://x" }, "use tcp://host:port"},
		{func(o *Options) { o.URL = "tcp://" }, "no host"},
		{func(o *Options) { o.URL = "tcp://h:99999" }, "port"},
		{func(o *Options) { o.URL = "tcp://h/topic" }, "behind the port"},
		{func(o *Options) { o.URL = "tcp://user:hunter2@h" }, "use username and password"},
		{func(o *Options) { o.URL = "tcp://user:hunter2@h:%zz" }, "url"},
		{func(o *Options) { o.TLS = &tls.Config{} }, "use ssl://"},
		{func(o *Options) { o.ClientID = "" }, "client_id"},
		{func(o *Options) { o.ClientID = "a\x00b" }, "client_id"},
		{func(o *Options) { o.Password = "hunter2" }, "no username"},
		{func(o *Options) { o.Topics = nil }, "topics"},
		{func(o *Options) { o.Topics = []string{"a", "b/#/c"} }, "topics 2"},
		{func(o *Options) { o.Topics = []string{"$share//c"} }, "$share/<group>/<filter>"},
		{func(o *Options) { o.Prefix = "a/#/" }, "prefix"},
		{func(o *Options) { o.Remember = -1 }, "remember"},
		{func(o *Options) { o.MaxPacket = 0 }, "max_packet"},
		{func(o *Options) { o.ConnectTimeout = 0 }, "connect_timeout"},
		{func(o *Options) { o.KeepAlive = 0 }, "keep_alive"},
		{func(o *Options) { o.RetryMin = 0 }, "retry_min"},
		{func(o *Options) { o.Logger = nil }, "logger"},
	} {
		o := options("127.0.0.1:1")
		c.change(&o)
		_, err := New(o)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want it to say %q and no secret", err, c.want)
		}
	}
	_, err := New(Options{URL: "x"})
	if err == nil || strings.Count(err.Error(), "\n") < 5 {
		t.Errorf("got %v, want every mistake on a line of its own", err)
	}
}
