# stint: `make help` lists what there is. Sources are found by folder.
VERSION   := 0.1.0
ABI       := 0
DESTDIR   ?=
PREFIX    ?= /usr/local
SAN       ?=
V         ?=
ARGS      ?=

comma     := ,
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
LIB_OBJ    := $(call obj,$(wildcard lib/base/*.c lib/conc/*.c))
WIRE_OBJ   := $(call obj,$(wildcard lib/wire/*.c))
CLIENT_OBJ := $(call obj,$(wildcard lib/client/*.c))
CONFIG_OBJ := $(call obj,$(wildcard daemon/config/*.c))
CTL_OBJ    := $(call obj,$(wildcard daemon/ctl/*.c))
DAEMON_OBJ := $(call obj,$(filter-out daemon/main.c,$(wildcard daemon/*.c)) \
              $(wildcard daemon/core/*.c daemon/redis/*.c daemon/queue/*.c \
              daemon/handler/*.c daemon/obs/*.c)) $(CONFIG_OBJ)
SCRIPTS    := $(wildcard lib/wire/scripts/*.lua)
UNIT       := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
BENCH      := $(patsubst tests/bench/%.c,$(BUILD)/bench-tools/%,$(wildcard tests/bench/*.c))
C_FILES    := $(sort $(wildcard lib/*/*.[ch] lib/include/stint/*.h daemon/*.[ch] \
              daemon/*/*.[ch] tests/unit/*.[ch] tests/bench/*.[ch]))
Q          := $(if $(V),,@)

.PHONY: all help demo check lint format bench install uninstall clean tests bench-build
all: $(BUILD)/stintd $(BUILD)/stintctl $(BUILD)/libstint.so $(BUILD)/libstint.a

help:
	@echo 'make            stintd, stintctl, libstint.so and libstint.a in build/'
	@echo 'make demo       see it work: installs what it needs, runs jobs with a private Redis'
	@echo 'make check      all tests, also under sanitizers (installs what it needs)'
	@echo 'make lint       format, layers, clang-tidy;   make format: lay the code out'
	@echo 'make bench      the benchmarks, as ratios;    ARGS="--only drain" for some'
	@echo 'make install    DESTDIR= PREFIX=/usr/local;   make uninstall takes it away again'
	@echo 'make clean      remove build/'
	@echo 'make SAN=address,undefined | SAN=thread       a sanitizer build in build/san-...'
	@echo 'make V=1        show the commands; CI=1: warnings are errors; CC=clang'

# ---- programs and library ----

$(BUILD)/stintd: $(call obj,daemon/main.c) $(DAEMON_OBJ) $(WIRE_OBJ) $(BUILD)/libstint.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

$(BUILD)/stintctl: $(CTL_OBJ) $(CLIENT_OBJ) $(CONFIG_OBJ) $(WIRE_OBJ) $(BUILD)/libstint.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CTL_LIBS)

$(BUILD)/libstint.a: $(LIB_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/libstint.so: $(LIB_OBJ)
	$(Q)$(CC) -shared -Wl,-soname,libstint.so.$(ABI) $(ALL_LDFLAGS) -o $@ $^

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The Lua scripts become C string literals, one array per file.
$(BUILD)/gen/scripts.inc: $(SCRIPTS)
	@mkdir -p $(@D)
	$(Q)for f in $^; do echo "static const char script_$$(basename $$f .lua)[] ="; \
	  sed 's/\\/\\\\/g; s/"/\\"/g; s/^/\t"/; s/$$/\\n"/' $$f; echo "	;"; \
	  done > $@.tmp && mv $@.tmp $@
$(call obj,lib/wire/scripts.c): $(BUILD)/gen/scripts.inc

# ---- seeing it work ----

demo:
	@packaging/install-deps.sh build run
	@$(MAKE) --no-print-directory all
	@config/examples/demo.sh $(BUILD)

# ---- tests ----

tests: all $(UNIT)
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(DAEMON_OBJ) $(CLIENT_OBJ) $(WIRE_OBJ) \
                  $(BUILD)/libstint.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) -ljansson -lcmocka
.SECONDARY: $(patsubst tests/unit/%.c,$(BUILD)/obj/tests/unit/%.o,$(wildcard tests/unit/*.c))

check:
	@packaging/install-deps.sh check
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

bench-build: all $(BENCH)
$(BUILD)/bench-tools/%: tests/bench/%.c tests/bench/bench.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< -pthread -lhiredis

# ---- installing ----

DEST := $(DESTDIR)$(PREFIX)
PUBLIC_HEADERS := $(wildcard lib/include/stint/*.h)

install: all
	install -d $(DEST)/bin $(DEST)/sbin $(DEST)/lib/pkgconfig $(DEST)/include/stint \
	  $(DEST)/share/stint/examples $(DESTDIR)/etc/stint
	install -m 755 $(BUILD)/stintd $(DEST)/sbin/stintd
	install -m 755 $(BUILD)/stintctl $(DEST)/bin/stintctl
	install -m 755 $(BUILD)/libstint.so $(DEST)/lib/libstint.so.$(ABI)
	ln -sf libstint.so.$(ABI) $(DEST)/lib/libstint.so
	install -m 644 $(BUILD)/libstint.a $(DEST)/lib/libstint.a
	install -m 644 $(PUBLIC_HEADERS) $(DEST)/include/stint
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' packaging/stint.pc.in \
	  > $(DEST)/lib/pkgconfig/stint.pc
	install -m 644 $(wildcard config/examples/*.yaml) $(DEST)/share/stint/examples
	install -m 644 config/stint.yaml $(DEST)/share/stint/stint.yaml
	[ -e $(DESTDIR)/etc/stint/stint.yaml ] || \
	  install -m 640 config/stint.yaml $(DESTDIR)/etc/stint/stint.yaml

# The configuration in /etc/stint stays: it is the operator's.
uninstall:
	rm -f $(DEST)/sbin/stintd $(DEST)/bin/stintctl $(DEST)/lib/libstint.so.$(ABI) \
	  $(DEST)/lib/libstint.so $(DEST)/lib/libstint.a $(DEST)/lib/pkgconfig/stint.pc
	rm -rf $(DEST)/include/stint $(DEST)/share/stint

clean:
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
