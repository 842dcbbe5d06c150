# sgbridge: one Makefile, explicit lists, no configure. `make help` lists the
# targets. Variables worth setting: CC, SANITIZE=address,undefined, V=1,
# BUILD, PREFIX, DESTDIR.

# `make deps all` on a bare host: what is below asks the compiler what it can
# and pkg-config where libraries are, so packages come first and another make
# reads it.
FIRST := $(filter deps test-deps,$(MAKECMDGOALS))
REST := $(if $(FIRST),$(filter-out $(FIRST),$(MAKECMDGOALS)))
ifneq ($(REST),)
.PHONY: $(FIRST) rest $(REST)
$(FIRST):
	@$(MAKE) --no-print-directory $@
rest: $(FIRST)
	@$(MAKE) --no-print-directory $(REST)
$(REST): rest
	@:
else

PREFIX ?= /usr
SYSCONFDIR ?= /etc/sgbridge
LIBEXECDIR ?= $(PREFIX)/libexec/sgbridge
SHAREDIR ?= $(PREFIX)/share/sgbridge
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
	-Ibastion -I$(BUILD)/include -D_GNU_SOURCE $(OWN_CFLAGS) \
	-ffile-prefix-map=$(CURDIR)=. -fPIC
BASE_LDFLAGS = $(LINK_HARDEN) $(SANFLAGS) $(LDFLAGS)

CRYPTO_LIBS := -lcrypto
P11_LIBS := $(shell $(PKG_CONFIG) --libs p11-kit-1 2>/dev/null || echo -lp11-kit)
P11_CFLAGS := $(shell $(PKG_CONFIG) --cflags p11-kit-1 2>/dev/null || \
	echo -I/usr/include/p11-kit-1)
ZSTD_LIBS := $(shell $(PKG_CONFIG) --libs libzstd 2>/dev/null || echo -lzstd)
SSH_LIBS := $(shell $(PKG_CONFIG) --libs libssh 2>/dev/null || echo -lssh)
# Intel's, for x86 alone; without it AES-GCM is OpenSSL's.
IPSEC_MB := $(shell echo '\#include <intel-ipsec-mb.h>' | \
	$(CC) -E -x c - >/dev/null 2>&1 && echo -lIPSec_MB)
SECCOMP_LIBS := $(shell $(PKG_CONFIG) --libs libseccomp 2>/dev/null || \
	echo -lseccomp)

# What was built with other flags, or for another place, is built again: else
# a probe that failed once, or another PREFIX, stays in the programs for good.
# Not the folders of the sources and of this build: no object depends on them.
FLAGS := $(strip $(CC) $(shell $(CC) -dumpfullversion -dumpversion 2>&1) \
	$(filter-out -I$(BUILD)/include -ffile-prefix-map=%,$(BASE_CFLAGS)) \
	$(BASE_LDFLAGS) $(CRYPTO_LIBS) $(P11_CFLAGS) $(P11_LIBS) \
	$(ZSTD_LIBS) $(SSH_LIBS) $(SECCOMP_LIBS) $(IPSEC_MB))
define PLACES_TEXT
/* Where this build will be installed; the Makefile writes it. */
#define SYSCONFDIR "$(SYSCONFDIR)"
#define CONF_DEFAULT_PATH SYSCONFDIR "/sgbridge.conf"
#define LIBEXECDIR "$(LIBEXECDIR)"
#define SBINDIR "$(PREFIX)/sbin"
#define BINDIR "$(PREFIX)/bin"
#define SHAREDIR "$(SHAREDIR)"
#define SYSUSERSDIR "/usr/lib/sysusers.d"
#define SGB_VERSION "$(VERSION)"
endef
PLACES_HEADER := $(BUILD)/include/core/places.h

.PHONY: all deps test-deps demo test lint tidy format fuzz-smoke bench bench-large install uninstall \
	clean help unit fuzz lab lab-down test-million test-faults
all:

# ---------------------------------------------------------------- core
# What two or more parts need. Archives hold only what a program refers to,
# so a program that sends no audit record does not link libaudit.
CORE_OBJS := err.o buf.o addr.o msg.o record.o diag.o event.o file.o secret.o log.o priv.o conf.o sshkey.o kaudit.o userlock.o plain.o termsafe.o notify.o forkmem.o program.o
POLICY_OBJS := policy.o policy_sealed.o policy_names.o policy_lex.o policy_source.o \
	policy_zone.o policy_hours.o policy_parse.o policy_value.o \
	policy_parse_names.o policy_parse_group.o policy_parse_rule.o \
	policy_resolve.o policy_resolve_rules.o policy_via.o policy_index.o \
	policy_sg.o policy_compile.o policy_match.o policy_decide.o \
	policy_query.o policy_allow.o policy_reduce.o policy_mark.o
CORE := $(addprefix $(BUILD)/bastion/core/,$(CORE_OBJS) $(POLICY_OBJS))

# ---------------------------------------------------------------- bastion
# What keys and certificates people log on with.
TARGETKEY_OBJS := $(addprefix bastion/,targetkey.o privkey.o)
HOSTKEY_OBJS := $(addprefix bastion/,hostkey.o knownhosts.o)
KEY_OBJS := $(addprefix bastion/,authkeys.o authkeys_options.o usercert.o \
	usercert_sign.o revoked.o krl.o)
