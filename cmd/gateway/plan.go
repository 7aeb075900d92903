package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"

	"gateway"
	"gateway/buffer"
	"gateway/configs"
	"gateway/forwarder"
	"gateway/forwarder/filesink"
	"gateway/forwarder/mqttsink"
	"gateway/mqtt"
)

// plan is a configuration made into what the packages take. Making one touches nothing, so `config check` finds what
// `run` would stumble over.
type plan struct {
	id         string
	log        buffer.Options
	broker     mqtt.Options
	forwarders []forwarderPlan
	// adminListen is where metrics are served, "" for nowhere.
	adminListen string
}

// forwarderPlan is a forwarder without its log and its sink.
type forwarderPlan struct {
	options  forwarder.Options
	openSink func(logger *slog.Logger) (gateway.Sink, error)
}

// loadPlan reads a configuration and makes its plan. The configuration is returned even where the plan has problems.
func loadPlan(file string) (*configs.Config, *plan, error) {
	cfg, err := configs.Load(file)
	if err != nil {
		return nil, nil, asUsage(err)
	}
	p, err := newPlan(cfg)
	return cfg, p, err
}

// asUsage makes a file that cannot be read a mistake in the command line.
func asUsage(err error) error {
	var problems configs.Problems
	if errors.As(err, &problems) {
		return err
	}
	return &usageError{err, "gateway config example prints a configuration to start from"}
}

func newPlan(cfg *configs.Config) (*plan, error) {
	p := &plan{
		id: cfg.ID, log: logOptions(cfg), adminListen: cfg.Admin.Listen,
	}
	var problems configs.Problems
	if err := p.planBroker(cfg); err != nil {
		problems = append(problems, cfg.Problem("mqtt", err.Error()))
	}
	for i := range cfg.Forwarders {
		f, err := planForwarder(cfg.ID, &cfg.Forwarders[i])
		if err != nil {
			problems = append(problems, cfg.Problem(fmt.Sprintf("forwarders[%d].sink", i), err.Error()))
			continue
		}
		p.forwarders = append(p.forwarders, f)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return p, nil
}

func logOptions(cfg *configs.Config) buffer.Options {
	b := &cfg.Buffer
	return buffer.Options{
		Dir: cfg.DataDir, Source: "//" + url.PathEscape(cfg.ID) + "/log",
		MaxSize: b.MaxSize, DropOldest: b.WhenFull == configs.DropOldest, Reserve: b.Reserve,
		MaxAge: b.MaxAge, KeepDelivered: b.KeepDelivered, CommitInterval: b.CommitInterval, Endurance: b.CardEndurance,
	}
}

func (p *plan) planBroker(cfg *configs.Config) error {
	m := &cfg.MQTT
	rules := make([]mqtt.Rule, len(m.ACL))
	for i, r := range m.ACL {
		rules[i] = mqtt.Rule(r)
	}
	policy, err := mqtt.NewPolicy(m.UsersFile, rules)
	if err != nil {
		return err
	}
	p.broker = mqtt.Options{
		GatewayID: cfg.ID, Policy: policy, Capture: mqtt.Capture(m.Capture),
		MaxPacketSize: int(m.MaxPacketSize), MaxClients: m.MaxClients,
	}
	for _, address := range m.Listen {
		p.addListener(mqtt.Listener{Address: address})
	}
	if m.TLS == nil {
		return nil
	}
	secure, err := mqtt.ServerTLS(m.TLS.CertFile, m.TLS.KeyFile, m.TLS.ClientCAFile)
	if err != nil {
		return err
	}
	p.addListener(mqtt.Listener{Address: m.TLS.Listen, TLS: secure})
	return nil
}

// addListener keeps the listener on loopback while no user is configured.
func (p *plan) addListener(l mqtt.Listener) {
	if p.broker.Policy.Anonymous() && !configs.Loopback(l.Address) {
		if _, port, err := net.SplitHostPort(l.Address); err == nil {
			l.Address = net.JoinHostPort("127.0.0.1", port)
		}
	}
	same := func(other mqtt.Listener) bool { return other.Address == l.Address }
	if _, port, _ := net.SplitHostPort(l.Address); port != "0" && slices.ContainsFunc(p.broker.Listeners, same) {
		return
	}
	p.broker.Listeners = append(p.broker.Listeners, l)
}

func planForwarder(id string, f *configs.Forwarder) (forwarderPlan, error) {
	options := forwarder.Default()
	options.Name, options.Match = f.Name, f.Match
	options.RetryMin, options.RetryMax = f.Retry.Min, f.Retry.Max
	fp := forwarderPlan{options: options}
	switch f.Sink.Type {
	case configs.SinkMQTT:
		o, err := mqttOptions(id, f)
		if err != nil {
			return fp, err
		}
		fp.openSink = func(logger *slog.Logger) (gateway.Sink, error) {
			o.Logger = logger
			return mqttsink.New(o)
		}
		o.Logger = slog.New(slog.DiscardHandler)
		probe, err := mqttsink.New(o) // connects when it sends, so this only checks
		if err != nil {
			return fp, err
		}
		return fp, probe.Close()
	case configs.SinkFile:
		o := filesink.Options{Path: f.Sink.File.Path, MaxSize: f.Sink.File.MaxSize, MaxFiles: f.Sink.File.MaxFiles}
		fp.openSink = func(logger *slog.Logger) (gateway.Sink, error) {
			o.Logger = logger
			return filesink.New(o)
		}
		_, err := filesink.New(o) // opens the file when it sends, so this only checks
		return fp, err
	}
	return fp, fmt.Errorf("there is no sink of type %q", f.Sink.Type)
}

func mqttOptions(id string, f *configs.Forwarder) (mqttsink.Options, error) {
	s := &f.Sink.MQTT
	secure, err := s.TLS.Config()
	if err != nil {
		return mqttsink.Options{}, err
	}
	o := mqttsink.Default()
	o.URL, o.TLS = s.URL, secure
	o.ClientID = cmp.Or(s.ClientID, "gateway-"+id+"-"+f.Name)
	o.Username, o.Password = s.Username, s.Password
	o.Gateway, o.TopicPrefix, o.Topic, o.Format = id, s.TopicPrefix, s.Topic, s.Format
	o.Window, o.AckTimeout, o.MaxPacket = s.Window, s.AckTimeout, int(s.MaxPacket)
	return o, nil
}
