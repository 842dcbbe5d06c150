/*
 * The SSH client towards the target, on a descriptor that the monitor
 * connected. The monitor judges the host key (session_verify.c) before
 * anything more is said. The key for the login stays in the monitor: libssh
 * asks for its signature in the agent protocol.
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "session_borrow.h"
#include "session_channel.h"
#include "session_io.h"
#include "session_proof.h"

#define USER_KEY_LIST \
	"ssh-ed25519-cert-v01@openssh.com," \
	"ecdsa-sha2-nistp256-cert-v01@openssh.com," \
	"rsa-sha2-512-cert-v01@openssh.com," \
	"rsa-sha2-256-cert-v01@openssh.com," \
	"ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384," \
	"ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256," \
	"ecdsa-sha2-nistp384-cert-v01@openssh.com," \
	"ecdsa-sha2-nistp521-cert-v01@openssh.com," \
	"sk-ssh-ed25519-cert-v01@openssh.com," \
	"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com," \
	"sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com"
#define KEX_LIST \
	"mlkem768x25519-sha256,sntrup761x25519-sha512," \
	"sntrup761x25519-sha512@openssh.com,curve25519-sha256," \
	"curve25519-sha256@libssh.org,ecdh-sha2-nistp256," \
	"ecdh-sha2-nistp384,ecdh-sha2-nistp521," \
	"diffie-hellman-group16-sha512,diffie-hellman-group14-sha256"
#define CIPHER_LIST \
	"aes128-gcm@openssh.com,aes256-gcm@openssh.com," \
	"chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr"
#define MAC_LIST \
	"hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com," \
	"hmac-sha2-256,hmac-sha2-512"

void target_ask(struct session *s)
{
	struct msg msg;

	msg_init(&msg, MSG_REQ_TARGET);
	link_send(s, &msg);
	s->target_leg.state = LEG_ASKED;
}

static enum sgb_err parse(struct session *s, struct reader *rd)
{
	struct session_target *target = &s->target;
	uint32_t i;

	target->name = reader_cstring(rd, 256);
	target->login = reader_cstring(rd, 256);
	target->address = reader_cstring(rd, 64);
	target->port = reader_u32(rd);
	target->record_bits = reader_u32(rd);
	target->idle = reader_u32(rd);
	for (i = 0; i < TARGET_WAITS; i++)
		target->within[i] = reader_u32(rd);
	target->notice = reader_cstring(rd, 4096);
	target->host_algorithms = reader_cstring(rd, 512);
	if (!borrow_parse(s, rd))
		return SGB_ERR_FORMAT;
	return reader_end(rd);
}

enum sgb_err target_options(struct session *s)
{
	ssh_session ssh = s->target_leg.ssh;
	const struct session_target *target = &s->target;
	const struct {
		enum ssh_options_e option;
		const char *value;
	} options[] = {
		{SSH_OPTIONS_HOST, target->address},
		{SSH_OPTIONS_USER, target->login},
		{SSH_OPTIONS_SSH_DIR, "/"},
		{SSH_OPTIONS_KNOWNHOSTS, "/nonexistent"},
		{SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/nonexistent"},
		{SSH_OPTIONS_KEY_EXCHANGE, KEX_LIST},
		{SSH_OPTIONS_HOSTKEYS, target->host_algorithms},
		{SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES, USER_KEY_LIST},
		{SSH_OPTIONS_CIPHERS_C_S, CIPHER_LIST},
		{SSH_OPTIONS_CIPHERS_S_C, CIPHER_LIST},
		{SSH_OPTIONS_HMAC_C_S, MAC_LIST},
		{SSH_OPTIONS_HMAC_S_C, MAC_LIST},
		{SSH_OPTIONS_COMPRESSION_C_S, "none"},
		{SSH_OPTIONS_COMPRESSION_S_C, "none"},
	};
	unsigned int port = target->port;
	int no = 0;
	size_t i;

	proof_watch_host();
	if (ssh_options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &no) ||
		ssh_options_set(ssh, SSH_OPTIONS_PORT, &port) ||
		ssh_options_set(ssh, SSH_OPTIONS_FD, &s->target_leg.fd))
		return SGB_ERR_CRYPTO;
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (ssh_options_set(ssh, options[i].option, options[i].value))
			return SGB_ERR_CRYPTO;
	return SGB_OK;
}

/* Each phase has a time of its own, inside that of the whole. */
static void wait_now(struct session *s, enum target_wait wait)
{
	s->target.wait = wait;
	s->target.step_deadline = s->now + s->target.within[wait];
}

static enum sgb_err open_leg(struct session *s)
{
	enum sgb_err err;

