package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gateway/devices"
	"gateway/mqtt"
)

// check looks at what keys mean together, and at the files that they name. It comes after all keys were decoded, so
// what one of them got wrong is at its default here.
func (d *decoder) check() {
	if strconv.IntSize == 32 && d.cfg.Buffer.MaxSize > 1<<30 {
		d.problem("buffer.max_size", FormatSize(d.cfg.Buffer.MaxSize)+" is more than a 32-bit gateway can take, which is 1GiB")
	}
	d.checkListeners()
	d.checkUsers()
	names := map[string]int{}
	for i := range d.cfg.Forwarders {
		f := &d.cfg.Forwarders[i]
		path := fmt.Sprintf("forwarders[%d]", i)
		if first, twice := names[f.Name]; twice && f.Name != "" {
			d.problem(path+".name", fmt.Sprintf("%q: forwarders[%d] has this name already; each needs its own, its place in the log is kept under it", f.Name, first))
		} else {
			names[f.Name] = i
		}
		if f.RenamedFrom != "" && f.RenamedFrom != f.Name && slices.ContainsFunc(d.cfg.Forwarders, func(other Forwarder) bool { return other.Name == f.RenamedFrom }) {
			d.problem(path+".renamed_from", fmt.Sprintf("%q is the name of another forwarder in this file: two cannot have one place", f.RenamedFrom))
		}
		d.checkForwarder(f, path)
	}
	d.checkSources()
	d.checkClientIDs()
	d.checkDevices()
}

// checkClientIDs finds clients of one broker that were given one id: the broker would close the one when the other comes, for ever.
func (d *decoder) checkClientIDs() {
	taken := map[[2]string]string{}
	look := func(path, url, id string) {
		if id == "" || url == "" {
			return
		}
		if first := taken[[2]string{url, id}]; first != "" {
			d.problem(path+".client_id", fmt.Sprintf("%q is that of %s at the same broker, which closes the one connection when the other comes; each needs its own", id, first))
			return
		}
		taken[[2]string{url, id}] = path
	}
	for i := range d.cfg.Forwarders {
		if s := &d.cfg.Forwarders[i].Sink; s.Type == SinkMQTT {
			look(fmt.Sprintf("forwarders[%d].sink", i), s.MQTT.URL, s.MQTT.ClientID)
		}
	}
	for i := range d.cfg.Sources {
		look(fmt.Sprintf("sources[%d]", i), d.cfg.Sources[i].URL, d.cfg.Sources[i].ClientID)
	}
}

// checkDevices checks what devices are together, and with the sinks that drive them.
func (d *decoder) checkDevices() {
	for _, wrong := range devices.Check(d.cfg.Devices) {
		path := fmt.Sprintf("devices[%d]", wrong.Index)
		if !d.hasProblem(path) { // a key that is missing or wrong was reported
			d.problem(path, wrong.Err.Error())
		}
	}
	var outputs []string
	for i := range d.cfg.Devices {
		s := &d.cfg.Devices[i]
		if s.Type == devices.TypeOutput {
			outputs = append(outputs, s.Name)
		}
		if s.Down != "" && !d.hasLink(s.Down) {
			d.problem(fmt.Sprintf("devices[%d].link", i), fmt.Sprintf("%q: there is no source and no forwarder to an upstream of that name", s.Down))
		}
		if (s.Down == "") != (s.DownFor == 0) {
			d.problem(fmt.Sprintf("devices[%d].link_down_for", i), "link and link_down_for go together: which connection, and how long it may be down")
		}
	}
	for i := range d.cfg.Forwarders {
		f := &d.cfg.Forwarders[i]
		if f.Sink.Type != SinkOutput || f.Sink.Output == "" {
			continue
		}
		path := fmt.Sprintf("forwarders[%d].sink.output", i)
		if !slices.Contains(outputs, f.Sink.Output) {
			there := "devices has no gpio_output"
			if len(outputs) > 0 {
				there = "there are " + strings.Join(outputs, ", ") + didYouMean(f.Sink.Output, outputs)
			}
			d.problem(path, fmt.Sprintf("%q: %s", f.Sink.Output, there))
		}
		if f.CatchUp == "live_first" {
			d.problem(path, "commands are carried out in their order: catch_up: live_first is not for them")
		}
	}
}

// hasLink says whether a source or a forwarder of that name has a connection that can be down.
func (d *decoder) hasLink(name string) bool {
	return slices.ContainsFunc(d.cfg.Sources, func(s Source) bool { return s.Name == name }) ||
		slices.ContainsFunc(d.cfg.Forwarders, func(f Forwarder) bool { return f.Name == name && f.Sink.Type == SinkMQTT })
}

