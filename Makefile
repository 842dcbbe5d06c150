# sgbridge: one Makefile, explicit lists, no configure. `make help` lists the
# targets. Variables worth setting: CC, SANITIZE=address,undefined, V=1,
# BUILD, PREFIX, DESTDIR.

PREFIX ?= /usr
SYSCONFDIR ?= /etc/sgbridge
LIBEXECDIR ?= $(PREFIX)/libexec/sgbridge
PAMDIR ?= $(shell gcc -print-multiarch 2>/dev/null | \
	sed 's,^\(.\+\)$$,/lib/\1/security,;s,^$$,/lib/security,')
UNITDIR ?= /lib/systemd/system
MANDIR ?= $(PREFIX)/share/man
VERSION := 0.1

SANITIZE ?=
BUILD ?= build$(if $(SANITIZE),-san)
V ?= 0
ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n'
endif

PKG_CONFIG ?= pkg-config
AR ?= ar
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wformat=2 -Wno-unknown-warning-option

# A flag counts only if this compiler takes it.
probe = $(shell echo 'int main(void){return 0;}' | \
	$(CC) -Werror $(1) -x c - -o /dev/null 2>/dev/null && echo '$(1)')
HARDEN := $(if $(SANITIZE),,$(call probe,-D_FORTIFY_SOURCE=3 -O2)) \
	$(call probe,-fstack-protector-strong) \
	$(call probe,-fstack-clash-protection) \
	$(call probe,-fcf-protection) \
	$(call probe,-ftrivial-auto-var-init=zero) \
	-fno-strict-aliasing -fvisibility=hidden
LINK_HARDEN := -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed

SANFLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer \
	-fno-sanitize-recover=undefined)
BASE_CFLAGS = -std=gnu11 $(WARNINGS) $(HARDEN) $(SANFLAGS) $(CFLAGS) \
	-Ibastion -D_GNU_SOURCE -DSYSCONFDIR='"$(SYSCONFDIR)"' \
	-DLIBEXECDIR='"$(LIBEXECDIR)"' -DSGB_VERSION='"$(VERSION)"' \
	-ffile-prefix-map=$(CURDIR)=. -fPIC
BASE_LDFLAGS = $(LINK_HARDEN) $(SANFLAGS) $(LDFLAGS)

CRYPTO_LIBS := -lcrypto
ZSTD_LIBS := $(shell $(PKG_CONFIG) --libs libzstd 2>/dev/null || echo -lzstd)
SSH_LIBS := $(shell $(PKG_CONFIG) --libs libssh 2>/dev/null || echo -lssh)
SECCOMP_LIBS := $(shell $(PKG_CONFIG) --libs libseccomp 2>/dev/null || \
	echo -lseccomp)

.PHONY: all deps demo test lint format fuzz-smoke bench install uninstall \
	clean help unit
all:

# ---------------------------------------------------------------- core
# What two or more parts need. Archives hold only what a program refers to,
# so a program that sends no audit record does not link libaudit.
CORE_OBJS := err.o buf.o addr.o msg.o record.o diag.o event.o file.o secret.o log.o priv.o conf.o sshkey.o kaudit.o
POLICY_OBJS :=
CORE := $(addprefix $(BUILD)/bastion/core/,$(CORE_OBJS) $(POLICY_OBJS))

# ---------------------------------------------------------------- bastion
SGBRIDGED_OBJS := bastion/sgbridged.o
MONITOR_OBJS := bastion/monitor.o
SESSION_OBJS := bastion/session.o
SGBRIDGE_OBJS := bastion/sgbridge.o

# ---------------------------------------------------------------- pam_module
PAM_OBJS := pam_module/pam_sgbridge.o
OTP_OBJS := pam_module/sgbridge-otp.o

# ---------------------------------------------------------------- audit
RECORDER_OBJS := audit/recorder.o
AUDIT_OBJS := audit/sgbridge-audit.o

# program: objects | libraries beyond libc
# A program enters this list in the commit that makes it build.
PROGRAMS :=
sgbridged_OBJS := $(SGBRIDGED_OBJS)
sgbridged_LIBS := $(CRYPTO_LIBS)
sgbridge-monitor_OBJS := $(MONITOR_OBJS)
sgbridge-monitor_LIBS := $(CRYPTO_LIBS) -lpam -laudit
sgbridge-session_OBJS := $(SESSION_OBJS)
sgbridge-session_LIBS := $(CRYPTO_LIBS) $(SSH_LIBS) $(SECCOMP_LIBS)
sgbridge_OBJS := $(SGBRIDGE_OBJS)
sgbridge_LIBS := $(CRYPTO_LIBS)
sgbridge-recorder_OBJS := $(RECORDER_OBJS)
sgbridge-recorder_LIBS := $(CRYPTO_LIBS) $(ZSTD_LIBS) -laudit
sgbridge-audit_OBJS := $(AUDIT_OBJS)
sgbridge-audit_LIBS := $(CRYPTO_LIBS) $(ZSTD_LIBS) -ltsm -lsqlite3 -ljansson \
	$(SECCOMP_LIBS)
sgbridge-otp_OBJS := $(OTP_OBJS)
sgbridge-otp_LIBS := $(CRYPTO_LIBS) -loath -lqrencode -laudit
pam_LIBS := $(CRYPTO_LIBS) -lpam -loath -laudit

MODULES :=
BINARIES := $(addprefix $(BUILD)/,$(PROGRAMS) $(MODULES))
all: $(BUILD)/libsgb.a $(BINARIES)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(BASE_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libsgb.a: $(CORE)
	$(say) AR $@
	$(Q)rm -f $@
	$(Q)$(AR) rcsD $@ $^

define program
$(BUILD)/$(1): $(addprefix $(BUILD)/,$($(1)_OBJS)) $(BUILD)/libsgb.a
	$$(say) LINK $$@
	$$(Q)$$(CC) $$(BASE_LDFLAGS) -pie -o $$@ $$^ $$($(1)_LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

$(BUILD)/pam_sgbridge.so: $(addprefix $(BUILD)/,$(PAM_OBJS)) $(BUILD)/libsgb.a \
		pam_module/pam_sgbridge.map
	$(say) LINK $@
	$(Q)$(CC) $(BASE_LDFLAGS) -shared -o $@ \
		-Wl,--version-script=pam_module/pam_sgbridge.map \
		$(filter %.o %.a,$^) $(pam_LIBS)

# ---------------------------------------------------------------- tests
# A unit test is tests/unit/NAME.c, linked with libsgb.a and what is named
# here; it needs no root and leaves nothing.
UNIT := diag event sshkey kaudit
UNIT_audit_OBJS :=
UNIT_kaudit_LIBS := -laudit -Wl,--wrap=audit_open,--wrap=audit_close \
	-Wl,--wrap=audit_log_user_message
UNIT_event_LIBS := -ljansson

unit: $(addprefix $(BUILD)/tests/unit/,$(UNIT))

define unit_program
$(BUILD)/tests/unit/$(1): $(BUILD)/tests/unit/$(1).o \
		$(addprefix $(BUILD)/,$(UNIT_$(1)_OBJS)) $(BUILD)/libsgb.a
	$$(say) LINK $$@
	$$(Q)$$(CC) $$(BASE_LDFLAGS) -pie -o $$@ $$^ -lcmocka \
		$$(UNIT_$(1)_LIBS) $$(CRYPTO_LIBS)
endef
$(foreach t,$(UNIT),$(eval $(call unit_program,$(t))))

clean:
	rm -rf build build-san

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d)