	s->target_leg.ssh = ssh_new();
	if (!s->target_leg.ssh)
		return SGB_ERR_NOMEM;
	err = target_options(s);
	if (!err)
		err = io_add(s->target_leg.fd);
	if (err)
		return err;
	leg_watch(s, &s->target_leg);
	ssh_set_blocking(s->target_leg.ssh, 0);
	if (ssh_connect(s->target_leg.ssh) == SSH_ERROR ||
		ssh_event_add_session(s->event, s->target_leg.ssh) != SSH_OK)
		return SGB_ERR_CLOSED;
	s->target_leg.state = LEG_HANDSHAKE;
	s->target_leg.heard = s->now;
	s->target.deadline = s->now + s->target.within[TARGET_WAIT_ALL];
	wait_now(s, TARGET_WAIT_BANNER);
	return SGB_OK;
}

enum sgb_err target_granted(struct session *s, struct msg *msg)
{
	enum sgb_err err;
	int stream;

	if (s->target_leg.state != LEG_ASKED)
		return SGB_ERR_PHASE;
	s->busy = true;
	err = parse(s, &msg->reader);
	if (err)
		return err;
	s->target_leg.fd = msg_take_fd(msg, 0);
	stream = msg_take_fd(msg, 1);
	s->target.agent = msg_take_fd(msg, 2);
	if (s->target_leg.fd < 0 || stream < 0 || s->target.agent < 0)
		return SGB_ERR_FORMAT;
	err = record_open(&s->record, stream);
	if (!err)
		err = open_leg(s);
	return err;
}

char *session_with_reference(const struct session *s, const char *text)
{
	char *both = NULL;

	if (asprintf(&both, "%s (reference %s)", text, s->start.conn_id) < 0)
		return NULL;
	return both;
}

/* "connection to web1 failed (reference ID)": the target as the user named
 * it. The caller frees; NULL without memory. */
static char *target_text(
	const struct session *s, const char *before, const char *after)
{
	char *text = NULL, *shown;

	if (asprintf(&text, "%s%s%s", before,
		    s->target.name ? s->target.name : "the target", after) < 0)
		return NULL;
	shown = session_with_reference(s, text);
	free(text);
	return shown;
}

void target_refuse(struct session *s, const char *text)
{
	if (s->target_leg.state == LEG_REFUSED ||
		s->target_leg.state == LEG_GONE)
		return;
	borrow_done(s);
	s->target_leg.state = LEG_REFUSED;
	s->refusal = strdup(text && text[0] ? text : "access refused");
	s->linger_until = s->now + LINGER_MS;
	s->busy = true;
	if (s->record.fd >= 0 && s->refusal)
		record_put_text(
			&s->record, RECORD_CONNECTION, RECORD_NOTE, s->refusal);
}

static void failed(struct session *s, const char *why)
{
	char *text = target_text(s, "connection to ", " failed");

	link_report(s, 0, SESSION_REPORT_TARGET_FAILED, 0, 0, why);
	target_refuse(s, text ? text : "connection to the target failed");
	free(text);
}

void target_failed(struct session *s, const char *public, const char *why)
{
	char *text = session_with_reference(s, public);

	link_report(s, 0, SESSION_REPORT_TARGET_FAILED, 0, 0, why);
	target_refuse(s, text ? text : public);
	free(text);
}

/* Nothing but waiting for its login is between this and a signature. */
void target_verified(struct session *s)
{
	if (ssh_set_agent_socket(s->target_leg.ssh, s->target.agent) !=
		SSH_OK) {
		failed(s, "agent");
		return;
	}
	s->target.agent_used = true;
	s->target_leg.state = s->borrow.count ? LEG_AGENT : LEG_AUTH;
	if (s->borrow.count)
		borrow_begin(s);
	wait_now(s, TARGET_WAIT_AUTH);
}

static bool shake_hands(struct session *s)
{
	int rc = ssh_connect(s->target_leg.ssh);

	if (rc == SSH_AGAIN) {
		if (s->target.wait == TARGET_WAIT_BANNER &&
			ssh_get_serverbanner(s->target_leg.ssh))
			wait_now(s, TARGET_WAIT_KEX);
		return false;
	}
	if (rc != SSH_OK) {
		failed(s, ssh_get_error(s->target_leg.ssh));
		return true;
	}
	if (!verify_begin(s)) {
		failed(s, "the target's host key cannot be read");
		return true;
	}
	s->target_leg.state = LEG_VERIFY;
	wait_now(s, TARGET_WAIT_KEX);
	return true;
}

static void record_banner(struct session *s)
{
	char *banner = ssh_get_issue_banner(s->target_leg.ssh);

	if (banner)
		record_put_text(
			&s->record, RECORD_CONNECTION, RECORD_BANNER, banner);
	ssh_string_free_char(banner);
}

