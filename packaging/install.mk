# What makes a service of the programs: units, user, completions; and the packages. Part of
# the Makefile, which has the variables.

# Debian's folders where the prefix is that of its packages; LIBDIR has the machine in it
# there, and is given by the package's rules.
LIBDIR         ?= $(PREFIX)/lib
PYTHON_DIR     ?= $(PREFIX)/$(if $(filter /usr,$(PREFIX)),lib/python3/dist-packages,share/stint/sdk/python)
BASH_DIR       ?= $(PREFIX)/share/bash-completion/completions
ZSH_DIR        ?= $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
SYSTEMD_DIR    ?= $(PREFIX)/lib/systemd/system
SYSUSERS_DIR   ?= $(PREFIX)/lib/sysusers.d
CATALOG_DIR    ?= $(PREFIX)/lib/systemd/catalog
TMPFILES_DIR   ?= $(PREFIX)/lib/tmpfiles.d
# yes: systemd is 253 or newer, which has Type=notify-reload. Older ones take it for a mistake,
# and a service of type "simple".
NOTIFY_RELOAD  ?= $(shell pkg-config --atleast-version=253 systemd 2>/dev/null && echo yes)

UNIT_TYPE      := $(if $(NOTIFY_RELOAD),notify-reload,notify)
UNIT_COMMON     = s|@TYPE@|$(UNIT_TYPE)|; s|@SBINDIR@|$(PREFIX)/sbin|; s|@DATADIR@|$(PREFIX)/share/stint|
UNIT_OF_ONE     = s|@CONFIG@|/etc/stint/stint.yaml|; s|@TITLE@||; s|@UNIT@|stintd.service|; \
                  /@CREDENTIAL@/d
UNIT_OF_MANY    = s|@CONFIG@|/etc/stint/%i.yaml|; s|@TITLE@| %i|; s|@UNIT@|stintd@.service|; \
                  s|@CREDENTIAL@|\# Or, of this instance alone: redis-password-%i.\nLoadCredential=redis-password-%i\n|
UNIT_FILE      := packaging/systemd/stintd.service.in
DROP_INS       := $(wildcard packaging/systemd/drop-in/*.conf)

.PHONY: install-service uninstall-service deb check-systemd check-debian-13
install: install-service
uninstall: uninstall-service

install-service:
	install -d $(addprefix $(DESTDIR),$(SYSTEMD_DIR) $(CATALOG_DIR) $(SYSUSERS_DIR) $(TMPFILES_DIR) \
	  $(BASH_DIR) $(ZSH_DIR) $(PYTHON_DIR) $(PREFIX)/share/stint/systemd)
	sed '$(UNIT_COMMON); $(UNIT_OF_ONE)' $(UNIT_FILE) > $(DESTDIR)$(SYSTEMD_DIR)/stintd.service
	sed '$(UNIT_COMMON); $(UNIT_OF_MANY)' $(UNIT_FILE) > $(DESTDIR)$(SYSTEMD_DIR)/stintd@.service
	install -m 644 $(DROP_INS) $(DEST)/share/stint/systemd
	install -m 644 packaging/systemd/stint.catalog $(DESTDIR)$(CATALOG_DIR)
	install -m 644 packaging/systemd/stint.sysusers $(DESTDIR)$(SYSUSERS_DIR)/stint.conf
	install -m 644 packaging/systemd/stint.tmpfiles $(DESTDIR)$(TMPFILES_DIR)/stint.conf
	install -m 644 packaging/completion/stintctl.bash $(DESTDIR)$(BASH_DIR)/stintctl
	install -m 644 packaging/completion/stintd.bash $(DESTDIR)$(BASH_DIR)/stintd
	install -m 644 packaging/completion/_stintctl packaging/completion/_stintd $(DESTDIR)$(ZSH_DIR)
	install -m 644 lib/sdk/python/stint.py $(DESTDIR)$(PYTHON_DIR)

uninstall-service:
	rm -f $(addprefix $(DESTDIR)$(SYSTEMD_DIR)/,stintd.service stintd@.service) \
	  $(DESTDIR)$(CATALOG_DIR)/stint.catalog $(DESTDIR)$(SYSUSERS_DIR)/stint.conf \
	  $(DESTDIR)$(TMPFILES_DIR)/stint.conf \
	  $(addprefix $(DESTDIR)$(BASH_DIR)/,stintctl stintd) \
	  $(addprefix $(DESTDIR)$(ZSH_DIR)/,_stintctl _stintd) $(DESTDIR)$(PYTHON_DIR)/stint.py

# The packages land in build/deb. Builds nothing in the tree itself, and asks no network.
deb:
	@packaging/install-deps.sh deb
	@packaging/build-deb.sh '$(VERSION)' '$(BUILD)/deb'

# Boots small systems in containers; root only. See tests/systemd.
check-systemd:
	@packaging/install-deps.sh check deb systemd
	@/usr/bin/python3 tests/run.py --stage systemd

# The usual tests without their sanitizers on Debian 13, in a container. With CC=clang by clang.
check-debian-13:
	@packaging/install-deps.sh systemd
	@/usr/bin/python3 tests/run.py --stage debian-13 $(ARGS)