SGBRIDGED_OBJS := bastion/sgbridged.o bastion/daemon_load.o \
	bastion/daemon_listen.o bastion/daemon_approval.o bastion/daemon_connections.o \
	bastion/daemon_control.o bastion/daemon_event.o \
	bastion/daemon_nursery.o bastion/daemon_starter.o bastion/daemon_systemd.o \
	bastion/daemon_metrics.o bastion/daemon_requests.o \
	bastion/daemon_proxy.o bastion/proxy_header.o bastion/refusals.o bastion/sources.o \
	bastion/keys_command.o bastion/cert.o bastion/private_key.o bastion/privkey.o $(HOSTKEY_OBJS) $(KEY_OBJS)
MONITOR_OBJS := bastion/monitor_main.o bastion/monitor.o \
	bastion/monitor_requests.o bastion/monitor_judge.o \
	bastion/monitor_name.o bastion/monitor_proof.o bastion/monitor_auth.o bastion/monitor_account.o bastion/monitor_pam.o \
	bastion/monitor_target.o bastion/monitor_connect.o bastion/monitor_jump.o bastion/monitor_hop.o bastion/monitor_forward.o \
	bastion/monitor_hostkey.o bastion/monitor_credential.o bastion/monitor_borrow.o $(TARGETKEY_OBJS) \
	bastion/monitor_gate.o bastion/monitor_approval.o bastion/monitor_list.o bastion/monitor_ask.o bastion/monitor_explain.o bastion/monitor_watch.o \
	bastion/monitor_command.o bastion/monitor_menu.o bastion/monitor_recorder.o \
	bastion/monitor_event.o bastion/monitor_agent.o \
	bastion/monitor_spawn.o bastion/monitor_sign.o bastion/monitor_cradle.o bastion/monitor_key.o bastion/authkeys_command.o bastion/keys_command.o \
	bastion/cert.o bastion/private_key.o bastion/privkey.o bastion/cert_write.o $(KEY_OBJS) $(HOSTKEY_OBJS)
SESSION_OBJS := $(addprefix bastion/session,.o _agent_form.o _auth.o _back.o _borrow.o _channel.o _flow.o _hop.o \
	_cradle.o _gcm.o _gcm_offer.o _hold.o _hostcert.o _verify.o _io.o _link.o _local.o _menu.o _menu_draw.o _menu_keys.o _payload.o _proof.o _pump.o _record.o _request.o _sandbox.o \
	_scp.o _scp_line.o _server.o _sftp.o _sftp_filter.o _sftp_report.o _sign.o _start.o _stream.o _target.o _view.o _wait.o)
SGBRIDGE_OBJS := bastion/sgbridge.o bastion/sgbridge_table.o \
	bastion/sgbridge_text.o bastion/sgbridge_control.o bastion/sgbridge_lock.o bastion/sgbridge_watch.o \
	bastion/sgbridge_explain.o bastion/sgbridge_check.o \
	bastion/sgbridge_forward.o \
	bastion/sgbridge_lint.o bastion/sgbridge_shadow.o \
	bastion/sgbridge_list.o bastion/sgbridge_fmt.o \
	bastion/sgbridge_diff.o bastion/sgbridge_replay.o bastion/sgbridge_places.o \
	bastion/sgbridge_keys.o bastion/sgbridge_trail.o \
	bastion/sgbridge_usage.o bastion/sgbridge_instance.o \
	bastion/instance_script.o bastion/sgbridge_hostkeys.o \
	bastion/sgbridge_run.o bastion/sgbridge_tell.o \
	bastion/sgbridge_words.o bastion/sgbridge_key.o \
	bastion/sgbridge_key_list.o $(TARGETKEY_OBJS) \
	bastion/sgbridge_rotate.o bastion/rotate_place.o bastion/rotate_pair.o \
	bastion/rotate_recorder.o bastion/rotate_master.o \
	bastion/cert.o bastion/private_key.o bastion/privkey.o bastion/cert_write.o $(HOSTKEY_OBJS) $(KEY_OBJS)
TOPOLOGY_READ_OBJS := $(addprefix bastion/topology_,json.o model.o write.o \
	aliyun.o aws.o)
SGBRIDGE_OBJS += bastion/topology.o bastion/topology_reach.o \
	bastion/topology_show.o bastion/topology_check.o \
	bastion/topology_drift.o $(addprefix bastion/topology_,parts.o svg.o nft.o ruleset.o \
	bastion.o apply.o state.o run.o) \
	$(TOPOLOGY_READ_OBJS)
SGBRIDGE_OBJS += $(addprefix bastion/doctor,.o _files.o _host.o _pam.o \
	_sshd.o _targets.o _process.o _instance.o _ssh.o _ruleset.o)

SETUP_OBJS := $(addprefix bastion/setup,.o _main.o _answers.o _check.o \
	_plan.o _content.o _steps.o _action.o _run.o _file.o _child.o \
	_guard.o _unit.o _trial.o _namespace.o)

# ---------------------------------------------------------------- pam_module
OTP_STORE_OBJS := $(addprefix pam_module/,otp_token.o otp_state.o otp_check.o \
	otp_throttle.o otp_store.o otp_login.o)
PAM_OBJS := $(addprefix pam_module/,pam_sgbridge.o login.o login_pass.o \
	login_talk.o login_conn.o login_keys.o login_enrol.o \
	authinfo.o) $(OTP_STORE_OBJS)
OTP_OBJS := $(addprefix pam_module/,sgbridge-otp.o otp_enrol.o otp_admin.o \
	otp_keys.o otp_unseal.o otp_transfer.o otp_import.o otp_uri.o otp_qr.o) \
	$(OTP_STORE_OBJS)

