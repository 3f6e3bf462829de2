# `make test` is the whole of the project's checks, the same at home and in CI.
# It installs what is missing (tools/deps says what and why) and never skips.

CACHE := $(abspath $(or $(ONEDOOR_CACHE),.cache))
export ONEDOOR_CACHE := $(CACHE)
# A machine without a home directory still has a place for Go's caches.
export HOME := $(if $(and $(HOME),$(wildcard $(HOME)/.)),$(HOME),$(CACHE)/home)

LINT := $(CACHE)/bin/golangci-lint
GOFUMPT := $(CACHE)/bin/gofumpt

.PHONY: build test deps fmt lint vet hermetic race fuzz-seeds fuzz database crash e2e cluster mutants clean

build:
	go build -trimpath -o onedoor ./cmd/onedoor

# One after the other, also under make -j: the browser tests want both cores.
test:
	$(MAKE) deps
	$(MAKE) build
	$(MAKE) lint
	$(MAKE) hermetic
	$(MAKE) race
	$(MAKE) fuzz-seeds
	$(MAKE) database
	$(MAKE) e2e

deps:
	@tools/deps all

fmt:
	@tools/deps linters
	$(GOFUMPT) -w $$(git ls-files '*.go')

vet:
	go vet -tags e2e ./...

lint: vet
	@tools/deps linters
	go mod tidy -diff
	@unformatted=$$($(GOFUMPT) -l $$(git ls-files '*.go')); \
	  test -z "$$unformatted" || { echo "not formatted, run make fmt: $$unformatted" >&2; exit 1; }
	$(LINT) run ./...

# Without any network but its own loopback, and without a module proxy: what
# `go test ./...` promises. Modules are fetched before.
hermetic:
	go mod download
	@tools/offline go test ./...

race:
	go test -race ./...

# The corpus of every fuzz target, run as tests; `make fuzz` looks for more.
fuzz-seeds:
	go test -run '^Fuzz' ./...

FUZZTIME ?= 10s
fuzz:
	@tools/fuzz $(FUZZTIME)

# The store's suite on a real PostgreSQL, full disks, killed writers. As root, or
# through sudo: the tests mount a small disk.
database:
	@tools/deps database
	go test -race -tags e2e -exec $(CURDIR)/tools/asroot -count 1 -timeout 15m $(DATABASEFLAGS) ./e2e/database/

# The same writers, killed CRASHES times on SQLite and a quarter of that on
# PostgreSQL, whose server is killed now and then too.
CRASHES ?= 200
crash:
	@tools/deps database
	go test -tags e2e -exec $(CURDIR)/tools/asroot -count 1 -timeout 60m -v -run Killed ./e2e/database/ -rounds $(CRASHES)

# Real provider, real browser, real applications; one package, in sequence. As
# root, or through sudo: the tests make network namespaces.
e2e:
	@tools/deps e2e
	go test -tags e2e -exec $(CURDIR)/tools/asroot -count 1 -timeout 20m -v $(E2EFLAGS) ./e2e/

# The part of e2e in which everything around the doors fails, larger: for ten
# minutes, say, CLUSTERFLAGS="-cluster.for 10m -cluster.people 24". The seed that
# it prints repeats its schedule: -cluster.seed N.
cluster:
	@tools/deps e2e
	go test -tags e2e -exec $(CURDIR)/tools/asroot -count 1 -timeout 0 -v -run 'WhileEverythingAroundFails$$' ./e2e/ -args $(CLUSTERFLAGS)

# Takes each rule out and shows that a test misses it.
mutants:
	go -C tools run ./mutants $(MUTANTSFLAGS) ../testdata/mutants.txt

clean:
	rm -rf onedoor .cache

-include bench/bench.mk
