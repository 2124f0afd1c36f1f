# Pharos: everything that a fresh Debian machine with Go needs to build, run and test it.
#
#   make run     build, start on loopback with demo data, print where to look
#   make test    install what the tests need, run them all
#
# The rest: build, lint, race, fuzz, bench, clean.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GOFLAGS_BUILD := -trimpath -tags grpcnotrace -ldflags "-s -w -X main.version=$(VERSION)"
TOOLS   := $(CURDIR)/bin/tools
LINT    := $(TOOLS)/golangci-lint-v2.15.0
PACKAGES ?= ./...

# What the tests run against: DCMTK and Orthanc as foreign peers, PostgreSQL as the
# second database, dciodvfy to judge what we write; gcc for the race detector.
APT := dcmtk orthanc orthanc-dicomweb postgresql dicom3tools curl openssl unzip gcc libc6-dev

.PHONY: run build test unit race lint fuzz bench deps clean
export CGO_ENABLED := 0

build:
	@mkdir -p bin
	go build $(GOFLAGS_BUILD) -o bin/pharos ./cmd/pharos

run: build
	./bin/pharos serve --demo

test: deps unit

unit:
	go test -tags grpcnotrace $(PACKAGES)

# The race detector needs cgo, which releases do without. What is in e2e tests a binary from
# outside, which the detector would not see.
race: deps
	CGO_ENABLED=1 go test -race -tags grpcnotrace ./bench/... ./cmd/... ./internal/...

lint: $(LINT)
	@test -z "$$(gofmt -l bench cmd e2e internal)" || { gofmt -l bench cmd e2e internal; echo "run gofmt -w on these"; exit 1; }
	go vet -tags grpcnotrace ./...
	$(LINT) run ./...

$(LINT):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv $(TOOLS)/golangci-lint $@

# Every fuzz target for a short while, beyond the seeds that test runs.
FUZZTIME ?= 20s
fuzz:
	.ci/fuzz $(FUZZTIME)

# BENCH takes flags: "make bench BENCH=-full".
bench: build deps
	go run ./bench $(BENCH)

# Debian's packages that are not there yet. Services that they would start are kept from
# starting: tests start their own, on free ports.
deps:
	@.ci/install $(APT)

clean:
	rm -rf bin
