package admin

import (
	"os"
	"time"

	"gateway"
)

// Status is a snapshot of a running gateway.
type Status struct {
	Version string    `json:"version"`
	ID      string    `json:"id"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`

	Log        gateway.LogStatus         `json:"log"`
	Broker     gateway.BrokerStatus      `json:"broker"`
	Forwarders []gateway.ForwarderStatus `json:"forwarders"`
	Sources    []gateway.SourceStatus    `json:"sources"`
	Devices    []gateway.DeviceStatus    `json:"devices"`
	// Report is what was found when the log was opened.
	Report gateway.LogReport `json:"report"`
}

// Status is a snapshot of all parts. Safe for concurrent use.
func (s *Server) Status() Status {
	st := Status{
		Version: s.o.Version, ID: s.o.ID, PID: os.Getpid(), Started: s.started,
		// The broker before the log: what it has stored is then in the log's numbers.
		Broker: s.o.Broker(), Forwarders: s.o.Forwarders(), Log: s.o.Log.Status(), Report: s.o.Log.Report(),
	}
	if st.Forwarders == nil {
		st.Forwarders = []gateway.ForwarderStatus{}
	}
	st.Sources = []gateway.SourceStatus{}
	if s.o.Sources != nil {
		st.Sources = s.o.Sources()
	}
	st.Devices = []gateway.DeviceStatus{}
	if s.o.Devices != nil {
		st.Devices = s.o.Devices.Status()
	}
	return st
}