# ---------------------------------------------------------------- audit
SGR_OBJS := $(addprefix audit/,suite.o suite_public.o container.o ratchet.o \
	header.o stanza.o recipients.o \
	squeeze.o journal_form.o scan.o scan_length.o source.o recover.o)
RECORDER_OBJS := $(SGR_OBJS) $(addprefix audit/,writer.o journal.o recorder.o \
	recorder_setup.o recorder_key.o recorder_limits.o recorder_quota.o recorder_keep.o \
	recorder_peer.o recorder_heads.o recorder_sandbox.o confine.o recorder_recover.o \
	recorder_disk.o recorder_session.o \
	recorder_index.o recorder_stray.o recording.o recording_file.o \
	recording_wait.o viewers.o recorder_event.o syncer.o)
FORWARD_OBJS := $(addprefix audit/,sgbridge-forward.o forward_conf.o \
	forward_parent.o forward_child.o forward_source.o forward_files.o \
	forward_place.o forward_line.o forward_syslog.o forward_journald.o \
	forward_link.o forward_tls.o forward_msg.o forward_sandbox.o confine.o \
	forward_status.o forward_metrics.o forward_connect.o journal_form.o \
	suite.o)
AUDIT_OBJS := $(SGR_OBJS) $(addprefix audit/,identity.o identity_token.o \
	identity_command.o journal.o evidence.o decode.o \
	disclosure.o sgbridge-audit.o audit_setup.o audit_print.o audit_view.o store.o \
	select.o utf8.o check_journal.o heads.o cmd_keys.o cmd_ls.o cmd_show.o cmd_verify.o verify.o verify_jobs.o \
	cmd_export.o export_asciicast.o export_items.o \
	export_raw.o emulator.o emulator_child.o emulator_control.o emulator_follow.o emulator_page.o emulator_rows.o \
	emulator_sandbox.o view.o channels.o \
	cmd_text.o cmd_play.o player.o commands.o cmd_commands.o \
	cmd_search.o hits.o cmd_recover.o cmd_viewed.o texts.o cmd_index.o \
	index_db.o index_add.o index_search.o needle.o text_block.o text_reader.o \
	cmd_disclose.o unread.o export_html.o export_player.o \
	writer.o import.o import_asciicast.o cmd_import.o \
	index_list.o index_filter.o cmd_watch.o cmd_expire.o cmd_stats.o \
	baseline.o findings.o findings_usual.o findings_runs.o findings_fact.o \
	findings_facts.o findings_rules.o findings_run.o trail.o audit_tell.o \
	cmd_findings.o kaudit_line.o cmd_collect.o cmd_who.o)

# program: objects | libraries beyond libc
# A program enters this list in the commit that makes it build.
PROGRAMS := sgbridge-starter sgbridge-session sgbridge-recorder sgbridge-audit sgbridged sgbridge-monitor sgbridge-otp sgbridge sgbridge-setup sgbridge-forward
sgbridge-starter_OBJS := bastion/starter.o
sgbridge-starter_LIBS := $(CRYPTO_LIBS)
sgbridged_OBJS := $(SGBRIDGED_OBJS)
sgbridged_LIBS := $(CRYPTO_LIBS)
sgbridge-monitor_OBJS := $(MONITOR_OBJS)
sgbridge-monitor_LIBS := $(CRYPTO_LIBS) -lpam -laudit
sgbridge-session_OBJS := $(SESSION_OBJS)
sgbridge-session_LIBS := $(CRYPTO_LIBS) $(SSH_LIBS) $(SECCOMP_LIBS) $(IPSEC_MB)
sgbridge_OBJS := $(SGBRIDGE_OBJS)
sgbridge_LIBS := $(CRYPTO_LIBS) -ljansson
sgbridge-setup_OBJS := $(SETUP_OBJS)
sgbridge-setup_LIBS := $(CRYPTO_LIBS)
sgbridge-recorder_OBJS := $(RECORDER_OBJS)
sgbridge-recorder_LIBS := $(CRYPTO_LIBS) $(ZSTD_LIBS) -laudit $(SECCOMP_LIBS)
sgbridge-audit_OBJS := $(AUDIT_OBJS)
sgbridge-audit_LIBS := $(CRYPTO_LIBS) $(ZSTD_LIBS) -ltsm -lsqlite3 -ljansson \
	$(SECCOMP_LIBS) $(P11_LIBS)
sgbridge-forward_OBJS := $(FORWARD_OBJS)
sgbridge-forward_LIBS := -lssl $(CRYPTO_LIBS) $(SECCOMP_LIBS)
sgbridge-otp_OBJS := $(OTP_OBJS)
sgbridge-otp_LIBS := $(CRYPTO_LIBS) -loath -lqrencode -laudit
pam_LIBS := $(CRYPTO_LIBS) -lpam -loath -laudit

MODULES := pam_sgbridge.so
BINARIES := $(addprefix $(BUILD)/,$(PROGRAMS) $(MODULES))
all: $(BUILD)/libsgb.a $(BINARIES)

# Not in CFLAGS: nothing is added to what was said on the command line.
$(addprefix $(BUILD)/,bastion/session_gcm.o bastion/session_gcm_offer.o \
	tests/unit/session_gcm.o): private OWN_CFLAGS := \
	$(if $(IPSEC_MB),-DSGB_IPSEC_MB)
$(BUILD)/audit/identity_token.o: private OWN_CFLAGS := $(P11_CFLAGS)

# told FILE, TEXT: FILE says TEXT; what depends on it is made again if not.
define told
ifneq ($$(file <$(1)),$$($(2)))
.PHONY: $(1)
endif
$(1):
	@mkdir -p $$(@D)
	@printf '%s\n' '$$(subst $$(newline),' ',$$(subst ','\'',$$($(2))))' >$$@
