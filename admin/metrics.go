package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newMetrics serves what status says, and what Go and the kernel say about the process, to Prometheus.
func newMetrics(status func() Status) http.Handler {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newCollector(status), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, ErrorHandling: promhttp.HTTPErrorOnError})
}

// sample is a metric and how to get it from a part of the status.
type sample[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(T) float64
}

// counter rises from the start of the process; gauge goes up and down.
func counter[T any](name, help string, value func(T) float64, labels ...string) sample[T] {
	return sample[T]{prometheus.NewDesc("gateway_"+name, help, labels, nil), prometheus.CounterValue, value}
}

func gauge[T any](name, help string, value func(T) float64, labels ...string) sample[T] {
	return sample[T]{prometheus.NewDesc("gateway_"+name, help, labels, nil), prometheus.GaugeValue, value}
}

// emit sends the sample with the values of its labels.
func (s *sample[T]) emit(out chan<- prometheus.Metric, from T, labels ...string) {
	out <- prometheus.MustNewConstMetric(s.desc, s.kind, s.value(from), labels...)
}

// collector makes metrics of one snapshot, so that they belong together.
type collector struct {
	status func() Status

	scalars    []sample[*Status]
	info       sample[*Status]
	lost       sample[uint64]
	full       sample[bool]
	forwarders []sample[*forwarderState]
	lanes      []sample[*laneState]
	devices    []sample[*deviceState]
	sources    []sample[*sourceState]
	state      sample[bool]
}

func newCollector(status func() Status) *collector {
	return &collector{
		status:  status,
		scalars: append(append(append(processSamples(), logSamples()...), cardSamples()...), brokerSamples()...),
		info:    gauge("info", "The gateway: always 1.", func(*Status) float64 { return 1 }, "id", "version"),
		lost: counter("log_lost_events_total", "Events deleted though a consumer was owed them.",
			func(n uint64) float64 { return float64(n) }, "reason"),
		full:       gauge("log_full", "Whether appends are refused, and why: max_size or disk.", truth, "reason"),
		forwarders: forwarderSamples(),
		lanes:      laneSamples(),
		devices:    deviceSamples(),
		sources:    sourceSamples(),
		state:      gauge("forwarder_state", "1 for the state that the forwarder is in, 0 for the others.", truth, "forwarder", "state"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for i := range c.scalars {
		out <- c.scalars[i].desc
	}
	for i := range c.forwarders {
		out <- c.forwarders[i].desc
	}
	for i := range c.lanes {
		out <- c.lanes[i].desc
	}
	for i := range c.devices {
		out <- c.devices[i].desc
	}
	for i := range c.sources {
		out <- c.sources[i].desc
	}
	out <- c.info.desc
	out <- c.lost.desc
	out <- c.full.desc
	out <- c.state.desc
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	st := c.status()
	c.info.emit(out, &st, st.ID, st.Version)
	for i := range c.scalars {
		c.scalars[i].emit(out, &st)
	}
	c.collectLost(out, &st)
	c.collectForwarders(out, &st)
	c.collectDevices(out, &st)
	c.collectSources(out, &st)
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
