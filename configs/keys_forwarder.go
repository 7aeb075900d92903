package configs

func forwarderKeys() []Key {
	keys := []Key{
		{
			Path: "forwarders", Kind: KindSections,
			Help:  "Where events go. Each forwarder has its own place in the log and delivers everything from there on, in order, whatever the line does.",
			place: func(c *Config, _ int) any { return &c.Forwarders },
		},
		{
			Path: "forwarders[].name", Kind: KindText, Required: true, Example: "cloud", check: validID,
			Help:  "Its name: the place in the log is kept under it, so another name starts anew.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Name },
		},
	}
	keys = append(append(keys, routeKeys()...), deliveryKeys()...)
	keys = append(keys,
		Key{Path: "forwarders[].sink", Kind: KindSection, Required: true, Help: "What it delivers to."},
		Key{
			Path: "forwarders[].sink.type", Kind: KindChoice, Choices: sinkTypes, Required: true, Example: SinkMQTT,
			Help:  "The kind of sink: an upstream MQTT broker, a file of JSON lines, the devices at the gateway's own broker (local), or an output of this board (gpio_output).",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.Type },
		},
	)
	keys = append(append(append(keys, mqttSinkKeys()...), fileSinkKeys()...), localSinkKeys()...)
	keys = append(keys, outputSinkKeys()...)
	return append(keys,
		Key{Path: "forwarders[].retry", Kind: KindSection, Help: "The pause after a failed attempt: random, up to a bound that doubles from min to max."},
		Key{
			Path: "forwarders[].retry.min", Kind: KindDuration, least: 10e6, most: 3600e9,
			Help:  "The bound after the first failure.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Retry.Min },
		},
		Key{
			Path: "forwarders[].retry.max", Kind: KindDuration, least: 10e6, most: 24 * 3600e9,
			Help:  "The bound after many.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Retry.Max },
		},
	)
}

func mqttSinkKeys() []Key {
	keys := []Key{
		{
			Path: "forwarders[].sink.url", Kind: KindURL, Required: true, Example: "ssl://broker.example.com:8883", check: validBrokerURL,
			Help:  "The broker: tcp://host:1883, or ssl://host:8883 with TLS.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.MQTT.URL },
		},
		{
			Path: "forwarders[].sink.topic_prefix", Kind: KindText, Example: "greenhouse-1/", check: validPrefix,
			Help:  "What {prefix} stands for in topic: put before the topic of each event.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.MQTT.TopicPrefix },
		},
		{
			Path: "forwarders[].sink.topic", Kind: KindText, Off: true, check: notEmpty,
			Help:  "The topic to publish to: text with {prefix} (topic_prefix), {topic} (the one that the event came on), {subject}, {source}, {type} and {gateway} (id).",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.MQTT.Topic },
		},
		{
			Path: "forwarders[].sink.format", Kind: KindChoice, Choices: []string{"cloudevents", "raw"},
			Help:  "cloudevents: JSON with the payload and the ID by which a receiver drops what was sent twice. raw: the payload alone, as it came; there is no ID.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.MQTT.Format },
		},
		{
			Path: "forwarders[].sink.client_id", Kind: KindText, Off: true, Default: "gateway-<id>-<name>", Example: "greenhouse-1", check: notEmpty,
			Help:  "The client id at the broker. It must be the gateway's alone: a broker closes the older of two connections with one id.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.MQTT.ClientID },
		},
		{
			Path: "forwarders[].sink.username", Kind: KindText, Off: true, Example: "greenhouse-1", check: notEmpty,
			Help:  "The user at the broker.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.MQTT.Username },
		},
		{
			Path: "forwarders[].sink.password", Kind: KindSecret, Off: true, Example: `"${CLOUD_PASSWORD}"`,
			Help:  "The user's password. A file is better: see password_file.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.MQTT.Password },
		},
		{
			Path: "forwarders[].sink.password_file", Kind: KindPath, Off: true, Example: "cloud.password",
			Help:  "A file with the password, read at start; an end of line after it is cut off.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.MQTT.passwordFile },
		},
		{
			Path: "forwarders[].sink.window", Kind: KindNumber, least: 1, most: 32768,
			Help:  "How many events may be under way without an acknowledgement. After a cut of the line, at most so many are sent again.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.MQTT.Window },
		},
		{
			Path: "forwarders[].sink.max_packet", Kind: KindSize, least: 1 << 10, most: 268_435_455,
			Help:  "The largest packet that the upstream takes. A larger event is set aside: many brokers close the connection over it, each time.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.MQTT.MaxPacket },
		},
		{
			Path: "forwarders[].sink.ack_timeout", Kind: KindDuration, least: 100e6, most: 600e9,
			Help:  "How long an acknowledgement may take before the connection is taken for dead.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.MQTT.AckTimeout },
		},
	}
	return forSink(SinkMQTT, append(keys, tlsKeys("forwarders[].sink.tls", func(c *Config, i int) *ClientTLS { return &c.Forwarders[i].Sink.MQTT.TLS })...))
}

func tlsKeys(path string, of func(c *Config, i int) *ClientTLS) []Key {
	return []Key{
		{Path: path, Kind: KindSection, Off: true, Help: "How the broker is trusted and the gateway shows itself, for a URL with TLS. Left out: the system's authorities, no certificate."},
		{
			Path: path + ".ca_file", Kind: KindPath, Off: true, Example: "cloud-ca.crt",
			Help:  "The authorities, as PEM, of which the broker's certificate must be, instead of the system's.",
			place: func(c *Config, i int) any { return &of(c, i).CAFile },
		},
		{
			Path: path + ".cert_file", Kind: KindPath, Off: true, Example: "greenhouse-1.crt",
			Help:  "The gateway's own certificate and chain, as PEM.",
			place: func(c *Config, i int) any { return &of(c, i).CertFile },
		},
		{
			Path: path + ".key_file", Kind: KindPath, Off: true, Example: "greenhouse-1.key",
			Help:  "The private key of cert_file, as PEM.",
			place: func(c *Config, i int) any { return &of(c, i).KeyFile },
		},
		{
			Path: path + ".server_name", Kind: KindText, Off: true, Default: "the host of url", Example: "broker.example.com", check: notEmpty,
			Help:  "The name that the broker's certificate must have.",
			place: func(c *Config, i int) any { return &of(c, i).ServerName },
		},
	}
}

func fileSinkKeys() []Key {
	return forSink(SinkFile, []Key{
		{
			Path: "forwarders[].sink.path", Kind: KindPath, Required: true, Example: "events.jsonl",
			Help:  "The file: one CloudEvent in JSON a line. Its folder must exist.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.File.Path },
		},
		{
			Path: "forwarders[].sink.max_size", Kind: KindSize, least: 4 << 10,
			Help:  "The size at which a new file is begun and the old one is renamed.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.File.MaxSize },
		},
		{
			Path: "forwarders[].sink.max_files", Kind: KindNumber, least: 1, most: 10000,
			Help:  "How many files are kept, the one being written included; older ones are deleted.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.File.MaxFiles },
		},
	})
}

func forSink(kind string, keys []Key) []Key {
	for i := range keys {
		keys[i].Types = []string{kind}
	}
	return keys
}