endef
define newline


endef
$(eval $(call told,$(BUILD)/flags,FLAGS))
$(eval $(call told,$(PLACES_HEADER),PLACES_TEXT))

$(BUILD)/%.o: %.c $(BUILD)/flags | $(PLACES_HEADER)
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
UNIT := core forkmem program agent targetkey knownhosts hostkey proxy_header userlock termsafe bastion keys usercert diag policy policy_allow policy_via policy_naive policy_reduce policy_errors policy_hours policy_source policy_oom event sshkey kaudit session_flow session_gcm session_scp session_sftp session_sftp_filter otp pam pam_faults pam_calls private_key recorder recorder_limits journal container container_writer channels emulator topology forward forward_trail doctor_host
UNIT_policy_OBJS := tests/unit/policy_room.o
UNIT_policy_via_OBJS := $(UNIT_policy_OBJS)
UNIT_policy_naive_OBJS := $(addprefix tests/unit/policy_naive_,model.o text.o \
	decide.o) $(UNIT_policy_OBJS)
UNIT_policy_hours_OBJS := $(UNIT_policy_OBJS)
UNIT_policy_source_OBJS := tests/unit/files.o
UNIT_core_OBJS := tests/unit/files.o
UNIT_policy_oom_LIBS := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc \
	-Wl,--wrap=reallocarray,--wrap=strdup,--wrap=strndup
UNIT_keys_OBJS := $(KEY_OBJS) tests/unit/files.o tests/unit/keys_blob.o
UNIT_usercert_OBJS := $(UNIT_keys_OBJS) bastion/cert.o \
	bastion/private_key.o bastion/privkey.o
UNIT_agent_OBJS := bastion/session_agent_form.o bastion/usercert_sign.o \
	bastion/privkey.o
UNIT_targetkey_OBJS := bastion/targetkey.o bastion/privkey.o \
	bastion/usercert_sign.o tests/unit/files.o
UNIT_private_key_OBJS := bastion/private_key.o bastion/privkey.o bastion/usercert_sign.o \
	tests/unit/files.o
UNIT_bastion_OBJS := bastion/cert.o bastion/private_key.o bastion/privkey.o bastion/monitor_name.o \
	bastion/refusals.o bastion/sources.o tests/unit/files.o
UNIT_knownhosts_OBJS := bastion/knownhosts.o tests/unit/hostkey_room.o \
	tests/unit/files.o
UNIT_hostkey_OBJS := $(HOSTKEY_OBJS) $(KEY_OBJS) bastion/session_hostcert.o \
	tests/unit/hostkey_room.o tests/unit/files.o
UNIT_proxy_header_OBJS := bastion/proxy_header.o
UNIT_session_flow_OBJS := bastion/session_flow.o bastion/session_record.o
UNIT_session_gcm_OBJS := bastion/session_gcm.o bastion/session_gcm_offer.o
UNIT_session_gcm_LIBS := $(IPSEC_MB)
UNIT_session_scp_OBJS := bastion/session_scp.o bastion/session_scp_line.o \
	bastion/session_sftp_report.o bastion/session_sftp.o
UNIT_session_scp_LIBS := -Wl,--wrap=sftp_escape
UNIT_session_sftp_OBJS := bastion/session_sftp.o bastion/session_sftp_filter.o \
	bastion/session_sftp_report.o tests/unit/sftp_script.o
UNIT_session_sftp_filter_OBJS := $(UNIT_session_sftp_OBJS)
UNIT_otp_OBJS := $(OTP_STORE_OBJS)
UNIT_otp_LIBS := -loath
# -rdynamic: the test's accounts and clock stand in for the module's.
UNIT_pam_OBJS := $(OTP_STORE_OBJS) tests/unit/pam_room.o tests/unit/files.o
UNIT_pam_LIBS := -lpam -loath -rdynamic
UNIT_pam_faults_OBJS := $(UNIT_pam_OBJS)
UNIT_pam_faults_LIBS := $(UNIT_pam_LIBS)
UNIT_pam_calls_OBJS := $(UNIT_pam_OBJS)
# Stand-ins for all of a library would leave it out.
UNIT_pam_calls_LIBS := -Wl,--no-as-needed $(UNIT_pam_LIBS) -laudit
$(addprefix $(BUILD)/tests/unit/,pam pam_faults pam_calls): | \
	$(BUILD)/pam_sgbridge.so
UNIT_kaudit_LIBS := -laudit -Wl,--wrap=audit_open,--wrap=audit_close \
	-Wl,--wrap=audit_log_user_message
UNIT_event_LIBS := -ljansson
FORWARD_PARTS := $(addprefix audit/,forward_conf.o forward_source.o \
	forward_files.o forward_place.o forward_line.o forward_syslog.o \
	forward_journald.o forward_link.o forward_tls.o forward_msg.o \
	journal_form.o suite.o)
UNIT_forward_OBJS := $(FORWARD_PARTS)
UNIT_forward_LIBS := -lssl
UNIT_forward_trail_OBJS := $(addprefix audit/,forward_files.o forward_line.o \
	forward_source.o forward_place.o journal_form.o suite.o journal.o)
UNIT_doctor_host_OBJS := bastion/doctor_host.o
UNIT_doctor_host_LIBS := -Wl,--wrap=socket,--wrap=sendto,--wrap=recv \
	-Wl,--wrap=adjtimex
