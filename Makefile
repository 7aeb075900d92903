# Everything a developer types. `make help` lists it.
SHELL   := /bin/bash
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'
PEERS   := mosquitto mosquitto-clients sqlite3 qemu-user strace

.DEFAULT_GOAL := help
.PHONY: help build run check test peers fuzz cross cross-test bench torture line damage powercut hardware soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/gateway for this machine
	$(BUILD) -o bin/gateway ./cmd/gateway

run: build ## the demo: sensors, the gateway, a bad line and an upstream (ARGS='--for 30s')
	./bin/gateway demo $(ARGS)

check: ## format, vet, lint and known vulnerabilities
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not formatted (run gofmt -w):"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	GOARCH=arm GOARM=6 CGO_ENABLED=0 $(GO) vet ./cmd/gateway ./buffer ./mqtt ./forwarder/...
	@scripts/lint.sh

test: peers ## all tests: race detector, short fuzzing, the log as a 32-bit build; under ten minutes
	$(GO) test -race -timeout 9m ./...
	GATEWAY_DAMAGE=$${GATEWAY_DAMAGE:-10} GOARCH=386 CGO_ENABLED=0 $(GO) test -timeout 5m . ./buffer/...
	@$(MAKE) --no-print-directory fuzz FUZZTIME=$${FUZZTIME:-3s}

peers: ## install the brokers and emulators that tests compare with, or say what is missing
	@scripts/peers.sh $(PEERS)

fuzz: ## every fuzz target for FUZZTIME (default 1m) each
	@scripts/fuzz.sh $${FUZZTIME:-1m}

cross: ## dist/gateway-linux-{amd64,arm64,armv7,armv6}, without cgo
	GOOS=linux GOARCH=amd64 $(BUILD) -o dist/gateway-linux-amd64 ./cmd/gateway
	GOOS=linux GOARCH=arm64 $(BUILD) -o dist/gateway-linux-arm64 ./cmd/gateway
	GOOS=linux GOARCH=arm GOARM=7 $(BUILD) -o dist/gateway-linux-armv7 ./cmd/gateway
	GOOS=linux GOARCH=arm GOARM=6 $(BUILD) -o dist/gateway-linux-armv6 ./cmd/gateway
	@ls -l dist

cross-test: cross peers ## each cross-built binary under qemu-user: publish, kill, deliver
	$(GO) run ./test/crosstest

bench: build peers ## this gateway and its peers in turn; prints medians and ratios (ARGS='--rounds 5'; ARGS='--rows wear --wear 3s')
	$(GO) run ./test/bench $(ARGS)

soak: ## ten minutes at full rate, with consumers ahead, lagging and stopped; writes docs/soak.md and .svg (ARGS='--for 2m' writes nothing)
	$(GO) run ./test/soak $(if $(ARGS),$(ARGS),--plot docs/soak.svg --doc docs/soak.md)

torture: build peers ## 200 rounds of kill -9 under load, and 2 GB through a 32-bit log (ARGS='--rounds 200')
	$(GO) run ./test/torture $(ARGS)

line: build peers ## 1,000 faults of the line to the upstream, at every byte of an exchange and any time; prints verdicts (ARGS='--faults 80 --legs 4 --seed N')
	$(GO) run ./test/line/cmd --gateway bin/gateway $(ARGS)

damage: ## 500 damaged logs: each file flipped, torn, truncated, deleted or swapped; prints a table (GATEWAY_DAMAGE=2000, GATEWAY_DAMAGE_SEED=N)
	GATEWAY_DAMAGE=$${GATEWAY_DAMAGE:-500} $(GO) test ./buffer -run '^TestDamage$$' -count 1 -timeout 2h -v

powercut: ## a virtual machine that loses its power 30 times under load, and 200 rebuilt disks (ARGS='--cuts 30 --positions 200 --seed N')
	@scripts/peers.sh qemu-system-arm e2fsprogs kmod
	$(GO) run ./test/powercut $(ARGS)

hardware: ## a virtual machine with simulated pins, chips and probes on a real kernel; prints verdicts (ARGS='--only edges,sensors', '--list')
	@scripts/peers.sh qemu-system-arm qemu-user mosquitto e2fsprogs kmod xz-utils gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf
	$(GO) run ./test/hardware $(ARGS)

clean: ## delete what was built
	rm -rf bin dist
