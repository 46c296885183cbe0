# stint: `make help` lists what there is. Sources are found by folder.
VERSION   := 0.1.0
ABI       := 1
DESTDIR   ?=
PREFIX    ?= /usr/local
SAN       ?=
V         ?=
SCDOC     ?= scdoc
ARGS      ?=

comma     := ,
# What install-deps.sh is to bring for another compiler than the usual one.
COMPILER  := $(if $(filter clang,$(notdir $(firstword $(CC)))),clang)
SAN_DIR   := $(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
BUILD     ?= build$(SAN_DIR)
OPT       ?= $(if $(SAN),-O1,-O2)
WARN      := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
             $(if $(CI),-Werror)
CFLAGS    ?= -g
ALL_CFLAGS = -std=gnu17 $(OPT) $(WARN) -fPIC -fvisibility=hidden -pthread -D_GNU_SOURCE \
             -DSTINT_VERSION='"$(VERSION)"' -Ilib/include -I. -I$(BUILD)/gen \
             $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all) \
             $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pthread $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
DAEMON_LIBS = -levent_core -lhiredis -lyaml
CTL_LIBS    = -lhiredis -lyaml -ljansson

obj         = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ    := $(call obj,$(wildcard lib/base/*.c lib/conc/*.c lib/plugin/*.c))
WIRE_OBJ   := $(call obj,$(wildcard lib/wire/*.c))
CLIENT_OBJ := $(call obj,$(wildcard lib/client/*.c))
CONFIG_OBJ := $(call obj,$(wildcard daemon/config/*.c))
CTL_OBJ    := $(call obj,$(wildcard daemon/ctl/*.c))
DAEMON_OBJ := $(call obj,$(filter-out daemon/main.c,$(wildcard daemon/*.c)) \
              $(wildcard daemon/core/*.c daemon/redis/*.c daemon/queue/*.c \
              daemon/handler/*.c daemon/obs/*.c)) $(CONFIG_OBJ)
HOST_OBJ   := $(call obj,$(wildcard daemon/host/*.c) daemon/handler/plugin_load.c \
              daemon/handler/frame.c lib/wire/resp.c)
PLUGINS    := $(BUILD)/plugins/digest.so
TEST_PLUGINS := $(patsubst tests/plugins/%.c,$(BUILD)/tests/plugins/%.so, \
              $(wildcard tests/plugins/*.c))
SCRIPT_DIR ?= lib/wire/scripts
SCRIPTS    := $(filter-out %/common.lua,$(wildcard $(SCRIPT_DIR)/*.lua))
UNIT       := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
MAN        := $(patsubst %.scd,$(BUILD)/man/%,$(notdir $(wildcard lib/man/*.scd \
              packaging/man/*.scd)))
BENCH      := $(patsubst tests/bench/%.c,$(BUILD)/bench-tools/%,$(wildcard tests/bench/*.c))
C_FILES    := $(sort $(wildcard lib/*/*.[ch] lib/include/stint/*.h daemon/*.[ch] \
              daemon/*/*.[ch] tests/unit/*.[ch] tests/bench/*.[ch] tests/torture/*.[ch] \
              tests/sim/*.[ch] tests/install/*.[ch] tests/plugins/*.[ch] config/examples/*.c))
# The simulation has the daemon's logic, with its own Redis, loop, workers and log.
SIM_OBJ    := $(call obj,$(wildcard tests/sim/*.c))
SIM_DAEMON := $(call obj,daemon/handler/confine.c daemon/handler/ending.c daemon/redis/reconnect.c daemon/redis/script.c daemon/redis/unblock.c \
              daemon/redis/words.c) $(filter-out $(call obj,daemon/dev.c \
              daemon/core/loop.c daemon/core/lanes.c daemon/core/workers.c daemon/queue/identity.c \
              $(wildcard daemon/obs/log*.c daemon/redis/*.c daemon/handler/*.c)),$(DAEMON_OBJ))
Q          := $(if $(V),,@)

.PHONY: sim all help demo check lint format bench man install uninstall clean tests bench-build \
        torture torture-tools
all: $(BUILD)/stintd $(BUILD)/stintctl $(BUILD)/stint-host $(BUILD)/libstint.so \
     $(BUILD)/libstint.a $(PLUGINS)

help:
	@echo 'make            stintd, stintctl, stint-host, libstint.so, libstint.a and the'
	@echo '                example plugin in build/'
	@echo 'make demo       see it work: installs what it needs, runs jobs with a private Redis'
	@echo 'make check      all tests, also under sanitizers (installs what it needs);'
	@echo '                CC=clang, ARGS="--stage unit man" for some'
	@echo 'make torture    jobs and faults until it breaks;  ARGS="--seed N --jobs N --faults N"'
	@echo 'make lint       format, layers, clang-tidy;   make format: lay the code out'
	@echo 'make bench      the benchmarks, as ratios;    ARGS="--only drain" for some'
	@echo 'make man        the manual pages (needs scdoc)'
	@echo 'make install    DESTDIR= PREFIX=/usr/local;   make uninstall takes it away again'
	@echo 'make deb        the Debian packages, in build/deb'
	@echo 'make check-systemd  the packages under systemd, in containers (as root)'
	@echo 'make check-debian-13  the usual tests on Debian 13, in a container (as root);'
	@echo '                CC=clang, ARGS="-k pause" for some'
	@echo 'make clean      remove build/'
	@echo 'make SAN=address,undefined | SAN=thread       a sanitizer build in build/san-...'
	@echo 'make V=1        show the commands; CI=1: warnings are errors; CC=clang'

# ---- programs and library ----

# Programs that load plugins have all of libstint inside, and offer it: a plugin must use
# theirs, never a second copy. What is not marked STINT_API is hidden by the compiler.
OFFERED    := -rdynamic -Wl,--whole-archive $(BUILD)/libstint.a -Wl,--no-whole-archive

$(BUILD)/stintd: $(call obj,daemon/main.c) $(DAEMON_OBJ) $(WIRE_OBJ) $(BUILD)/libstint.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter-out %.a,$^) $(OFFERED) $(DAEMON_LIBS)

$(BUILD)/stint-host: $(HOST_OBJ) $(BUILD)/libstint.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter-out %.a,$^) $(OFFERED)

# As their authors would make them, but for the sanitizers.
PLUGIN_CC   = $(CC) -O2 $(WARN) -D_GNU_SOURCE -shared -fPIC -Ilib/include $(if $(SAN),-fsanitize=$(SAN)) $(CFLAGS)
$(BUILD)/plugins/%.so: config/examples/%.c $(wildcard lib/include/stint/*.h) Makefile
	@mkdir -p $(@D)
	$(Q)$(PLUGIN_CC) -std=c11 -o $@ $<
$(BUILD)/tests/plugins/%.so: tests/plugins/%.c tests/plugins/misfit.h \
                             $(wildcard lib/include/stint/*.h) Makefile
	@mkdir -p $(@D)
	$(Q)$(PLUGIN_CC) -std=gnu17 -o $@ $<

$(BUILD)/stintctl: $(CTL_OBJ) $(CLIENT_OBJ) $(CONFIG_OBJ) $(WIRE_OBJ) $(BUILD)/libstint.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CTL_LIBS)

$(BUILD)/libstint.a: $(LIB_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/libstint.so: $(LIB_OBJ)
	$(Q)$(CC) -shared -Wl,-soname,libstint.so.$(ABI) $(ALL_LDFLAGS) -o $@ $^

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The Lua scripts become C string literals, one array per file, each behind common.lua.
$(BUILD)/gen/scripts.inc: $(SCRIPT_DIR)/common.lua $(SCRIPTS)
	@mkdir -p $(@D)
	$(Q)for f in $(SCRIPTS); do \
	  echo "static const char script_$$(basename $$f .lua)[] ="; \
	  cat $< $$f | sed 's/\\/\\\\/g; s/"/\\"/g; s/^/\t"/; s/$$/\\n"/'; echo "	;"; \
	  done > $@.tmp && mv $@.tmp $@
$(call obj,lib/wire/scripts.c): $(BUILD)/gen/scripts.inc

# ---- seeing it work ----

demo:
	@packaging/install-deps.sh build run
	@$(MAKE) --no-print-directory all
	@config/examples/demo.sh $(BUILD)

# ---- tests ----

tests: all $(UNIT) torture-tools $(TEST_PLUGINS)
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(DAEMON_OBJ) $(CLIENT_OBJ) $(WIRE_OBJ) \
                  $(BUILD)/libstint.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) -ljansson -lcmocka
.SECONDARY: $(patsubst tests/unit/%.c,$(BUILD)/obj/tests/unit/%.o,$(wildcard tests/unit/*.c))

torture:
	@packaging/install-deps.sh check
	@$(MAKE) -s --no-print-directory all torture-tools
	@STINT_BUILD='$(BUILD)' /usr/bin/python3 -B tests/torture/torture.py $(ARGS)

# What the jobs run, and the daemons with a deliberate fault that must be found out: they
# differ in their scripts.
MUTANTS := $(patsubst %,$(BUILD)/torture/%/stintd,fence renewal)
torture-tools: $(BUILD)/torture/work $(MUTANTS)
$(BUILD)/torture/work: tests/torture/work.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -O2 $(WARN) -D_GNU_SOURCE $(CFLAGS) -static -o $@ $<
$(MUTANTS): $(BUILD)/torture/%/stintd: $(BUILD)/stintd tests/torture/mutants.py
	$(Q)/usr/bin/python3 -B tests/torture/mutants.py write $* $(@D)/scripts
	$(Q)$(MAKE) --no-print-directory BUILD=$(@D) SCRIPT_DIR=$(@D)/scripts \
	  $(@D)/obj/lib/wire/scripts.o
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(call obj,daemon/main.c) $(DAEMON_OBJ) \
	  $(filter-out %/wire/scripts.o,$(WIRE_OBJ)) $(@D)/obj/lib/wire/scripts.o \
	  $(BUILD)/libstint.a $(DAEMON_LIBS)

sim: $(BUILD)/tests/sim
$(BUILD)/tests/sim: $(SIM_OBJ) $(SIM_DAEMON) $(WIRE_OBJ) $(BUILD)/libstint.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) -llua5.1

check:
	@packaging/install-deps.sh check $(COMPILER)
	@CI=1 /usr/bin/python3 tests/run.py $(ARGS)

lint: export LINT_CFLAGS = $(ALL_CFLAGS)
lint:
	@packaging/install-deps.sh lint
	@$(MAKE) -s --no-print-directory $(BUILD)/gen/scripts.inc $(BUILD)/libstint.so
	@BUILD='$(BUILD)' tests/lint/lint.sh $(C_FILES)

format:
	@packaging/install-deps.sh lint
	@clang-format -i $(C_FILES)

# The benchmark build has a handler `bench` that does nothing, inside the daemon.
bench:
	@packaging/install-deps.sh bench
	@$(MAKE) --no-print-directory BUILD=build/bench CPPFLAGS=-DSTINT_BENCH bench-build
	@STINT_BUILD=build/bench /usr/bin/python3 tests/bench/run.py $(ARGS)

bench-build: all $(BENCH) $(addprefix $(BUILD)/tests/plugins/,echo.so nothing.so)
$(BUILD)/bench-tools/%: tests/bench/%.c tests/bench/bench.h $(BUILD)/libstint.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(BUILD)/libstint.a -pthread -lhiredis

# It runs what workers of the daemon run.
$(BUILD)/bench-tools/warm: tests/bench/warm.c tests/bench/bench.h $(DAEMON_OBJ) $(WIRE_OBJ) \
                           $(BUILD)/libstint.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(DAEMON_OBJ) $(WIRE_OBJ) $(BUILD)/libstint.a -pthread \
	  $(DAEMON_LIBS)

# ---- manual pages ----

man: $(MAN)
vpath %.scd lib/man packaging/man
$(BUILD)/man/%: %.scd Makefile
	@mkdir -p $(@D)
	$(Q)sed 's|@VERSION@|$(VERSION)|' $< | $(SCDOC) > $@.$$$$ && mv $@.$$$$ $@

# ---- installing ----

DEST := $(DESTDIR)$(PREFIX)
PUBLIC_HEADERS := $(wildcard lib/include/stint/*.h)
include packaging/install.mk

install: all
	install -d $(DEST)/bin $(DEST)/sbin $(DESTDIR)$(LIBDIR)/pkgconfig $(DEST)/include/stint \
	  $(DEST)/share/stint/examples $(DEST)/libexec/stint $(DEST)/lib/stint/plugins \
	  $(DESTDIR)/etc/stint
	install -m 755 $(BUILD)/stintd $(DEST)/sbin/stintd
	install -m 755 $(BUILD)/stintctl $(DEST)/bin/stintctl
	install -m 755 $(BUILD)/stint-host $(DEST)/libexec/stint/stint-host
	install -m 644 $(PLUGINS) $(DEST)/lib/stint/plugins
	install -m 755 $(BUILD)/libstint.so $(DESTDIR)$(LIBDIR)/libstint.so.$(ABI)
	ln -sf libstint.so.$(ABI) $(DESTDIR)$(LIBDIR)/libstint.so
	install -m 644 $(BUILD)/libstint.a $(DESTDIR)$(LIBDIR)/libstint.a
	install -m 644 $(PUBLIC_HEADERS) $(DEST)/include/stint
	sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' packaging/stint.pc.in \
	  > $(DESTDIR)$(LIBDIR)/pkgconfig/stint.pc
	install -m 644 $(wildcard config/examples/*.yaml config/examples/*.c) $(DEST)/share/stint/examples
	install -m 644 config/stint.yaml $(DEST)/share/stint/stint.yaml
	install -d $(addprefix $(DEST)/share/stint/sdk/,python node shell)
	install -m 644 lib/sdk/FRAMES.md lib/sdk/conformance.py $(DEST)/share/stint/sdk
	install -m 644 lib/sdk/python/README.md $(DEST)/share/stint/sdk/python
	install -m 644 $(addprefix lib/sdk/node/,stint.js stint.d.ts package.json README.md) \
	  $(DEST)/share/stint/sdk/node
	install -m 644 lib/sdk/shell/README.md $(DEST)/share/stint/sdk/shell
	install -m 755 lib/sdk/shell/word-count.sh $(DEST)/share/stint/sdk/shell
	[ -e $(DESTDIR)/etc/stint/stint.yaml ] || \
	  install -m 640 config/stint.yaml $(DESTDIR)/etc/stint/stint.yaml
	@if command -v $(SCDOC) >/dev/null; then $(MAKE) --no-print-directory man && \
	  packaging/install-man.sh $(DEST)/share/man $(MAN); \
	  else echo '$(SCDOC) is not here: the manual pages are left out'; fi

# The configuration in /etc/stint stays: it is the operator's.
uninstall:
	rm -f $(DEST)/sbin/stintd $(DEST)/bin/stintctl $(DESTDIR)$(LIBDIR)/libstint.so.$(ABI) \
	  $(DESTDIR)$(LIBDIR)/libstint.so $(DESTDIR)$(LIBDIR)/libstint.a $(DESTDIR)$(LIBDIR)/pkgconfig/stint.pc \
	  $(DEST)/libexec/stint/stint-host $(addprefix $(DEST)/lib/stint/plugins/,$(notdir $(PLUGINS)))
	rm -rf $(DEST)/include/stint $(DEST)/share/stint
	rm -f $(addprefix $(DEST)/share/man/man?/,$(notdir $(MAN)) stint_*.3)

clean:
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