UNIT_topology_OBJS := $(TOPOLOGY_READ_OBJS)
UNIT_topology_LIBS := -ljansson

unit: $(addprefix $(BUILD)/tests/unit/,$(UNIT))

READER_OBJS := $(SGR_OBJS) $(addprefix audit/,identity.o identity_token.o \
	identity_command.o evidence.o decode.o \
	disclosure.o journal.o)
UNIT_channels_OBJS := audit/channels.o
UNIT_emulator_OBJS := $(addprefix audit/,emulator.o emulator_child.o \
	emulator_control.o emulator_follow.o emulator_page.o emulator_rows.o emulator_sandbox.o utf8.o)
UNIT_emulator_LIBS := -ltsm $(SECCOMP_LIBS)
UNIT_journal_OBJS := audit/journal.o audit/journal_form.o audit/suite.o
UNIT_journal_LIBS := -Wl,--wrap=malloc
UNIT_container_OBJS := $(READER_OBJS) audit/writer.o \
	tests/unit/container_bench.o
UNIT_container_LIBS := $(ZSTD_LIBS) -ljansson $(P11_LIBS)
UNIT_container_writer_OBJS := $(UNIT_container_OBJS)
UNIT_container_writer_LIBS := $(UNIT_container_LIBS)
UNIT_recorder_OBJS := $(READER_OBJS) tests/unit/recorder_bench.o \
	tests/unit/files.o
UNIT_recorder_LIBS := $(ZSTD_LIBS) -ljansson $(P11_LIBS)
UNIT_recorder_limits_OBJS := $(UNIT_recorder_OBJS)
UNIT_recorder_limits_LIBS := $(UNIT_recorder_LIBS)

define unit_program
$(BUILD)/tests/unit/$(1): $(BUILD)/tests/unit/$(1).o \
		$(addprefix $(BUILD)/,$(UNIT_$(1)_OBJS)) $(BUILD)/libsgb.a
	$$(say) LINK $$@
	$$(Q)$$(CC) $$(BASE_LDFLAGS) -pie -o $$@ $$^ -lcmocka \
		$$(UNIT_$(1)_LIBS) $$(CRYPTO_LIBS)
endef
$(foreach t,$(UNIT),$(eval $(call unit_program,$(t))))
$(addprefix $(BUILD)/tests/unit/,recorder recorder_limits): | \
	$(BUILD)/sgbridge-recorder $(BUILD)/tests/fault/slow_sync.so
$(BUILD)/tests/fault/slow_sync.so: tests/fault/slow_sync.c
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) -O2 -fPIC -shared -o $@ $<

# ---------------------------------------------------------------- targets
# What building needs, packages included, and what testing and trying out need
# besides, by the names that Debian 12, 13 and sid have.
BUILD_DEPS := gcc libc6-dev binutils make pkg-config libssh-dev libssl-dev libpam0g-dev \
	$(if $(filter x86_64,$(shell uname -m)),libipsec-mb-dev) \
	liboath-dev libaudit-dev libseccomp-dev libzstd-dev libqrencode-dev \
	libtsm-dev libsqlite3-dev libjansson-dev libp11-kit-dev dpkg-dev
TEST_DEPS := clang libcmocka-dev softhsm2 opensc \
	libclang-rt-dev clang-format clang-tidy openssh-server \
	openssh-client openssh-sftp-server openssl oathtool auditd nftables iproute2 \
	util-linux procps expect tmux less mandoc shellcheck python3 git \
	strace systemd debootstrap lintian rpm rpmlint graphviz \
	zstd xfsprogs e2fsprogs python3-cryptography python3-paramiko rsync putty-tools \
	rsyslog rsyslog-openssl asciinema ttyrec dropbear-bin xauth lftp sshfs ansible-core pamtester sudo jq faketime fish zsh libpam-google-authenticator libpam-oath libpam-pwquality \
	$(EXTRA_DEPS)

deps:
	@tests/deps.sh $(BUILD_DEPS)

# They start services and set up PAM: not for a host that others rely on.
test-deps:
	@tests/deps.sh $(BUILD_DEPS) $(TEST_DEPS)

.PHONY: print-deps print-build-deps print-programs test-distros
print-deps:
	@echo $(BUILD_DEPS) $(TEST_DEPS)
print-programs:
	@echo $(PROGRAMS) $(MODULES)
print-build-deps:
	@echo $(BUILD_DEPS)

# Debian 13 and sid in roots of their own; half an hour.
test-distros: test-deps
	@BUILD=$(BUILD) tests/distros.sh

# Both work on a bare Debian machine, as root.
demo: test-deps
	@$(MAKE) --no-print-directory all
	@tests/demo.sh $(BUILD)

test: test-deps
	@$(MAKE) --no-print-directory all unit
	@tests/run.sh $(BUILD)

# The topology of the tests as network namespaces, left up for playing.
lab: test-deps
	@$(MAKE) --no-print-directory all
	@tests/lab.sh up $(BUILD)

lab-down:
	@tests/lab.sh down $(BUILD)

# Fast and naive decision compared on a million policies; a quarter of an
# hour, so not in `make test`, which takes 500.
test-million: $(BUILD)/tests/unit/policy_naive
	SGB_NAIVE_REQUESTS=1000000 SGB_NAIVE_EACH=1 \
		SGB_NAIVE_SEED=$$(date +%s) $(BUILD)/tests/unit/policy_naive

