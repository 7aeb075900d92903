package configs

func gatewayKeys() []Key {
	return []Key{
		{
			Path: "id", Kind: KindText, Default: "the machine's name", Example: "greenhouse-1", check: validID,
			Help:  "The name of this gateway: part of the source of every event, so no two gateways that share an upstream may have the same.",
			place: func(c *Config, _ int) any { return &c.ID },
		},
		{
			Path: "data_dir", Kind: KindPath, Example: "data",
			Help:  "The folder of the log. One gateway uses it at a time.",
			place: func(c *Config, _ int) any { return &c.DataDir },
		},
		{Path: "log", Kind: KindSection, Help: "What the gateway writes about itself to standard error."},
		{
			Path: "log.level", Kind: KindChoice, Choices: []string{"debug", "info", "warn", "error"},
			Help:  "The least severe messages that are written.",
			place: func(c *Config, _ int) any { return &c.Log.Level },
		},
		{
			Path: "log.format", Kind: KindChoice, Choices: []string{"text", "json"},
			Help:  "How messages are written: for people, or one JSON object a line.",
			place: func(c *Config, _ int) any { return &c.Log.Format },
		},
		{Path: "buffer", Kind: KindSection, Help: "The durable log between devices and upstreams."},
		{
			Path: "buffer.max_size", Kind: KindSize, least: 64 << 20,
			Help:  "The most that the log may take on disk, with all that the storage engine needs.",
			place: func(c *Config, _ int) any { return &c.Buffer.MaxSize },
		},
		{
			Path: "buffer.when_full", Kind: KindChoice, Choices: []string{"reject", "drop_oldest"},
			Help:  "What happens at max_size. reject: devices are not acknowledged, so that they keep their events and try again. drop_oldest: the oldest events make room, and each forwarder that was owed them delivers a gateway.gap event instead.",
			place: func(c *Config, _ int) any { return &c.Buffer.WhenFull },
		},
		{
			Path: "buffer.reserve", Kind: KindSize, least: 32 << 20,
			Help:  "What the file system of data_dir must have left. With less nothing is accepted until there is room again, whoever took it.",
			place: func(c *Config, _ int) any { return &c.Buffer.Reserve },
		},
		{
			Path: "buffer.max_age", Kind: KindDuration,
			Help:  "How old an event may get before it is dropped, delivered or not, with a gateway.gap event where it was not. 0s: any age. Nothing expires while the clock is not synchronised.",
			place: func(c *Config, _ int) any { return &c.Buffer.MaxAge },
		},
		{
			Path: "buffer.keep_delivered", Kind: KindDuration,
			Help:  "For how long events are kept for replay after every forwarder has delivered them, as far as max_size allows. 0s: not at all.",
			place: func(c *Config, _ int) any { return &c.Buffer.KeepDelivered },
		},
		{
			Path: "buffer.commit_interval", Kind: KindDuration, most: 60e9,
			Help:  "How long events gather before they are synced to the disk together. 0s: at once. Longer wears the card less and makes devices wait up to as long for an acknowledgement, so one that sends one event at a time sends one an interval. A power cut still costs nothing that was acknowledged: devices send again what was not, and QoS 0 events of up to one interval are lost. See docs/flash.md.",
			place: func(c *Config, _ int) any { return &c.Buffer.CommitInterval },
		},
		{
			Path: "buffer.card_endurance", Kind: KindSize,
			Help:  "How much can be written to the card in its life (TBW, from its data sheet), for the projection in gateway status. 0B: unknown.",
			place: func(c *Config, _ int) any { return &c.Buffer.CardEndurance },
		},
		{Path: "admin", Kind: KindSection, Help: "What the gateway tells about itself, beside the local API, which is the socket gateway.sock in data_dir."},
		{
			Path: "admin.listen", Kind: KindAddress, Off: true, Example: "127.0.0.1:9883", check: validLoopback,
			Help:  "Where GET /metrics (Prometheus) and GET /healthz answer over HTTP, as host:port on loopback. Left out: nowhere.",
			place: func(c *Config, _ int) any { return &c.Admin.Listen },
		},
	}
}