// checkSources checks each source as the sink of the same kind.
func (d *decoder) checkSources() {
	names := map[string]int{}
	for i := range d.cfg.Sources {
		s, path := &d.cfg.Sources[i], fmt.Sprintf("sources[%d]", i)
		if first, twice := names[s.Name]; twice && s.Name != "" {
			d.problem(path+".name", fmt.Sprintf("%q: sources[%d] has this name already; each needs its own", s.Name, first))
		}
		names[s.Name] = i
		if len(s.Topics) == 0 && d.has(path+".topics") && !d.hasProblem(path+".topics") {
			d.problem(path+".topics", "is an empty list, so nothing would come; wanted are topic filters")
		}
		s.Password = d.checkClient(mqttClient{s.URL, s.Username, s.Password, s.passwordFile, &s.TLS}, path)
	}
}

func (d *decoder) checkListeners() {
	m := &d.cfg.MQTT
	if len(m.Listen) == 0 && m.TLS == nil && d.has("mqtt.listen") {
		d.problem("mqtt.listen", "is empty and there is no mqtt.tls, so no device could connect; wanted is an address such as 127.0.0.1:1883")
	}
	if d.has("mqtt.capture.include") && len(m.Capture.Include) == 0 && !d.hasProblem("mqtt.capture.include") {
		d.problem("mqtt.capture.include", `is an empty list, so no event would be kept; wanted are topic filters, or leave the key out for ["#"]`)
	}
	if m.TLS == nil || m.TLS.CertFile == "" || m.TLS.KeyFile == "" {
		return
	}
	if !d.onlyFiles(map[string]string{
		"mqtt.tls.cert_file": m.TLS.CertFile, "mqtt.tls.key_file": m.TLS.KeyFile, "mqtt.tls.client_ca_file": m.TLS.ClientCAFile,
	}) {
		return
	}
	cfg, err := mqtt.ServerTLS(m.TLS.CertFile, m.TLS.KeyFile, m.TLS.ClientCAFile)
	if err != nil {
		d.problem("mqtt.tls", err.Error())
		return
	}
	if err := mqtt.CertificateDates(cfg, time.Now()); err != nil {
		d.warn("mqtt.tls.cert_file", err.Error())
	}
}

// onlyFiles reports the files, by their keys, that are something else, such as a pipe that would never end. What is
// missing is for who reads it to tell.
func (d *decoder) onlyFiles(files map[string]string) bool {
	ok := true
	for key, file := range files {
		if info, err := os.Stat(file); file != "" && err == nil && !info.Mode().IsRegular() {
			d.problem(key, file+" is not a file")
			ok = false
		}
	}
	return ok
}

func (d *decoder) has(path string) bool {
	_, ok := d.places[path]
	return ok
}

func (d *decoder) checkUsers() {
	m := &d.cfg.MQTT
	anonymous := true
	if !d.onlyFiles(map[string]string{"mqtt.users_file": m.UsersFile}) {
		return
	}
	if m.UsersFile != "" {
		users, err := mqtt.LoadUsers(m.UsersFile)
		if err != nil {
			d.problem("mqtt.users_file", err.Error())
			return
		}
		anonymous = len(users.List()) == 0
		if anonymous {
			d.warn("mqtt.users_file", fmt.Sprintf("%s has no user yet; add one: gateway user add NAME --users-file %s", m.UsersFile, m.UsersFile))
		}
	}
	if _, err := mqtt.NewPolicy("", d.rules()); err != nil {
		d.problem("mqtt.acl", err.Error())
	}
	if !anonymous {
		return
	}
	const text = "no user is configured, so it listens on loopback only and not on %s; set mqtt.users_file and add a user: gateway user add NAME --users-file FILE"
	for _, address := range m.Listen {
		if !Loopback(address) {
			d.warn("mqtt.listen", fmt.Sprintf(text, address))
		}
	}
	if m.TLS != nil && !Loopback(m.TLS.Listen) {
		d.warn("mqtt.tls.listen", fmt.Sprintf(text, m.TLS.Listen))
	}
}

// rules are those of mqtt.acl that are complete; what is wrong with the others was reported already.
func (d *decoder) rules() []mqtt.Rule {
	var rules []mqtt.Rule
	for _, r := range d.cfg.MQTT.ACL {
		if r.User != "" && r.Access != "" && r.Topic != "" {
			rules = append(rules, mqtt.Rule(r))
		}
	}
	return rules
}

// Loopback says whether an address (host:port) can be reached from this machine only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return strings.EqualFold(host, "localhost")
	}
	return ip.Unmap().IsLoopback()
}

func (d *decoder) checkForwarder(f *Forwarder, path string) {
	if d.has(path+".match") && len(f.Match) == 0 && !d.hasProblem(path+".match") {
		d.problem(path+".match", `is an empty list, so it would deliver nothing; wanted are topic filters, or leave the key out for ["#"]`)
	}
	d.checkRoutes(f, path)
	if f.Retry.Min > f.Retry.Max && !d.hasProblem(path+".retry") {
		d.problem(path+".retry", fmt.Sprintf("min %s is longer than max %s", FormatDuration(f.Retry.Min), FormatDuration(f.Retry.Max)))
	}
	switch f.Sink.Type {
	case SinkMQTT:
		d.checkMQTTSink(&f.Sink.MQTT, path+".sink")
	case SinkFile:
		d.checkFileSink(&f.Sink.File, path+".sink.path")
	}
}