# Programs killed and disks cut at hundreds of random instants; half an hour,
# so not in `make test`, which takes a dozen. SGB_SEED= chooses others.
SGB_KILLS ?= 300
SGB_CUTS ?= 100
test-faults: test-deps
	@$(MAKE) --no-print-directory all
	@status=0; \
	for part in recorder_kill session_kill power_cut; do \
		echo "$$part:"; \
		SGB_KILLS=$(SGB_KILLS) SGB_CUTS=$(SGB_CUTS) \
			tests/fault/$$part.sh $(BUILD) || status=1; \
	done; \
	exit $$status

$(BUILD)/tests/bench/policy: $(BUILD)/tests/bench/policy.o $(BUILD)/libsgb.a
	$(say) LINK $@
	$(Q)$(CC) $(BASE_LDFLAGS) -pie -o $@ $^ $(CRYPTO_LIBS)

$(BUILD)/tests/bench/index: $(BUILD)/tests/bench/index.o \
		$(addprefix $(BUILD)/,$(filter-out audit/sgbridge-audit.o,$(AUDIT_OBJS))) \
		$(BUILD)/libsgb.a
	$(say) LINK $@
	$(Q)$(CC) $(BASE_LDFLAGS) -pie -o $@ $^ $(sgbridge-audit_LIBS)

$(BUILD)/tests/bench/store: $(BUILD)/tests/bench/store.o \
		$(addprefix $(BUILD)/,$(READER_OBJS) audit/writer.o) \
		$(BUILD)/libsgb.a
	$(say) LINK $@
	$(Q)$(CC) $(BASE_LDFLAGS) -pie -o $@ $^ $(ZSTD_LIBS) $(P11_LIBS) -ljansson \
		$(CRYPTO_LIBS)

$(BUILD)/tests/bench/load: $(BUILD)/tests/bench/load.o
	$(say) LINK $@
	$(Q)$(CC) $(BASE_LDFLAGS) -pie -o $@ $^ $(SSH_LIBS) -lpthread

$(BUILD)/tests/bench/plain: $(BUILD)/tests/bench/plain.o
	$(say) LINK $@
	$(Q)$(CC) $(BASE_LDFLAGS) -pie -o $@ $^ $(SSH_LIBS)

# Points at any bastion: build/tests/bench/load --help
bench: test-deps
	@$(MAKE) --no-print-directory all $(BUILD)/tests/bench/policy \
		$(BUILD)/tests/bench/store $(BUILD)/tests/bench/index \
		$(BUILD)/tests/bench/load $(BUILD)/tests/bench/plain
	@$(BUILD)/tests/bench/policy
	@tests/bench/bench.sh $(BUILD)
	@tests/bench/pam.sh $(BUILD)
	@tests/bench/audit.sh $(BUILD)

# A million recordings, 10 GiB of screen text: some 30 GiB of disk, an hour.
bench-large: test-deps
	@$(MAKE) --no-print-directory all $(BUILD)/tests/bench/store \
		$(BUILD)/tests/bench/index
	@COUNT=1000000 TEXT=10240 tests/bench/audit.sh $(BUILD)

C_FILES = $(shell git ls-files '*.c' '*.h')
format:
	clang-format -i $(C_FILES)

lint:
	@tests/check/lint.sh

# What clang-tidy thinks; some of it is mistaken, so a person judges.
tidy:
	-clang-tidy --quiet $(filter bastion/% pam_module/% audit/%,\
		$(filter %.c,$(C_FILES))) -- $(filter -std% -I% -D%,$(BASE_CFLAGS))

# A fuzzer is tests/fuzz/NAME.c, libFuzzer, linked with libsgb.a and what is
# named here; its corpus is made by its own first run or a sibling script.
FUZZ := conf agent privkey hostkey proxy_header authkeys usercert session_scp session_sftp sshkey authinfo otp container import journal policy topology findings forward session_ssh \
	text_block
FUZZ_topology_OBJS := $(TOPOLOGY_READ_OBJS)
FUZZ_topology_LIBS := -ljansson
FUZZ_session_scp_OBJS := bastion/session_scp.o bastion/session_scp_line.o \
	bastion/session_sftp_report.o bastion/session_sftp.o
FUZZ_session_sftp_OBJS := bastion/session_sftp.o bastion/session_sftp_filter.o \
	bastion/session_sftp_report.o
FUZZ_agent_OBJS := bastion/session_agent_form.o bastion/usercert_sign.o
FUZZ_privkey_OBJS := bastion/privkey.o
FUZZ_hostkey_OBJS := bastion/knownhosts.o bastion/session_hostcert.o
FUZZ_proxy_header_OBJS := bastion/proxy_header.o
FUZZ_usercert_OBJS := $(KEY_OBJS)
FUZZ_authkeys_OBJS := $(KEY_OBJS) bastion/monitor_name.o
FUZZ_authinfo_OBJS := pam_module/authinfo.o
FUZZ_otp_OBJS := $(OTP_STORE_OBJS) pam_module/otp_import.o pam_module/otp_uri.o
FUZZ_otp_LIBS := -loath
FUZZ_import_OBJS := audit/import.o audit/import_asciicast.o
FUZZ_import_LIBS := -ljansson
FUZZ_container_OBJS := $(READER_OBJS) audit/writer.o
FUZZ_container_LIBS := $(ZSTD_LIBS) -ljansson $(P11_LIBS)
FUZZ_forward_OBJS := $(addprefix audit/,forward_source.o forward_place.o \
	forward_line.o forward_syslog.o forward_journald.o journal_form.o suite.o)
FUZZ_text_block_OBJS := $(addprefix audit/,text_block.o text_reader.o needle.o \
	container.o suite.o)
