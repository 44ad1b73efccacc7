# Towpath needs Go >= 1.26, git and make, and nothing else. `make` says what there is.
# Tests against OpenSSH (openssh-client, openssh-server) and GnuPG (gnupg) are
# skipped, with that reason, where those are not installed.

GO             ?= go
VERSION        ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GOLANGCI_LINT   = v2.15.0
GOVULNCHECK     = v1.8.0

# Two packages at a time suit two cores; the packages with a control plane of
# their own use both. TIMEOUT is for one package.
P              ?= 2
TIMEOUT        ?= 20m
PKG            ?= ./...
BENCH          ?= .

# Built tools and servers are kept where the user's caches are, not in the
# checkout, so that a fresh clone is warm.
CACHE           = $(or $(TOWPATH_CACHE),$(shell dirname "$$($(GO) env GOCACHE)")/towpath)
TOOLS           = $(CACHE)/bin

# The race detector needs a C compiler; without one Go says so by CGO_ENABLED=0.
RACE            = $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race,)

.DEFAULT_GOAL := help
.PHONY: help build demo test servers vet-nested lint format vet golangci vuln bench clean

help: ## say what can be made
	@echo 'make TARGET, where TARGET is one of'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "  %-10s %s\n", $$1, $$2 }'
	@echo 'settings, as in `make demo KEEP=1`'
	@echo '  KEEP=1             demo: leave all running and wait for your approval'
	@echo '  FORGE=gitea        demo: pull requests in a real Gitea, approved by two reviewers'
	@echo '  CONTEXTS=a,b,c     demo: use these kubeconfig contexts as dev, staging and prod'
	@echo '  PKG=./internal/... test: only these packages'
	@echo '  P=2, TIMEOUT=20m   test: packages at once; longest time of one'
	@echo '  BENCH=regexp       bench: only these benchmarks'
	@echo '  TOWPATH_CACHE=dir  where built tools and servers are kept'

build: ## build bin/towpath, static
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/towpath ./cmd/bot

demo: build ## a new image through dev, staging and prod, on this machine
	@bin/towpath demo $(if $(KEEP),--keep) $(if $(CONTEXTS),--contexts $(CONTEXTS)) $(if $(FORGE),--forge $(FORGE))

test: servers vet-nested ## every test, with the race detector, against real servers
	@$(if $(RACE),,echo 'no C compiler found: tests run without the race detector';) \
	$(GO) build -o bin/tally ./test/tally
	@{ $(GO) test $(RACE) -json -p $(P) -timeout $(TIMEOUT) $(PKG); echo $$? >bin/test.code; } | bin/tally && \
	exit $$(cat bin/test.code)

# The real servers of the tests and the demo (Kubernetes, a registry, a forge) are built
# here, where the minutes are announced, and not inside a test, where they would
# look like a hang.
servers: build
	@$(GO) run ./test/prepare

# The servers' modules are vetted with the flags they are built with, so that the
# compiler's work is not done twice; what is left is minutes on a cold cache, once.
vet-nested: servers
	@for dir in test/controlplane/servers test/controlplane/servers/kwok test/distribution/server test/gitea/server; do \
		echo "go vet in $$dir"; \
		CGO_ENABLED=0 GOFLAGS= GOWORK=off $(GO) -C $$dir vet -mod=readonly -trimpath ./... || exit 1; \
	done

bench: servers ## every benchmark; docs/benchmarks.md keeps results
	@$(GO) build -o bin/tally ./test/tally
	@packages=$$(grep -rl --include='*_test.go' '^func Benchmark' cmd internal test | xargs -n 1 dirname | sort -u | sed 's|^|./|'); \
	{ $(GO) test -json -run '^$$' -bench '$(BENCH)' -benchmem -p 1 -timeout 60m $$packages; echo $$? >bin/test.code; } | bin/tally && \
	exit $$(cat bin/test.code)

lint: format vet golangci vuln ## gofmt, go vet, golangci-lint, govulncheck

format:
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted, run gofmt -w on:"; echo "$$files"; exit 1; fi

vet:
	$(GO) vet ./...

golangci:
	@tool="$(TOOLS)/golangci-lint-$(GOLANGCI_LINT)"; \
	$(call install,golangci-lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)) && \
	echo "golangci-lint $(GOLANGCI_LINT)" && "$$tool" run

# Known vulnerabilities need a database on the network: without it there is no
# answer, which is not the same as a good one, so it is said.
vuln:
	@tool="$(TOOLS)/govulncheck-$(GOVULNCHECK)"; \
	if ! { $(call install,govulncheck,golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)); }; then \
		echo "govulncheck: skipped: it cannot be built here"; exit 0; fi; \
	out=$$("$$tool" ./... 2>&1); code=$$?; \
	case "$$code/$$out" in \
	0/*) echo "govulncheck $(GOVULNCHECK): nothing known";; \
	*"fetching vulnerabilities"*) echo "govulncheck: skipped: its database does not answer: $$(echo "$$out" | tail -n 1)";; \
	*) echo "$$out"; exit 1;; esac

clean: ## remove bin; built servers and tools stay in the cache
	rm -rf bin
	@echo 'kept: $(CACHE)'

# install builds the Go tool $(1) from $(2) as $$tool, once; a name with a version
# in it is never half written.
install = test -x "$$tool" || { \
	echo "building $(1) (takes minutes, once, kept in $(TOOLS))"; \
	tmp=$$(mktemp -d) && GOBIN="$$tmp" $(GO) install $(2) && mkdir -p "$(TOOLS)" && \
	mv "$$tmp/$(1)" "$$tool.$$$$" && mv "$$tool.$$$$" "$$tool"; code=$$?; rm -rf "$$tmp"; test $$code = 0; }
