package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"

	"gateway"
)

// Devices are the pins, buses and probes of the board. Its methods are called from many requests at once.
type Devices interface {
	// Status is a snapshot of each.
	Status() []gateway.DeviceStatus
	// Set has the named output carry out a command, by hand. The error wraps ErrUnknown where there is no such output.
	Set(ctx context.Context, name, command string) error
}

// setRequest is a command for an output.
type setRequest struct {
	Command string `json:"command"`
}

func (s *Server) deviceRoutes(mux *http.ServeMux) {
	if s.o.Devices == nil {
		return
	}
	mux.HandleFunc("POST /v1/devices/{name}/set", func(w http.ResponseWriter, r *http.Request) {
		var request setRequest
		if readRequest(w, r, &request) {
			reply(w, struct{}{}, s.o.Devices.Set(r.Context(), r.PathValue("name"), request.Command))
		}
	})
}

// SetOutput has the named output carry out a command.
func (c *Client) SetOutput(ctx context.Context, name, command string) error {
	return c.post(ctx, "/v1/devices/"+url.PathEscape(name)+"/set", setRequest{command}, &struct{}{})
}

type deviceState = gateway.DeviceStatus

func deviceSamples() []sample[*deviceState] {
	labels := []string{"device", "type"}
	return []sample[*deviceState]{
		gauge("device_up", "1 if the device works.", func(d *deviceState) float64 {
			if d.State == gateway.DeviceOK {
				return 1
			}
			return 0
		}, labels...),
		counter("device_events_total", "Events of the device that were appended.", func(d *deviceState) float64 { return float64(d.Events) }, labels...),
		counter("device_reads_total", "Reads of a sensor, and edges of a pin.", func(d *deviceState) float64 { return float64(d.Reads) }, labels...),
		counter("device_quiet_reads_total", "Of the reads: not reported, because nothing had changed.", func(d *deviceState) float64 { return float64(d.Quiet) }, labels...),
		counter("device_faults_total", "How often it failed after it had worked.", func(d *deviceState) float64 { return float64(d.Faults) }, labels...),
		counter("device_missed_edges_total", "Edges that the kernel had no room for.", func(d *deviceState) float64 { return float64(d.Missed) }, labels...),
	}
}

func (c *collector) collectDevices(out chan<- prometheus.Metric, st *Status) {
	for i := range st.Devices {
		d := &st.Devices[i]
		for j := range c.devices {
			c.devices[j].emit(out, d, d.Name, d.Type)
		}
	}
}
