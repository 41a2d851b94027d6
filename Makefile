# One target for each task; `make help` lists them.

.PHONY: help setup build install uninstall package package-test test demo vm-test soak soak-flows fuzz miri bench bench-quick lint clean
.DEFAULT_GOAL := help

CARGO := scripts/cargo.sh

help:
	@echo 'make demo     show packets passed and dropped on a test network, in under a minute (root)'
	@echo 'make test     run every test; as root, also the tests that load programs into the kernel'
	@echo 'make vm-test  run the firewall on other kernels in virtual machines; KERNEL=6.1 selects one'
	@echo 'make soak     run a billion packets through the kernel and the reference evaluator and compare; PACKETS=N SEED=N (root)'
	@echo 'make soak-flows  the tests of flows that may last: floods, reloads, CPUs that meet; in an hour, ROUNDS=50 (root)'
	@echo 'make fuzz     fuzz the readers of packets, rule files, lists, bans and requests, guided by coverage; SECONDS=60 for each'
	@echo 'make miri     run the parser and the walker under Miri, to find undefined behavior; takes minutes'
	@echo 'make bench    measure the cost of packets, compared with other firewalls, in about ten minutes (root)'
	@echo 'make bench-quick  the same with less, in under three minutes (root)'
	@echo 'make build    build target/release/firewall'
	@echo 'make install  install it with its systemd unit, examples and fail2ban action; PREFIX=/usr/local DESTDIR='
	@echo 'make uninstall  remove the installed files; rule files stay'
	@echo 'make package  build a Debian package, target/package/firewall_VERSION_amd64.deb'
	@echo 'make package-test  install, upgrade under traffic and purge it in a clean Debian, which is fetched once (root)'
	@echo 'make setup    install missing tools; every other target does this for itself'
	@echo 'make lint     check formatting, lints, and the licenses and sources of dependencies'
	@echo 'make clean    remove build results'

setup:
	@scripts/setup.sh build test lint

build:
	@scripts/setup.sh build
	$(CARGO) build --release --locked -p firewall
	@scripts/check-release.sh $${CARGO_TARGET_DIR:-target}/release/firewall

# Builds nothing, so that root need not build.
install: PREFIX ?= /usr/local
install: BINARY ?= $${CARGO_TARGET_DIR:-target}/release/firewall
install:
	@scripts/install.sh "$(PREFIX)" "$(DESTDIR)" "$(BINARY)"

uninstall: PREFIX ?= /usr/local
uninstall:
	@scripts/install.sh --remove "$(PREFIX)" "$(DESTDIR)"

package:
	@scripts/setup.sh build package
	$(CARGO) build --release --locked -p firewall
	@scripts/check-release.sh $${CARGO_TARGET_DIR:-target}/release/firewall
	@scripts/package.sh $${CARGO_TARGET_DIR:-target}/release/firewall

# The system is fetched into target/package/bookworm by the first run, in about a minute, from MIRROR.
package-test:
	@scripts/need-root.sh $@ 'making namespaces and loading XDP programs needs root'
	@scripts/setup.sh build package package-test
	$(CARGO) build --release --locked -p firewall -p package-tests
	@scripts/package-test.sh $(MIRROR)

demo:
	@scripts/need-root.sh demo 'making network namespaces and loading an XDP program needs root'
	@scripts/setup.sh build
	$(CARGO) build --locked -p firewall --bin firewall -p benches --bin demo
	$${CARGO_TARGET_DIR:-target}/debug/demo

# Tests that need root are marked `#[ignore = "needs root"]`.
test:
	@scripts/setup.sh build test
	@scripts/test.sh

# The kernels are in vm-tests/kernels.toml. KERNEL and SCENARIO take several names, PROFILE one of cargo.
# A kernel that cannot be fetched is skipped if kernels.toml calls it optional, else a failure; with OPTIONAL=1
# all are optional. With RENEW=1 vm-tests/ledger.toml is rewritten. TIMEOUT is in seconds, for each machine.
vm-test: PROFILE ?= release
vm-test:
	@scripts/setup.sh build vm
	$(CARGO) build --profile $(PROFILE) --locked -p firewall -p vm-tests --bins
	$${CARGO_TARGET_DIR:-target}/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/vm-tests \
		--profile $(PROFILE) $(addprefix --kernel ,$(KERNEL)) $(addprefix --scenario ,$(SCENARIO)) \
		$(if $(OPTIONAL),--optional) $(if $(RENEW),--renew) $(if $(TIMEOUT),--timeout $(TIMEOUT))

soak: PACKETS ?= 1000000000
soak: SEED ?= 0
soak:
	@scripts/need-root.sh $@ 'loading an XDP program needs root'
	@scripts/setup.sh build test
	@scripts/soak.sh $(PACKETS) $(SEED)

soak-flows: ROUNDS ?= 50
soak-flows:
	@scripts/need-root.sh $@ 'loading an XDP program needs root'
	@scripts/setup.sh build test
	@scripts/soak-flows.sh $(ROUNDS)

fuzz: SECONDS ?= 60
fuzz:
	@scripts/setup.sh build fuzz
	@scripts/fuzz.sh $(SECONDS)

miri:
	@scripts/setup.sh build miri
	@scripts/miri.sh

# The results of a full run are kept with the source; those of a quick run are not. With STRICT=1 a missed target or a
# refused rule set is a failure.
bench: RESULTS := benches/results
bench-quick: RESULTS := $${CARGO_TARGET_DIR:-target}/bench-quick
bench-quick: QUICK := --quick
bench bench-quick:
	@scripts/need-root.sh $@ 'making network namespaces and loading XDP programs needs root'
	@scripts/setup.sh build bench
	$(CARGO) build --release --locked -p firewall --bin firewall -p benches --bin bench -p plots --bin plots
	status=0; $${CARGO_TARGET_DIR:-target}/release/bench all --out $(RESULTS) $(QUICK) $(if $(STRICT),--strict) || \
		status=$$?; $${CARGO_TARGET_DIR:-target}/release/plots $(RESULTS) && exit $$status

lint:
	@scripts/setup.sh build lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) fetch --locked --target x86_64-unknown-linux-gnu
	$(CARGO) deny --offline --locked check -D warnings licenses bans sources

clean:
	$(CARGO) clean
