package devices

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kinds of buses of drivers.
const (
	BusI2C   = "i2c"
	BusWire  = "1wire"
	BusBoard = "board" // the board itself
	BusNone  = "none"  // simulated
)

// Driver describes a kind of sensor: for the documentation, the check of the configuration, `gateway devices list-drivers` and the sensors themselves.
type Driver struct {
	// Name is the Type of a Spec; Title says what it is.
	Name  string `json:"name"`
	Title string `json:"title"`
	// Bus is one of the Bus constants, Addresses what a chip on I2C can have, the usual one first.
	Bus       string `json:"bus"`
	Addresses []int  `json:"addresses,omitempty"`
	// Quantities is what it measures, with everything that it has to offer.
	Quantities []Quantity `json:"quantities"`
	// Channels are the names that Spec.Channels chooses from, none if there is no choice; Usual those that are used without one.
	Channels []string `json:"channels,omitempty"`
	Usual    []string `json:"usual_channels,omitempty"`
	// Options are keys of the configuration that are this driver's own.
	Options []string `json:"options,omitempty"`
	// MinInterval is the shortest sensible time between two readings, Timeout how long a transfer may take if the configuration does not say.
	MinInterval time.Duration `json:"min_interval_ns"`
	Timeout     time.Duration `json:"timeout_ns"`

	// open makes the driver ready for a device. It is called at the start and after each fault.
	open func(ctx context.Context, e *environment) (reader, error)
	// quantities are those of one device, where its Spec narrows the ranges or chooses channels; nil: Quantities.
	quantities func(s *Spec) []Quantity
	// check says what is wrong with a Spec that the fields above do not say; nil: nothing.
	check func(s *Spec) error
}

// Quantity is something that a sensor measures.
type Quantity struct {
	Name string `json:"name"`
	// Unit is a case-sensitive code of UCUM; "1": none.
	Unit string `json:"unit"`
	// Digits is how many decimals the sensor has, Min and Max are what it can measure: beyond them is a fault.
	Digits int     `json:"digits"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// reader is a driver at work on a device. It belongs to one goroutine.
type reader interface {
	// Read measures. A value beyond the sensor's range is ±Inf; an error is about the whole device.
	Read(ctx context.Context) ([]Reading, error)
	Close() error
}

// environment is what a driver is opened with.
type environment struct {
	spec *Spec
	hw   *Hardware // nil for a simulated device
	// port is set for chips on I2C.
	port *port
	// timeout bounds a transfer.
	timeout time.Duration
}

// Drivers is the table of drivers, by name. The caller may keep and change it.
func Drivers() []Driver {
	all := slices.Concat(driversBMxx80(), []Driver{
		driverADS1115(), driverAHT20(), driverBH1750(), driverBoard(), driverCPUTemperature(), driverDS18B20(), driverINA219(),
		driverMCP23017(), driverMCP9808(), driverSCD4x(), driverSHT4x(), driverSimulated(),
	})
	slices.SortFunc(all, func(a, b Driver) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// FindDriver returns the driver of that name.
func FindDriver(name string) (Driver, bool) {
	all := Drivers()
	i := slices.IndexFunc(all, func(d Driver) bool { return d.Name == name })
	if i < 0 {
		return Driver{}, false
	}
	return all[i], true
}

// Check says what of s a device of this driver cannot be; nil: nothing. The interval is the caller's to warn of.
func (d *Driver) Check(s *Spec) error {
	if d.Bus == BusI2C && s.Address != 0 && !slices.Contains(d.Addresses, s.Address) {
		return fmt.Errorf("address 0x%02x: a %s has %s", s.Address, d.Name, hexList(d.Addresses))
	}
	if d.Bus == BusI2C && s.Bus != "" && !digitsOnly(s.Bus) {
		return fmt.Errorf("bus %q: want the number of an I2C bus, such as 1", s.Bus)
	}
	for _, c := range s.Channels {
		if !slices.Contains(d.Channels, c) {
			return fmt.Errorf("channel %q: a %s has %v", c, d.Name, d.Channels)
		}
	}
	if d.check != nil {
		if err := d.check(s); err != nil {
			return err
		}
	}
	quantities := d.of(s)
	for _, a := range s.Adjust {
		if len(quantities) > 0 && !slices.ContainsFunc(quantities, func(q Quantity) bool { return q.Name == a.Quantity }) {
			return fmt.Errorf("adjust %q: it measures %s", a.Quantity, nameList(quantities))
		}
		if a.Scale == 0 {
			return fmt.Errorf("adjust %q: a scale of 0 leaves nothing of the value", a.Quantity)
		}
	}
	return nil
}

// of returns the quantities of a device; none: they are not known before it reads.
func (d *Driver) of(s *Spec) []Quantity {
	if d.quantities != nil {
		return d.quantities(s)
	}
	return d.Quantities
}

// address is the chip's on its bus.
func (d *Driver) address(s *Spec) int {
	if s.Address != 0 || len(d.Addresses) == 0 {
		return s.Address
	}
	return d.Addresses[0]
}

// where says in words where the device is.
func (d *Driver) where(s *Spec) string {
	switch d.Bus {
	case BusI2C:
		return fmt.Sprintf("i2c-%s 0x%02x", busNumber(s), d.address(s))
	case BusWire:
		return "1-Wire " + s.Probe
	case BusBoard:
		return "the board"
	}
	return "simulated"
}

// busNumber is the bus of s; a Raspberry Pi's pins have the first.
func busNumber(s *Spec) string {
	if s.Bus == "" {
		return "1"
	}
	return s.Bus
}

// channelsOf are those that s chooses.
func (d *Driver) channelsOf(s *Spec) []string {
	if len(s.Channels) > 0 {
		return s.Channels
	}
	return d.Usual
}

func hexList(addresses []int) string {
	text := ""
	for i, a := range addresses {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("0x%02x", a)
	}
	return text
}

func nameList(quantities []Quantity) string {
	text := ""
	for i, q := range quantities {
		if i > 0 {
			text += ", "
		}
		text += q.Name
	}
	return text
}

func digitsOnly(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