FUZZ_text_block_LIBS := $(ZSTD_LIBS)
FUZZ_journal_OBJS := audit/journal_form.o audit/suite.o audit/utf8.o
FUZZ_findings_OBJS := $(addprefix audit/,baseline.o findings.o findings_usual.o \
	findings_runs.o findings_fact.o findings_facts.o kaudit_line.o suite.o)
FUZZ_findings_LIBS := -ljansson -lsqlite3
# The program's own loop is in it; libssh, as the session process uses it.
FUZZ_session_ssh_OBJS := tests/fuzz/wire.o bastion/privkey.o \
	$(filter-out bastion/session.o,$(SESSION_OBJS))
FUZZ_session_ssh_LIBS := -Wl,--wrap=link_ask $(sgbridge-session_LIBS)
FUZZ_SECONDS ?= 5
FUZZ_BUILD := build-fuzz
fuzz: $(addprefix $(FUZZ_BUILD)/tests/fuzz/,$(FUZZ))
fuzz-smoke:
	@$(MAKE) --no-print-directory CC=clang BUILD=$(FUZZ_BUILD) \
		SANITIZE=address,undefined,fuzzer-no-link fuzz
	@tests/fuzz/smoke.sh $(FUZZ_BUILD) $(FUZZ_SECONDS) $(FUZZ)

define fuzz_program
$(FUZZ_BUILD)/tests/fuzz/$(1): $(BUILD)/tests/fuzz/$(1).o \
		$(addprefix $(BUILD)/,$(FUZZ_$(1)_OBJS)) $(BUILD)/libsgb.a
	$$(say) LINK $$@
	$$(Q)$$(CC) $$(BASE_LDFLAGS) -fsanitize=fuzzer -o $$@ $$^ \
		$$(FUZZ_$(1)_LIBS) $$(CRYPTO_LIBS)
endef
$(foreach t,$(FUZZ),$(eval $(call fuzz_program,$(t))))

MAN_PAGES = $(wildcard docs/man/*.[1-8])
UNITS = $(notdir $(wildcard conf/systemd/*.service conf/systemd/*.socket \
	conf/systemd/*.timer))
EXAMPLES = $(patsubst conf/%,%,$(wildcard conf/sgbridge.conf \
	conf/policy.conf conf/nftables.conf conf/sgbridge-audit.rules \
	conf/pam.d/* conf/sshd_config.d/*))
# What sgbridge-setup writes: documentation may be left out of an image.
SHARED = $(patsubst conf/%,%,$(wildcard conf/sgbridge.conf \
	conf/nftables.conf conf/pam.d/* conf/sshd_config.d/*))
# With the folders that they name each other by.
DOCUMENTS = README.md SECURITY.md CHANGELOG.md $(wildcard docs/*.md docs/*.dot)
COMPLETIONS := sgbridge sgbridge-otp sgbridge-audit sgbridge-forward
ZSHDIR ?= $(PREFIX)/share/zsh/vendor-completions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
DOCDIR ?= $(PREFIX)/share/doc/sgbridge
# What ships names the usual places; another PREFIX is written into it.
PLACES = sed -e 's,/usr/libexec/sgbridge,$(LIBEXECDIR),g' \
	-e 's,/usr/sbin/sg,$(PREFIX)/sbin/sg,g' \
	-e 's,/usr/bin/sg,$(PREFIX)/bin/sg,g' \
	-e 's,/etc/sgbridge,$(SYSCONFDIR),g'
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin \
		$(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(PAMDIR) \
		$(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR) \
		$(DESTDIR)/usr/lib/sysusers.d $(DESTDIR)/usr/lib/tmpfiles.d
	install -m 0755 $(BUILD)/sgbridged $(BUILD)/sgbridge \
		$(BUILD)/sgbridge-otp $(BUILD)/sgbridge-forward \
		$(DESTDIR)$(PREFIX)/sbin/
	install -m 0755 $(BUILD)/sgbridge-audit $(DESTDIR)$(PREFIX)/bin/
	install -m 0755 $(BUILD)/sgbridge-monitor $(BUILD)/sgbridge-session \
		$(BUILD)/sgbridge-starter $(BUILD)/sgbridge-recorder $(BUILD)/sgbridge-setup \
		$(DESTDIR)$(LIBEXECDIR)/
	install -m 0644 $(BUILD)/pam_sgbridge.so $(DESTDIR)$(PAMDIR)/
	for page in $(MAN_PAGES); do \
		install -D -m 0644 $$page \
		$(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/} || exit 1; \
	done
	set -e; umask 022; for unit in $(UNITS); do $(PLACES) \
		conf/systemd/$$unit >$(DESTDIR)$(UNITDIR)/$$unit; done; \
	$(PLACES) conf/sysusers.conf \
		>$(DESTDIR)/usr/lib/sysusers.d/sgbridge.conf; \
	$(PLACES) conf/tmpfiles.conf \
		>$(DESTDIR)/usr/lib/tmpfiles.d/sgbridge.conf
	for file in $(EXAMPLES); do install -D -m 0644 conf/$$file \
		$(DESTDIR)$(DOCDIR)/examples/$$file || exit 1; done
	for file in $(DOCUMENTS); do install -D -m 0644 $$file \
		$(DESTDIR)$(DOCDIR)/$$file || exit 1; done
	set -e; umask 022; for file in $(SHARED); do \
		install -d $(DESTDIR)$(SHAREDIR)/$$(dirname $$file); \
		$(PLACES) conf/$$file >$(DESTDIR)$(SHAREDIR)/$$file; done
	for file in $(wildcard $(BUILD)/player/asciinema-player.*); do \
		install -D -m 0644 $$file $(DESTDIR)$(SHAREDIR)/player/$${file##*/} \
		|| exit 1; done
	for file in $(COMPLETIONS); do install -D -m 0644 \
		conf/completion/sgbridge.bash \
		$(DESTDIR)$(COMPLETIONDIR)/$$file || exit 1; \
		install -D -m 0644 conf/completion/sgbridge.fish \
		$(DESTDIR)$(FISHDIR)/$$file.fish || exit 1; done
	install -D -m 0644 conf/completion/sgbridge.zsh \
		$(DESTDIR)$(ZSHDIR)/_sgbridge