static void record_algorithms(struct session *s)
{
	char *client = leg_algorithms(&s->client);
	char *target = leg_algorithms(&s->target_leg);
	char *both = NULL;

	if (client && target &&
		asprintf(&both, "{\"client\":%s,\"target\":%s}", client,
			target) >= 0) {
		record_put_text(
			&s->record, RECORD_CONNECTION, RECORD_ALGORITHMS, both);
		link_report(s, 0, SESSION_REPORT_TARGET_READY, 0, 0, target);
	}
	free(both);
	free(target);
	free(client);
}

static bool authenticate(struct session *s)
{
	int rc = ssh_userauth_agent(s->target_leg.ssh, NULL);

	if (rc == SSH_AUTH_AGAIN)
		return false;
	if (rc != SSH_AUTH_SUCCESS && borrow_wanted(s))
		return true;
	record_banner(s);
	/* Exactly this value: PARTIAL and INFO are not a login. */
	if (rc != SSH_AUTH_SUCCESS && s->borrow.count) {
		borrow_refused(s);
		return true;
	}
	borrow_done(s);
	if (rc != SSH_AUTH_SUCCESS) {
		failed(s, rc == SSH_AUTH_DENIED
				  ? "the target refused the login"
				  : ssh_get_error(s->target_leg.ssh));
		return true;
	}
	s->target_leg.state = LEG_READY;
	record_algorithms(s);
	return true;
}

static void check_gone(struct session *s)
{
	if (ssh_is_connected(s->target_leg.ssh) &&
		!io_ended(s->target_leg.fd) &&
		!(ssh_get_status(s->target_leg.ssh) &
			(SSH_CLOSED | SSH_CLOSED_ERROR)))
		return;
	if (s->target_leg.state < LEG_READY) {
		failed(s, "the target closed the connection");
		return;
	}
	/* What came before is still delivered (session_settle). */
	s->target_leg.state = LEG_GONE;
	s->target_lost = true;
	s->linger_until = s->now + LINGER_MS;
	s->busy = true;
}

/* Whichever time is over first says what was waited for. */
static void check_deadlines(struct session *s)
{
	static const char *const texts[TARGET_WAITS] = {
		[TARGET_WAIT_BANNER] = "banner",
		[TARGET_WAIT_KEX] = "key exchange",
		[TARGET_WAIT_AUTH] = "authentication",
	};
	const char *what = texts[s->target.wait];
	char *text = NULL, *why = NULL;

	if (s->now <= s->target.step_deadline && s->now <= s->target.deadline)
		return;
	if (asprintf(&why, "the target did not answer in time (%s%s)", what,
		    s->now > s->target.step_deadline ? ""
						     : ", target-timeout") < 0)
		why = NULL;
	if (s->target_leg.state == LEG_AGENT) {
		free(why);
		target_failed(s, "your SSH agent did not answer in time",
			"the user's agent did not answer in time");
		return;
	}
	text = target_text(s, "", " did not answer in time");
	link_report(s, 0, SESSION_REPORT_TARGET_FAILED, 0, 0,
		why ? why : "the target did not answer in time");
	target_refuse(s, text ? text : "the target did not answer in time");
	free(why);
	free(text);
}

/* A host key is judged once, before the login; it may not become another one
 * when keys are exchanged anew. */
static void check_rekey(struct session *s)
{
	char *text;

	if (!s->target_leg.rekeyed)
		return;
	s->target_leg.rekeyed = false;
	if (verify_same(s))
		return;
	link_report(s, 0, SESSION_REPORT_ANOMALY, 0, 0,
		"the target changed its host key");
	text = target_text(s, "the host key of ", " has changed");
	session_end(s, text ? text : "the host key of the target has changed");
	free(text);
}

bool target_pump(struct session *s)
{
	enum leg_state before = s->target_leg.state;

	if (!s->target_leg.ssh || before >= LEG_REFUSED)
		return false;
	if (before == LEG_HANDSHAKE)
		shake_hands(s);
	verify_pump(s);
	if (s->target_leg.state == LEG_AGENT)
		borrow_pump(s);
	if (s->target_leg.state == LEG_AUTH)
		authenticate(s);
	if (s->target_leg.state == LEG_READY)
		check_rekey(s);
	if (s->target_leg.state < LEG_READY)
		check_deadlines(s);
	if (s->target_leg.state < LEG_REFUSED)
		check_gone(s);
	return s->target_leg.state != before;
}

void target_close(struct session *s)
{
	if (s->target_leg.ssh) {
		if (ssh_is_connected(s->target_leg.ssh))
			ssh_disconnect(s->target_leg.ssh);
		io_flush_all();
		io_remove(s->target_leg.fd);
		ssh_free(s->target_leg.ssh);
		s->target_leg.ssh = NULL;
	}
	if (s->target.agent >= 0 && !s->target.agent_used)
		close(s->target.agent);
	verify_done(s);
	borrow_done(s);
	free(s->target.host_algorithms);
	free(s->target.name);
	free(s->target.login);
	free(s->target.address);
	free(s->target.notice);
}