func (d *decoder) checkRoutes(f *Forwarder, path string) {
	if f.Backlog != defaultForwarder().Backlog && f.CatchUp != "live_first" {
		d.problem(path+".backlog", "needs catch_up: live_first; with in_order everything goes in the order of the log")
	}
	if f.RenamedFrom == f.Name && f.Name != "" {
		d.problem(path+".renamed_from", "is the name that it has now")
	}
	most := 0
	for i, r := range f.Routes {
		at := fmt.Sprintf("%s.routes[%d].match", path, i)
		if len(r.Match) == 0 && !d.hasProblem(at) {
			d.problem(at, `is an empty list, so it would take nothing; wanted are topic filters, or leave the key out for ["#"]`)
		}
		most = max(most, r.Priority)
	}
	if f.Budget.Urgent > most {
		d.warn(path+".budget.urgent", fmt.Sprintf("no route has a priority of %d or more, so nothing passes the bounds", f.Budget.Urgent))
	}
	if len(f.Routes) == 0 {
		return
	}
	for _, key := range []string{".match", ".where", ".ttl"} {
		if d.has(path + key) {
			d.problem(path+key, "stands beside routes, which say all of it: move it into a route")
		}
	}
}

func (d *decoder) checkFileSink(s *FileSink, path string) {
	if s.Path == "" {
		return
	}
	folder := filepath.Dir(s.Path)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		d.problem(path, fmt.Sprintf("the folder %s does not exist; make it, writable for the gateway's user", folder))
	} else if info, err := os.Stat(s.Path); err == nil && info.IsDir() {
		d.problem(path, fmt.Sprintf("%s is a folder; wanted is the path of a file", s.Path))
	}
}

// hasProblem says whether something was reported about the key at path or below it.
func (d *decoder) hasProblem(path string) bool {
	for _, p := range d.problems {
		if strings.HasPrefix(p.Path, path) {
			return true
		}
	}
	return false
}

func (d *decoder) checkMQTTSink(s *MQTTSink, path string) {
	if s.Format == "raw" {
		d.warn(path+".format", "raw has no place for the ID of an event: a receiver cannot tell what was sent twice, after a cut of the line, from what happened twice")
	}
	s.Password = d.checkClient(mqttClient{s.URL, s.Username, s.Password, s.passwordFile, &s.TLS}, path)
}

// mqttClient is what a client of another broker needs.
type mqttClient struct {
	url, username, password, passwordFile string
	tls                                   *ClientTLS
}

// checkClient checks the keys of a client, and returns its password.
func (d *decoder) checkClient(c mqttClient, path string) string {
	if c.passwordFile != "" {
		c.password = d.readPassword(c.passwordFile, path)
	}
	if c.password != "" && c.username == "" {
		d.problem(path+".password", "there is a password but no username; set username too")
	}
	if c.url == "" {
		return c.password
	}
	if d.ownBroker(c.url) {
		d.problem(path+".url", "this is the gateway's own broker: its events would go round in a circle; wanted is another one")
	}
	if d.has(path+".tls") && !encrypted(c.url) {
		d.problem(path+".tls", "is given, but url is not one with TLS; use ssl://host:8883, or take tls out")
	} else if _, err := c.tls.Config(); err != nil {
		d.problem(path+".tls", err.Error())
	}
	return c.password
}

// ownBroker says whether the URL is surely one of the gateway's own listeners.
func (d *decoder) ownBroker(broker string) bool {
	u, err := url.Parse(broker)
	if err != nil {
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[bool]string{false: "1883", true: "8883"}[encrypted(broker)]
	}
	listeners := d.cfg.MQTT.Listen
	if d.cfg.MQTT.TLS != nil {
		listeners = append(listeners[:len(listeners):len(listeners)], d.cfg.MQTT.TLS.Listen)
	}
	for _, l := range listeners {
		host, p, err := net.SplitHostPort(l)
		if err != nil || p != port || p == "0" {
			continue
		}
		local := host == "" || host == "0.0.0.0" || host == "::" || Loopback(l)
		if host == u.Hostname() || local && Loopback(net.JoinHostPort(u.Hostname(), port)) {
			return true
		}
	}
	return false
}

// readPassword is the password in the file.
func (d *decoder) readPassword(file, path string) string {
	if d.has(path + ".password") {
		d.problem(path+".password_file", "is given besides password; wanted is one of the two")
		return ""
	}
	data, err := readRegular(file, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; make it, readable by the gateway's user alone (mode 0600)", err)
	}
	if err != nil {
		d.problem(path+".password_file", err.Error())
		return ""
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if password == "" {
		d.problem(path+".password_file", fmt.Sprintf("%s is empty; wanted is a password", file))
		return ""
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o007 != 0 {
		d.warn(path+".password_file", fmt.Sprintf("every user of this machine may read %s; take that away: chmod o= %s", file, file))
	}
	return password
}