# Settings, keys, state and recordings are nobody's to delete unasked; files
# go by name, folders only if they are ours and empty.
uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/sbin/,sgbridged sgbridge \
		sgbridge-otp sgbridge-forward) \
		$(DESTDIR)$(PREFIX)/bin/sgbridge-audit \
		$(DESTDIR)$(PAMDIR)/pam_sgbridge.so \
		$(addprefix $(DESTDIR)$(LIBEXECDIR)/,sgbridge-monitor \
		sgbridge-session sgbridge-starter sgbridge-recorder \
		sgbridge-setup) \
		$(addprefix $(DESTDIR)$(SHAREDIR)/,$(SHARED)) \
		$(addprefix $(DESTDIR)$(SHAREDIR)/player/asciinema-player.,\
		min.js css apache2) \
		$(addprefix $(DESTDIR)$(UNITDIR)/,$(UNITS)) \
		$(addprefix $(DESTDIR)$(DOCDIR)/examples/,$(EXAMPLES)) \
		$(addprefix $(DESTDIR)$(DOCDIR)/,$(DOCUMENTS)) \
		$(addprefix $(DESTDIR)$(COMPLETIONDIR)/,$(COMPLETIONS)) \
		$(addprefix $(DESTDIR)$(FISHDIR)/,$(addsuffix .fish,$(COMPLETIONS))) \
		$(DESTDIR)$(ZSHDIR)/_sgbridge \
		$(DESTDIR)/usr/lib/sysusers.d/sgbridge.conf \
		$(DESTDIR)/usr/lib/tmpfiles.d/sgbridge.conf
	for page in $(MAN_PAGES); do \
		rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; done
	rmdir $(DESTDIR)$(SHAREDIR)/* $(DESTDIR)$(SHAREDIR) \
		$(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(DOCDIR)/examples/* \
		$(DESTDIR)$(DOCDIR)/examples $(DESTDIR)$(DOCDIR)/docs \
		$(DESTDIR)$(DOCDIR) 2>/dev/null || true

# Three Debian packages in $(BUILD)/deb, the same bytes each time, whatever a
# network says: the player is in them if "make player" was run before.
.PHONY: deb player
deb: all
	@conf/debian/build.sh $(BUILD) $(VERSION)

# The same as RPMs, in $(BUILD)/rpm.
.PHONY: rpm sbom pictures
rpm: all
	@conf/rpm/build.sh $(BUILD) $(VERSION)

# What the programs are made of, CycloneDX.
sbom: all
	@conf/sbom.py $(BUILD) $(VERSION) >$(BUILD)/sgbridge.cdx.json.new
	@mv $(BUILD)/sgbridge.cdx.json.new $(BUILD)/sgbridge.cdx.json
	@echo $(BUILD)/sgbridge.cdx.json

# docs/*.dot and the topology of the example policy as SVG.
pictures: all
	@mkdir -p $(BUILD)/pictures
	@set -e; for dot in docs/*.dot; do name=$${dot##*/}; \
		dot -Tsvg $$dot -o $(BUILD)/pictures/$${name%.dot}.svg; done
	@$(BUILD)/sgbridge topology show --svg --policy conf/policy.conf \
		>$(BUILD)/pictures/topology.svg
	@ls $(BUILD)/pictures/*.svg

# For the pages of "sgbridge-audit export -f html": from npm, held against its
# hash; install, deb, rpm and sbom take it along, and nothing else needs it.
player:
	@conf/player/fetch.sh $(BUILD)/player

clean:
	rm -rf build build-san build-fuzz build-clang

help:
	@echo 'make demo        a throw-away bastion, a recorded login, refusals'
	@echo 'make test        everything that is promised, tested'
	@echo 'make lab         hosts and rulesets to play with; make lab-down'
	@echo 'make deps        install what building needs'
	@echo 'make all         build into $(BUILD)/'
	@echo 'make bench       ratios against ssh, ssh -J and ForceCommand'
	@echo 'make bench-large a million recordings, 10 GiB of screen text'
	@echo 'make deb          Debian packages in $(BUILD)/deb/'
	@echo 'make player      the player of exported pages, from npm'
	@echo 'make rpm          RPM packages in $(BUILD)/rpm/'
	@echo 'make sbom         what the programs are made of, CycloneDX'
	@echo 'make pictures     processes and topology as SVG'
	@echo 'make test-distros builds and tests on Debian 13 and sid'
	@echo 'make test-faults 300 kills and 100 power cuts at random instants'
	@echo 'make test-deps   install what testing needs; it starts services'
	@echo 'make lint format fuzz-smoke install uninstall clean'
	@echo 'Variables: SANITIZE=address,undefined CC=clang V=1 BUILD='
	@echo '           PREFIX DESTDIR SYSCONFDIR LIBEXECDIR PAMDIR UNITDIR'

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d)

endif # REST
