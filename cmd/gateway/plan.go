package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"time"

	"gateway"
	"gateway/buffer"
	"gateway/configs"
	"gateway/devices"
	"gateway/forwarder"
	"gateway/forwarder/filesink"
	"gateway/forwarder/mqttsink"
	"gateway/mqtt"
	"gateway/rules"
)

// plan is a configuration made into what the packages take. Making one touches nothing, so `config check` finds what
// `run` would stumble over.
type plan struct {
	id         string
	log        buffer.Options
	broker     mqtt.Options
	forwarders []forwarderPlan
	sources    []sourcePlan
	devices    []devices.Spec
	// adminListen is where metrics are served, "" for nowhere.
	adminListen string
}

// forwarderPlan is a forwarder without its log and its sink.
type forwarderPlan struct {
	config   configs.Forwarder // that it was made of
	options  forwarder.Options
	openSink func(logger *slog.Logger, p parts) (gateway.Sink, error)
}

// loadPlan reads a configuration and makes its plan. The configuration is returned even where the plan has problems.
func loadPlan(file string) (*configs.Config, *plan, error) {
	cfg, err := configs.Load(file, planProblems)
	if err != nil {
		return nil, nil, asUsage(err)
	}
	p, err := newPlan(cfg)
	return cfg, p, err
}

// planProblems is what is wrong with the plan of a configuration.
func planProblems(cfg *configs.Config) []configs.Problem {
	_, err := newPlan(cfg)
	var problems configs.Problems
	errors.As(err, &problems) // there is no other error
	return problems
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
		id: cfg.ID, log: logOptions(cfg), devices: cfg.Devices, adminListen: cfg.Admin.Listen,
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
	for i := range cfg.Sources {
		s, err := planSource(cfg.ID, &cfg.Sources[i])
		if err != nil {
			problems = append(problems, cfg.Problem(fmt.Sprintf("sources[%d]", i), err.Error()))
			continue
		}
		p.sources = append(p.sources, s)
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
	fp := forwarderPlan{config: *f, options: forwarderOptions(id, f)}
	switch f.Sink.Type {
	case configs.SinkMQTT:
		o, err := mqttOptions(id, f)
		if err != nil {
			return fp, err
		}
		fp.openSink = func(logger *slog.Logger, _ parts) (gateway.Sink, error) {
			o.Logger = logger
			return mqttsink.New(o)
		}
		o.Logger = slog.New(slog.DiscardHandler)
		probe, err := mqttsink.New(o) // connects when it sends, so this only checks
		if err != nil {
			return fp, err
		}
		return fp, probe.Close()
	case configs.SinkLocal:
		l := &f.Sink.Local
		o := mqtt.LocalOptions{Topic: l.Topic, Prefix: l.Prefix, Format: l.Format, Retain: l.Retain, RequireSubscriber: l.Wait == "subscriber", RequireAck: l.Wait == "acknowledgement"}
		fp.options.Acts = true // a command is carried out once
		fp.openSink = func(_ *slog.Logger, p parts) (gateway.Sink, error) { return p.broker.LocalSink(o) }
		return fp, nil
	case configs.SinkOutput:
		fp.options.Acts = true
		name := f.Sink.Output
		fp.openSink = func(_ *slog.Logger, p parts) (gateway.Sink, error) { return p.outputs.Sink(name) }
		return fp, nil
	case configs.SinkFile:
		o := filesink.Options{Path: f.Sink.File.Path, MaxSize: f.Sink.File.MaxSize, MaxFiles: f.Sink.File.MaxFiles}
		fp.openSink = func(logger *slog.Logger, _ parts) (gateway.Sink, error) {
			o.Logger = logger
			return filesink.New(o)
		}
		_, err := filesink.New(o) // opens the file when it sends, so this only checks
		return fp, err
	}
	return fp, fmt.Errorf("there is no sink of type %q", f.Sink.Type)
}

// forwarderOptions are those of f, but for the sink, the log and the logger.
func forwarderOptions(id string, f *configs.Forwarder) forwarder.Options {
	o := forwarder.Default()
	o.Name, o.ID, o.Compile = f.Name, id, compile
	o.Routes = []forwarder.Route{{Match: f.Match, Where: f.Where, TTL: f.TTL}}
	if len(f.Routes) > 0 {
		o.Routes = nil
	}
	for _, r := range f.Routes {
		o.Routes = append(o.Routes, forwarder.Route{Match: r.Match, Where: r.Where, Priority: r.Priority, TTL: r.TTL})
	}
	for i := range o.Routes {
		if slices.Equal(o.Routes[i].Match, []string{"#"}) {
			o.Routes[i].Match = nil
		}
	}
	o.CatchUp, o.Backlog, o.Start, o.Outcomes = f.CatchUp, f.Backlog, startOf(f.Start), f.Outcomes == "all"
	o.RenamedFrom = f.RenamedFrom
	o.BatchSize, o.BatchBytes, o.Linger = f.Batch.MaxEvents, int(f.Batch.MaxBytes), f.Batch.MaxAge
	o.RetryMin, o.RetryMax = f.Retry.Min, f.Retry.Max
	o.Letters = forwarder.LetterBounds{Bytes: f.DeadLetters.MaxSize, Age: f.DeadLetters.MaxAge}
	b := &f.Budget
	o.Budget = forwarder.Budget{
		Total:   forwarder.Rate{Bytes: b.BytesPerSecond, Events: int64(b.EventsPerSecond)},
		Backlog: forwarder.Rate{Bytes: b.BacklogBytesPerSecond, Events: int64(b.BacklogEventsPerSecond)},
		Burst:   b.Burst, Month: b.Month, Urgent: b.Urgent,
	}
	for _, text := range b.Schedule {
		from, to, err := configs.ParseWindow(text)
		if err == nil { // it was checked
			o.Budget.Schedule = append(o.Budget.Schedule, forwarder.Window{From: from, To: to})
		}
	}
	return o
}

// compile makes the condition of a route.
func compile(where string) (forwarder.Condition, error) {
	c, err := rules.Compile(where)
	return forwarder.Condition(c), err
}

// startOf is where a new forwarder begins; nil for the beginning.
func startOf(text string) func(forwarder.Log) (gateway.Offset, error) {
	if text == "end" {
		return func(log forwarder.Log) (gateway.Offset, error) { return log.Status().Last, nil }
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil { // the beginning: it was checked
		return nil
	}
	return func(log forwarder.Log) (gateway.Offset, error) {
		return forwarder.Before(context.Background(), log, at)
	}
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
	if f.CatchUp == forwarder.LiveFirst {
		o.Ways = 2 // live events beside what has waited
	}
	return o, nil
}
