# stint: `make help` lists what there is. Sources are found by folder.
VERSION   := 0.1.0
ABI       := 0
PREFIX    ?= /usr/local
CC        ?= cc
SAN       ?=
V         ?=

comma     := ,
BUILD     := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
PKGS      := libevent hiredis libyaml-0.1 libsystemd jansson
PKG_CFLAGS = $(shell pkg-config --cflags libevent yaml-0.1 libsystemd jansson)
OPT       ?= $(if $(SAN),-O1,-O2)
WARN      := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
             $(if $(CI),-Werror)
CFLAGS    ?= -g
ALL_CFLAGS = -std=gnu17 $(OPT) $(WARN) -fPIC -fvisibility=hidden -pthread -D_GNU_SOURCE \
             -DSTINT_VERSION='"$(VERSION)"' -Ilib/include -I. -I$(BUILD)/gen \
             $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all) \
             $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pthread $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
DAEMON_LIBS = -levent_core -lhiredis -lyaml -lsystemd
CTL_LIBS    = -lhiredis -lyaml -ljansson

obj        = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ    := $(call obj,$(wildcard lib/base/*.c lib/conc/*.c))
WIRE_OBJ   := $(call obj,$(wildcard lib/wire/*.c))
CLIENT_OBJ := $(call obj,$(wildcard lib/client/*.c))
CONFIG_OBJ := $(call obj,$(wildcard daemon/config/*.c))
CTL_OBJ    := $(call obj,$(wildcard daemon/ctl/*.c))
DAEMON_OBJ := $(call obj,$(filter-out daemon/main.c,$(wildcard daemon/*.c)) \
              $(wildcard daemon/core/*.c daemon/redis/*.c daemon/queue/*.c daemon/handler/*.c \
              daemon/obs/*.c)) $(CONFIG_OBJ)
SCRIPTS    := $(wildcard lib/wire/scripts/*.lua)
UNIT       := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
Q          := $(if $(V),,@)

.PHONY: all help
all: $(BUILD)/stintd $(BUILD)/stintctl $(BUILD)/libstint.so $(BUILD)/libstint.a

$(BUILD)/stintd: $(call obj,daemon/main.c) $(DAEMON_OBJ) $(WIRE_OBJ) $(BUILD)/libstint.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

$(BUILD)/stintctl: $(CTL_OBJ) $(CLIENT_OBJ) $(CONFIG_OBJ) $(WIRE_OBJ) $(BUILD)/libstint.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CTL_LIBS)

$(BUILD)/libstint.a: $(LIB_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/libstint.so: $(LIB_OBJ)
	$(Q)$(CC) -shared -Wl,-soname,libstint.so.$(ABI) $(ALL_LDFLAGS) -o $@ $^

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The Lua scripts become C string literals, one array per file.
$(BUILD)/gen/scripts.inc: $(SCRIPTS)
	@mkdir -p $(@D)
	$(Q)for f in $^; do n=$$(basename $$f .lua); echo "static const char script_$$n[] ="; \
	  sed 's/\\/\\\\/g; s/"/\\"/g; s/^/\t"/; s/$$/\\n"/' $$f; echo "	;"; done > $@.tmp && mv $@.tmp $@
$(call obj,lib/wire/scripts.c): $(BUILD)/gen/scripts.inc

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(DAEMON_OBJ) $(CLIENT_OBJ) $(WIRE_OBJ) $(BUILD)/libstint.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) -ljansson -lcmocka

.PHONY: unit
unit: $(UNIT)
	@set -e; for t in $(UNIT); do $$t; done

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