func brokerKeys() []Key {
	return []Key{
		{Path: "mqtt", Kind: KindSection, Help: "The embedded broker that devices publish to."},
		{
			Path: "mqtt.listen", Kind: KindAddresses, check: ValidAddress,
			Help:  "Where it listens without TLS, as host:port. While no user is configured it listens on loopback only. An empty list: nowhere.",
			place: func(c *Config, _ int) any { return &c.MQTT.Listen },
		},
		{
			Path: "mqtt.tls", Kind: KindSection, Off: true, Help: "A listener with TLS (1.2 and later).",
			place: func(c *Config, _ int) any { return &c.MQTT.TLS },
		},
		{
			Path: "mqtt.tls.listen", Kind: KindAddress, Off: true, Example: "0.0.0.0:8883", check: ValidAddress,
			Help:  "Where it listens with TLS, as host:port.",
			place: func(c *Config, _ int) any { return &c.MQTT.TLS.Listen },
		},
		{
			Path: "mqtt.tls.cert_file", Kind: KindPath, Required: true, Off: true, Example: "broker.crt",
			Help:  "Its certificate and chain, as PEM.",
			place: func(c *Config, _ int) any { return &c.MQTT.TLS.CertFile },
		},
		{
			Path: "mqtt.tls.key_file", Kind: KindPath, Required: true, Off: true, Example: "broker.key",
			Help:  "Its private key, as PEM.",
			place: func(c *Config, _ int) any { return &c.MQTT.TLS.KeyFile },
		},
		{
			Path: "mqtt.tls.client_ca_file", Kind: KindPath, Off: true, Example: "devices-ca.crt",
			Help:  "The authorities, as PEM, of which every client must show a certificate. Left out: clients need none.",
			place: func(c *Config, _ int) any { return &c.MQTT.TLS.ClientCAFile },
		},
		{
			Path: "mqtt.users_file", Kind: KindPath, Off: true, Example: "users",
			Help:  "The users and their passwords; `gateway user add` writes it. Without users everybody may connect, from this machine only.",
			place: func(c *Config, _ int) any { return &c.MQTT.UsersFile },
		},
		{
			Path: "mqtt.acl", Kind: KindSections, Off: true,
			Help:  "What users may do. What no rule allows is refused; without any rule every user may do everything.",
			place: func(c *Config, _ int) any { return &c.MQTT.ACL },
		},
		{
			Path: "mqtt.acl[].user", Kind: KindText, Required: true, Off: true, Example: `"*"`, check: notEmpty,
			Help:  "The user that the rule is for, or \"*\" for every user.",
			place: func(c *Config, i int) any { return &c.MQTT.ACL[i].User },
		},
		{
			Path: "mqtt.acl[].access", Kind: KindChoice, Choices: []string{"read", "write", "readwrite"}, Required: true, Off: true, Example: "write",
			Help:  "read allows to subscribe, write to publish.",
			place: func(c *Config, i int) any { return &c.MQTT.ACL[i].Access },
		},
		{
			Path: "mqtt.acl[].topic", Kind: KindFilter, Required: true, Off: true, Example: `"sensors/%u/#"`, check: validFilter,
			Help:  "The topics that it allows; %u stands for the user's name, %c for the client id.",
			place: func(c *Config, i int) any { return &c.MQTT.ACL[i].Topic },
		},
		{Path: "mqtt.capture", Kind: KindSection, Help: "Which topics go through the log. The rest is acknowledged at once and reaches local subscribers only."},
		{
			Path: "mqtt.capture.include", Kind: KindFilters, Default: `["#"]`, check: validFilter,
			Help:  "Topics that go through the log.",
			place: func(c *Config, _ int) any { return &c.MQTT.Capture.Include },
		},
		{
			Path: "mqtt.capture.exclude", Kind: KindFilters, check: validFilter,
			Help:  "Topics that do not, even where include has them, such as homeassistant/#. They are acknowledged at once and not stored.",
			place: func(c *Config, _ int) any { return &c.MQTT.Capture.Exclude },
		},
		{
			Path: "mqtt.max_packet_size", Kind: KindSize, least: 1 << 10, most: 256 << 10,
			Help:  "The largest packet that a device may send; a larger one ends its connection.",
			place: func(c *Config, _ int) any { return &c.MQTT.MaxPacketSize },
		},
		{
			Path: "mqtt.max_clients", Kind: KindNumber, least: 1, most: 100000,
			Help:  "How many devices may be connected at once; further ones are closed. Each takes memory, also while it is idle.",
			place: func(c *Config, _ int) any { return &c.MQTT.MaxClients },
		},
	}
}
