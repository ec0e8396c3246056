# make demo | test | bench | lint | fuzz | stacks | pmtu | soak: each sets up what it needs. `make clean` takes it away again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXT_SOURCES := $(shell find ext -name '*.p[yx]*' -o -name '*.h' -o -name '*.pyx')
SECONDS_FUZZ ?= 600
FRAMES ?= 10000000
# Many tests wait for the kernel or for time to pass, so there may be one more than processors; but never many.
TESTERS ?= $(shell n=$$(nproc); [ $$n -lt 4 ] && expr $$n + 1 || echo 4)
SECONDS_SOAK ?= 600

# What a target needs of the system, as command:package or /path:package
NEED_DEMO := ip:iproute2
NEED_TEST := $(NEED_DEMO) ping:iputils-ping curl:curl ethtool:ethtool sysctl:procps \
	iperf3:iperf3 dig:bind9-dnsutils traceroute:traceroute tracepath:iputils-tracepath
NEED_BENCH := $(NEED_TEST) nft:nftables nginx:nginx /usr/lib/nginx/modules/ngx_stream_module.so:libnginx-mod-stream \
	haproxy:haproxy wrk:wrk sockperf:sockperf gcc:gcc setpriv:util-linux \
	ovs-vswitchd:openvswitch-switch
NEED_FUZZ := gcc:gcc clang:clang

.PHONY: help demo test stacks bench lint fuzz pmtu soak build clean
help:
	@echo "make demo    three servers behind a VIP, a request seen from all sides, a server that fails (root)"
	@echo "make test    all tests (root for those with real namespaces and devices)"
	@echo "make stacks  curl, iperf3, dig, traceroute and tracepath through every mode, 1 GiB each way (root, about 20 minutes)"
	@echo "make bench   swlb beside nftables, HAProxy, nginx, Open vSwitch and its own limits (root, about 45 minutes)"
	@echo "make lint    ruff and mypy"
	@echo "make pmtu    transfers between links of 9000 to 1280 bytes in every mode, or MODES=... (root, about 8 minutes)"
	@echo "make soak    traffic, crashes, reloads and floods, and whether the books close after it (root, SECONDS_SOAK=$(SECONDS_SOAK))"
	@echo "make fuzz    spoilt frames, by chance and by libFuzzer, under two sanitizers (SECONDS_FUZZ=$(SECONDS_FUZZ))"

# $(call need,PAIRS): every command is there, installed by apt-get where root may; otherwise a message names the packages
define need
@missing=""; \
for pair in $(1); do \
	what=$${pair%%:*}; \
	case $$what in /*) test -e $$what ;; *) PATH=$$PATH:/usr/sbin:/sbin command -v $$what >/dev/null ;; esac \
		|| missing="$$missing $${pair#*:}"; \
done; \
if [ -n "$$missing" ]; then \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing$$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	else \
		echo "These packages are missing, please install them:$$missing"; exit 1; \
	fi; \
fi
endef

# The virtual environment, with everything that is built or tested with.
$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "swlb needs Python 3.11 or newer")'
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check "setuptools>=65" wheel "Cython>=3.3"
	@touch $@

# The extensions, in place, and the `swlb` command.
$(VENV)/.built: $(VENV)/.ready setup.py $(EXT_SOURCES)
	@echo "compiling the fast path and installing swlb into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[test]'
	@touch $@

# What `make bench` draws with: the extra "bench", without compiling anything again.
BENCH_EXTRA := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"])
$(VENV)/.bench: $(VENV)/.ready
	@$(BIN)/python -c '$(BENCH_EXTRA)' | xargs $(BIN)/pip install --quiet --disable-pip-version-check
	@touch $@

build: $(VENV)/.built

demo: build
	$(call need,$(NEED_DEMO))
	@$(BIN)/swlb lab run routed

test: build
	$(call need,$(NEED_TEST))
	@$(BIN)/python -m pytest -q -n $(TESTERS) --dist loadfile

stacks: build
	$(call need,$(NEED_TEST))
	@PYTHONPATH=tests:. $(BIN)/python -m netns.stacks

bench: build $(VENV)/.bench
	$(call need,$(NEED_BENCH))
	@$(BIN)/swlb bench --json build/bench.json --plot build/bench.png

pmtu: build
	$(call need,$(NEED_TEST))
	@PYTHONPATH=tests $(BIN)/python -m netns.pmtu $(MODES)

lint: build
	@$(BIN)/ruff check .
	@$(BIN)/mypy

# Half of the time frames that are spoilt by chance, by the million; half of it inputs of libFuzzer's.
fuzz: $(VENV)/.built
	$(call need,$(NEED_FUZZ))
	@SWLB_BUILD=asan SWLB_DOORS=testing_fuzz $(BIN)/python setup.py --quiet build_ext --build-lib build/asan/lib --build-temp build/asan/temp
	@SWLB_BUILD=guided $(BIN)/python setup.py --quiet build_ext --build-lib build/guided/lib --build-temp build/guided/temp
	@LD_PRELOAD=$$(gcc -print-file-name=libasan.so) PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
		$(BIN)/python -m tests.fuzz --extensions build/asan/lib --frames $(FRAMES) --seconds $$(($(SECONDS_FUZZ) / 2))
	@LD_PRELOAD=$$(clang --print-runtime-dir)/libclang_rt.asan-$$(uname -m).so PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
		$(BIN)/python -m tests.fuzz.guided --extensions build/guided/lib --seconds $$(($(SECONDS_FUZZ) / 2))

soak: build
	$(call need,$(NEED_TEST))
	@PYTHONPATH=tests $(BIN)/python -m netns.soak $(SECONDS_SOAK)

clean:
	rm -rf build $(VENV) swlb/*.so *.egg-info
