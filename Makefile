# `make help` lists the targets. Needs Go, make, and npm or pip (for the embedded ClickHouse engine).
# test-kafka also needs Java 17 and Maven.

GO        ?= go
BIN       ?= bin/usher
ARGS      ?=
PACKAGES  ?= ./...
FUZZTIME  ?= 20s
BENCHTIME ?= 1s
BENCH     ?= .
KILLS     ?= 10
MINUTES   ?= 60
SEED      ?= 1
RATE      ?= 150
TIMES     ?= kept
RECORDS   ?= 200000

FETCH_ENGINE = sinks/clickhouse/embedded/fetch-libchdb.sh
KAFKA        = pipeline/source/kafka/kafkatest/kafka.sh
ON_KAFKA     = $(if $(KAFKA_ADDRESS),USHER_TEST_KAFKA=$(KAFKA_ADDRESS),$(KAFKA) run --)
# The packages with a test that asks for a real broker, found by the words that such a test holds.
KAFKA_PACKAGES = $$(grep -rlE --include='*_test.go' 'USHER_TEST_KAFKA|kafkatest' \
                   cmd pipeline sinks bench | xargs -n 1 dirname | sort -u | sed 's|^|./|')
GO_FOLDERS   = bench cmd dashboards features pipeline sinks

.DEFAULT_GOAL := help
.PHONY: help build demo test test-race test-kafka test-browser fuzz hostile sim sim-sla torture soak bench dashboards lint fmt libchdb test-older outage lifecycle clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/usher
	$(GO) build -trimpath -o $(BIN) ./cmd/usher

demo: libchdb build ## play generated chats through broker, router, sink and engine; on a terminal it stays open
	$(BIN) demo $$(test -t 1 || echo --exit) $(ARGS)

test: libchdb ## run every test that needs no server
	$(GO) test -timeout 20m $(PACKAGES)

test-race: libchdb ## the same under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 40m $(PACKAGES)

test-kafka: libchdb ## run the tests that want a real Apache Kafka: starts one, or takes KAFKA_ADDRESS=host:port
	USHER_REQUIRE_KAFKA=1 $(ON_KAFKA) $(GO) test -count=1 -timeout 20m $(KAFKA_PACKAGES)

test-browser: libchdb ## look at a running demo in a real Chromium (dashboards/preview/browser/fetch.sh brings it)
	USHER_REQUIRE_BROWSER=1 $(GO) test -count=1 -timeout 10m -run '^TestLookAtDemo$$' ./cmd/usher/acceptance

test-older: ## hold the sink to its protocol on an older engine, ENGINE=26.5.3 (a library of 600 MB)
	engine=$$($(FETCH_ENGINE) $(or $(ENGINE),26.5.3)) && USHER_LIBCHDB=$$engine USHER_REQUIRE_ENGINE=1 \
	  $(GO) test -count=1 -v -timeout 30m -run '^Test(ModelBehavesAsClickHouse|EveryRow|Nothing|AGraceful|ABlock|APoison|ANoRoom)' \
	  ./bench/sim ./sinks/clickhouse/sink

fuzz: ## fuzz every decoder for FUZZTIME each (20s)
	@set -e; for package in $$($(GO) list $(PACKAGES)); do \
	  for name in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "$$package $$name"; \
	    $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

hostile: ## throw RECORDS broken records (200000) at the router: the balance, panics, memory, payload in logs
	USHER_HOSTILE_RECORDS=$(RECORDS) $(GO) test -count=1 -v -timeout 12h -run TestHostileRecords ./bench/hostile

sim: ## play both protocols on a model of Kafka and ClickHouse: SEEDS worlds (300) from FROM (1), or the one of SEED
	SEEDS=$(or $(SEEDS),300) $(GO) test -count=1 -timeout 6h -v -run '^TestS(imulation|ameSeed)' ./bench/sim

sim-sla: ## the same with POLICIES random SLA policies (10000), five a world: each promise ends once, when it was due
	POLICIES=$(or $(POLICIES),10000) $(GO) test -count=1 -timeout 6h -v -run '^TestPromises$$' ./bench/sim

torture: libchdb ## kill router, sink, engine and a real Kafka KILLS times (10; SEED, RATE) and recount every row
	USHER_TORTURE_KILLS=$(KILLS) USHER_TORTURE_SEED=$(SEED) USHER_TORTURE_RATE=$(RATE) USHER_TORTURE_TIMES=$(TIMES) \
	  $(GO) test -count=1 -timeout 6h -v -run '^TestTorture$$' ./bench/torture

soak: libchdb ## the same at a steady rate for MINUTES (60), a kill every two: memory, goroutines, parts a second
	USHER_SOAK_MINUTES=$(MINUTES) USHER_TORTURE_SEED=$(SEED) USHER_TORTURE_RATE=$(RATE) \
	  $(GO) test -count=1 -timeout 6h -v -run '^TestTorture$$' ./bench/torture

outage: libchdb ## take ClickHouse away for AWAY (10m) under load, then Kafka; nothing may be lost or doubled
	USHER_TEST_OUTAGE=$(or $(AWAY),10m) USHER_REQUIRE_ENGINE=1 \
	  $(GO) test -count=1 -v -timeout 2h -run '^TestOutages$$' ./cmd/usher/acceptance

lifecycle: libchdb ## end, restart, join and leave under load; prints how long each took
	USHER_REQUIRE_ENGINE=1 $(GO) test -count=1 -v -timeout 1h -run '^TestLifecycle$$' ./cmd/usher/acceptance

bench: ## run the micro benchmarks (BENCH=pattern, BENCHTIME=1s)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem $(PACKAGES)

dashboards: build ## write the Grafana boards as JSON beside their Go source
	$(BIN) dashboards --out dashboards

lint: ## gofmt, vet, staticcheck, and the project's own rules (cmd/tidy)
	@files=$$(gofmt -l $(GO_FOLDERS)); test -z "$$files" || { echo "not formatted, run make fmt:" $$files; exit 1; }
	$(GO) vet $(PACKAGES)
	$(GO) tool staticcheck $(PACKAGES)
	$(GO) test -count=1 ./cmd/tidy

fmt: ## format the Go code
	gofmt -w $(GO_FOLDERS)

libchdb: ## fetch the embedded ClickHouse engine into the cache (once, 178 MB)
	@$(FETCH_ENGINE) >/dev/null

clean: ## remove what make built (the engine in the cache stays)
	rm -rf bin
