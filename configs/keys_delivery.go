package configs

// routeKeys are which events a forwarder delivers, and how.
func routeKeys() []Key {
	last := func(c *Config, i int) *Route { // the one that is read
		routes := c.Forwarders[i].Routes
		return &routes[len(routes)-1]
	}
	const (
		where = "A condition on the event, such as data.celsius > 30; docs/expressions.md has the language."
		ttl   = "How old an event may get before it is not worth delivering: then it is set aside, as expired. An event's own attribute expirytime does the same. 0s: any age. Nothing expires while the clock is not synchronised."
	)
	return []Key{
		{
			Path: "forwarders[].match", Kind: KindFilters, check: validFilter,
			Help:  "The topics that it delivers.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Match },
		},
		{
			Path: "forwarders[].where", Kind: KindText, Off: true, Example: "'size < 10000'", check: validWhere, Help: where,
			place: func(c *Config, i int) any { return &c.Forwarders[i].Where },
		},
		{
			Path: "forwarders[].ttl", Kind: KindDuration, Help: ttl,
			place: func(c *Config, i int) any { return &c.Forwarders[i].TTL },
		},
		{
			Path: "forwarders[].routes", Kind: KindSections, Off: true,
			Help:  "Instead of match, where and ttl: which events are delivered, and how. An event goes by the first route that takes it; one that none takes is not delivered.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Routes },
		},
		{
			Path: "forwarders[].routes[].match", Kind: KindFilters, Example: `["alarms/#"]`, check: validFilter,
			Help:  "The topics of the route.",
			place: func(c *Config, i int) any { return &last(c, i).Match },
		},
		{
			Path: "forwarders[].routes[].where", Kind: KindText, Example: `'data.level >= 3'`, check: validWhere, Help: where,
			place: func(c *Config, i int) any { return &last(c, i).Where },
		},
		{
			Path: "forwarders[].routes[].priority", Kind: KindNumber, most: 9, Example: "9",
			Help:  "0 to 9. What has a higher one overtakes; events of the same priority keep their order.",
			place: func(c *Config, i int) any { return &last(c, i).Priority },
		},
		{
			Path: "forwarders[].routes[].ttl", Kind: KindDuration, Help: ttl,
			place: func(c *Config, i int) any { return &last(c, i).TTL },
		},
	}
}

// deliveryKeys are in what order and at what cost a forwarder delivers.
func deliveryKeys() []Key {
	keys := []Key{
		{
			Path: "forwarders[].catch_up", Kind: KindChoice, Choices: []string{"in_order", "live_first"},
			Help:  "What is delivered first after an outage. in_order: everything in the order of the log. live_first: what comes now at once, and beside it what has waited, marked with the attribute backfill; either in its own order.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].CatchUp },
		},
		{
			Path: "forwarders[].backlog", Kind: KindChoice, Choices: []string{"oldest_first", "newest_first"},
			Help:  "With live_first: what of the backlog is delivered first. newest_first goes back in stretches of 10,000 events, each in its order.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Backlog },
		},
		{
			Path: "forwarders[].start", Kind: KindText, check: validStart,
			Help:  "Where a forwarder begins that the log does not know yet: beginning (all that the log has), end (what comes from now on), or a time such as 2026-11-01T00:00:00Z.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Start },
		},
		{
			Path: "forwarders[].renamed_from", Kind: KindText, Off: true, Example: "old-cloud", check: validID,
			Help:  "Its former name: it goes on at the place in the log that is kept under that, with its dead letters. Once it has, the key can go.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].RenamedFrom },
		},
		{Path: "forwarders[].batch", Kind: KindSection, Help: "How many events are sent at once, at most."},
		{
			Path: "forwarders[].batch.max_events", Kind: KindNumber, least: 1, most: 65536,
			Help:  "Events.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Batch.MaxEvents },
		},
		{
			Path: "forwarders[].batch.max_bytes", Kind: KindSize, least: 1 << 10, most: 64 << 20,
			Help:  "Their bytes, about. One event that is larger is sent alone.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Batch.MaxBytes },
		},
		{
			Path: "forwarders[].batch.max_age", Kind: KindDuration, most: 3600e9,
			Help:  "How long the oldest event may wait for others to go with it: for a line that is paid by the connection or wakes a radio. 0s: not at all.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Batch.MaxAge },
		},
	}
	keys = append(append(keys, budgetKeys()...), deadLetterKeys()...)
	return append(keys, Key{
		Path: "forwarders[].outcomes", Kind: KindChoice, Choices: []string{"none", "all"},
		Help:  "all: what became of each event (delivered, expired, refused, poison) is an event of type gateway.outcome, which other forwarders take upstream: for commands, which want an answer.",
		place: func(c *Config, i int) any { return &c.Forwarders[i].Outcomes },
	})
}

func budgetKeys() []Key {
	return []Key{
		{Path: "forwarders[].budget", Kind: KindSection, Help: "What it may send: for a line that is slow, shared or paid by the byte. What is over the budget waits."},
		{
			Path: "forwarders[].budget.bytes_per_second", Kind: KindSize,
			Help:  "Bytes a second, all in all. 0B: any number.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Budget.BytesPerSecond },
		},
		{
			Path: "forwarders[].budget.events_per_second", Kind: KindNumber, most: 10_000_000,
			Help:  "Events a second, all in all. 0: any number.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Budget.EventsPerSecond },
		},
		{
			Path: "forwarders[].budget.backlog_bytes_per_second", Kind: KindSize,
			Help:  "Bytes a second of events that have waited for more than five seconds. 0B: any number.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Budget.BacklogBytesPerSecond },
		},
		{
			Path: "forwarders[].budget.backlog_events_per_second", Kind: KindNumber, most: 10_000_000,
			Help:  "The same in events. 0: any number.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Budget.BacklogEventsPerSecond },
		},
		{
			Path: "forwarders[].budget.burst", Kind: KindDuration, most: 24 * 3600e9,
			Help:  "How long a line that was idle may make up for it: so much of a second's rate is saved. 0s: a twentieth of a second.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Budget.Burst },
		},
		{
			Path: "forwarders[].budget.month", Kind: KindSize, check: withUnit,
			Help:  "Bytes in a calendar month (UTC), as of a SIM card. 0B: any number.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Budget.Month },
		},
		{
			Path: "forwarders[].budget.urgent", Kind: KindNumber, most: 9,
			Help:  "The priority from which on events pass all of these bounds, though they count. 0: none does.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].Budget.Urgent },
		},
		{
			Path: "forwarders[].budget.schedule", Kind: KindWindows, check: validWindow,
			Help:  `When the backlog is delivered, in local time, such as ["22:00-06:00"]. Empty: always.`,
			place: func(c *Config, i int) any { return &c.Forwarders[i].Budget.Schedule },
		},
	}
}

func deadLetterKeys() []Key {
	return []Key{
		{Path: "forwarders[].dead_letters", Kind: KindSection, Help: "How much is kept of what could not be delivered; beyond that the oldest make room, with a count and a line in the log."},
		{
			Path: "forwarders[].dead_letters.max_size", Kind: KindSize, least: 1 << 20, most: 1 << 30,
			Help:  "Their bytes.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].DeadLetters.MaxSize },
		},
		{
			Path: "forwarders[].dead_letters.max_age", Kind: KindDuration,
			Help:  "How long each is kept. 0s: for ever.",
			place: func(c *Config, i int) any { return &c.Forwarders[i].DeadLetters.MaxAge },
		},
	}
}
