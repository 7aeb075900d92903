package configs

// sinkTypes are the kinds of sinks, in the order of the example file.
var sinkTypes = []string{SinkMQTT, SinkFile, SinkLocal, SinkOutput}

// localSinkKeys are those of a sink that publishes on the gateway's own broker.
func localSinkKeys() []Key {
	return forSink(SinkLocal, []Key{
		{
			Path: "forwarders[].sink.topic", Kind: KindText, Off: true, check: notEmpty,
			Help:  "The topic to publish to: text with {topic} (the one that the event came on), {subject} and {prefix} (topic_prefix). What is published is not captured again.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.Local.Topic },
		},
		{
			Path: "forwarders[].sink.topic_prefix", Kind: KindText, Off: true, Example: "commands/", check: validPrefix,
			Help:  "What {prefix} stands for in topic.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.Local.Prefix },
		},
		{
			Path: "forwarders[].sink.format", Kind: KindChoice, Choices: []string{"raw", "cloudevents"},
			Help:  "raw: the payload alone. cloudevents: JSON with all of the event.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.Local.Format },
		},
		{
			Path: "forwarders[].sink.retain", Kind: KindChoice, Choices: []string{"never", "keep", "always"},
			Help:  "What is retained for devices that subscribe later: nothing, what was published retained, or the newest of each topic.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.Local.Retain },
		},
		{
			Path: "forwarders[].sink.wait_for", Kind: KindChoice, Choices: []string{"none", "subscriber", "acknowledgement"},
			Help:  "none: what nobody subscribed to is delivered to nobody. subscriber: an event waits until a device has a subscription for its topic. acknowledgement: until one is connected, with QoS 1 or 2, and all such have acknowledged it: for commands that must not get lost in a power cut. ttl and expirytime end the wait.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.Local.Wait },
		},
	})
}

// sourceKeys are what feeds the log besides the gateway's own broker.
func sourceKeys() []Key {
	return append([]Key{
		{
			Path: "sources", Kind: KindSections, Off: true,
			Help:  "What feeds the log beside the gateway's own broker: another broker, such as a Mosquitto on the same Pi, or the upstream for commands. A message is acknowledged there when it is on flash here.",
			place: func(c *Config, _ int) any { return &c.Sources },
		},
		{
			Path: "sources[].name", Kind: KindText, Required: true, Example: "uplink", check: validID,
			Help:  "Its name: part of the source of its events.",
			place: func(c *Config, i int) any { return &c.Sources[i].Name },
		},
		{
			Path: "sources[].type", Kind: KindChoice, Choices: []string{SourceMQTT}, Required: true, Example: SourceMQTT,
			Help:  "The kind of source: a subscription at another MQTT broker.",
			place: func(c *Config, i int) any { return &c.Sources[i].Type },
		},
		{
			Path: "sources[].url", Kind: KindURL, Required: true, Example: "ssl://broker.example.com:8883", check: validBrokerURL,
			Help:  "The broker: tcp://host:1883, or ssl://host:8883 with TLS.",
			place: func(c *Config, i int) any { return &c.Sources[i].URL },
		},
		{
			Path: "sources[].topics", Kind: KindFilters, Required: true, Example: `["greenhouse-1/commands/#"]`,
			Help:  "The topics to subscribe to.",
			place: func(c *Config, i int) any { return &c.Sources[i].Topics },
		},
		{
			Path: "sources[].topic_prefix", Kind: KindText, Off: true, Example: "cloud/", check: validPrefix,
			Help:  "What is put before the topic of each event.",
			place: func(c *Config, i int) any { return &c.Sources[i].TopicPrefix },
		},
		{
			Path: "sources[].retained", Kind: KindChoice, Choices: []string{"ignore", "take"},
			Help:  "What becomes of retained messages, which a broker sends anew at each subscription.",
			place: func(c *Config, i int) any { return &c.Sources[i].Retained },
		},
		{
			Path: "sources[].client_id", Kind: KindText, Off: true, Default: "gateway-<id>-source-<name>", Example: "greenhouse-1-in", check: notEmpty,
			Help:  "The client id, under which the broker keeps what comes while there is no line. It must be the source's alone.",
			place: func(c *Config, i int) any { return &c.Sources[i].ClientID },
		},
		{
			Path: "sources[].username", Kind: KindText, Off: true, Example: "greenhouse-1", check: notEmpty,
			Help:  "The user at the broker.",
			place: func(c *Config, i int) any { return &c.Sources[i].Username },
		},
		{
			Path: "sources[].password", Kind: KindSecret, Off: true, Example: `"${CLOUD_PASSWORD}"`,
			Help:  "The user's password. A file is better: see password_file.",
			place: func(c *Config, i int) any { return &c.Sources[i].Password },
		},
		{
			Path: "sources[].password_file", Kind: KindPath, Off: true, Example: "cloud.password",
			Help:  "A file with the password, read at start; an end of line after it is cut off.",
			place: func(c *Config, i int) any { return &c.Sources[i].passwordFile },
		},
		{
			Path: "sources[].max_packet", Kind: KindSize, least: 1 << 10, most: 256 << 10,
			Help:  "The largest message that is taken in. A larger one is refused and acknowledged, with a count and a line in the log: it would come again for ever.",
			place: func(c *Config, i int) any { return &c.Sources[i].MaxPacket },
		},
	}, tlsKeys("sources[].tls", func(c *Config, i int) *ClientTLS { return &c.Sources[i].TLS })...)
}
