# SPDX-License-Identifier: Apache-2.0
# The commands of README.md. The build itself is CMake's; this file only says which part of it to
# run, and installs what that part needs first (`make` and `make install` install no packages).
MAKEFLAGS += --no-print-directory
BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)

cmake_flags = -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTHUMP_WERROR=$(if $(filter true,$(CI)),ON,OFF)
# The tests need libraries that thump does not; they are configured from the first check on.
ifeq ($(wildcard $(BUILD)/CMakeCache.txt),)
tests = OFF
endif

configure = mkdir -p $(BUILD) && \
	{ cmake -S . -B $(BUILD) $(cmake_flags) $(1) >$(BUILD)/configure.log 2>&1 || \
	{ cat $(BUILD)/configure.log; exit 1; }; } && \
	sed -n 's/^-- thump: //p' $(BUILD)/configure.log
build = cmake --build $(BUILD) -j $(JOBS)

.PHONY: all demo check check-long build-tests bench bench-applications charts install format tidy completions clean

all:
	@tools/install-deps --check build
	@$(call configure,$(if $(tests),-DTHUMP_TESTS=$(tests)))
	@$(build) --target thump

demo:
	@tools/install-deps build demo
	@$(MAKE) all
	@tools/demo --build $(BUILD)

# The last lines are ctest's own summary. A test that skips itself fails unless tests/allowed-skips
# lists it with its reason; with CI=true it always does.
check: build-tests
	@tools/run-tests $(BUILD) -j 2 --label-exclude long

check-long: build-tests
	@tools/run-tests $(BUILD) -j 2

build-tests:
	@tools/install-deps build check
	@$(call configure,-DTHUMP_TESTS=ON)
	@$(build)

bench:
	@tools/install-deps build demo
	@$(MAKE) all
	@$(build) --target bench_helpers
	@bench/bench --build $(BUILD) --libraries $(BUILD)/jvm-libraries --json $(BUILD)/bench.json

# What a restore costs by size, threads, mappings and clones, and charts of it for
# docs/performance.md. Takes some minutes, and 6 GB of memory and disk.
charts:
	@tools/install-deps build demo charts
	@$(MAKE) all
	@$(build) --target bench_helpers
	@bench/scaling --build $(BUILD) --json docs/charts/scaling.json
	@bench/charts docs/charts/scaling.json docs/charts

# Takes a minute or two for each service and JDK: all that are installed, or JDKS="/usr/lib/jvm/A
# /usr/lib/jvm/B". PUBLISH=yes puts the table into docs/performance.md.
bench-applications: build-tests
	@tools/install-deps bench
	@$(build) --target bench_helpers --target apps
	@bench/applications --build $(BUILD) --libraries $(BUILD)/jvm-libraries \
		$(if $(JDKS),--jdk $(JDKS)) $(if $(PUBLISH),--publish) --json $(BUILD)/applications.json

install: all
	@$(build) --target parts
	@DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix "$(PREFIX)"

format:
	@tools/install-deps lint
	@git ls-files '*.c' '*.h' | xargs $$(tools/find-clang clang-format) -i

tidy:
	@tools/install-deps build check lint
	@$(call configure,-DTHUMP_TESTS=ON)
	@git ls-files 'src/*.c' 'jvm/*.c' ':!src/resume' | \
		xargs -P $(JOBS) -n 4 $$(tools/find-clang clang-tidy) -p $(BUILD) --quiet

# Writes completions/ anew from the OPTIONS sections of man/; a test says when that is due.
completions:
	@tools/gen-completions

clean:
	@rm -rf $(BUILD)
