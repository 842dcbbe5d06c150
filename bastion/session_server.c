/*
 * The SSH server towards the client: handshake, and the messages of libssh
 * sorted to those who answer them. Trusts nothing from the client; decides
 * nothing.
 */
#include "session.h"
#include "session_sign.h"
#include "session_proof.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "session_channel.h"
#include "session_io.h"

/* Names that a version of libssh does not know are dropped by it. */
#define KEX_LIST \
	"mlkem768x25519-sha256,sntrup761x25519-sha512," \
	"sntrup761x25519-sha512@openssh.com,curve25519-sha256," \
	"curve25519-sha256@libssh.org,ecdh-sha2-nistp256," \
	"ecdh-sha2-nistp384,ecdh-sha2-nistp521"
#define CIPHER_LIST \
	"aes128-gcm@openssh.com,aes256-gcm@openssh.com," \
	"chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr"
#define MAC_LIST "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com"
/* Of signatures: libssh compares with what the signature says it is, not with
 * the kind of key. SHA-1 is not among them. */
#define USER_KEY_LIST \
	"ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256," \
	"ecdsa-sha2-nistp384,ecdsa-sha2-nistp521," \
	"sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256"

/* What may arrive before a login is complete: an honest one needs some 10
 * KiB, and with each key that is offered a little more. */
#define PREAUTH_BYTES_MAX (1024 * 1024)
#define REQUESTS_A_SECOND 2000
#define SERVICES_MAX	  16

static enum sgb_err set_options(ssh_session ssh)
{
	static const struct {
		enum ssh_options_e option;
		const char *value;
	} options[] = {
		{SSH_OPTIONS_KEY_EXCHANGE, KEX_LIST},
		{SSH_OPTIONS_CIPHERS_C_S, CIPHER_LIST},
		{SSH_OPTIONS_CIPHERS_S_C, CIPHER_LIST},
		{SSH_OPTIONS_HMAC_C_S, MAC_LIST},
		{SSH_OPTIONS_HMAC_S_C, MAC_LIST},
		{SSH_OPTIONS_COMPRESSION_C_S, "none"},
		{SSH_OPTIONS_COMPRESSION_S_C, "none"},
	};
	int no = 0;
	size_t i;

	if (ssh_options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &no))
		return SGB_ERR_CRYPTO;
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (ssh_options_set(ssh, options[i].option, options[i].value))
			return SGB_ERR_CRYPTO;
	return SGB_OK;
}

static enum sgb_err set_bind(struct session *s)
{
	bool no = false;
	size_t i;

	if (ssh_bind_options_set(
		    s->bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) ||
		ssh_bind_options_set(s->bind,
			SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES,
			USER_KEY_LIST))
		return SGB_ERR_CRYPTO;
	for (i = 0; i < s->start.key_count; i++) {
		/* libssh owns it from here on */
		if (ssh_bind_options_set(s->bind, SSH_BIND_OPTIONS_IMPORT_KEY,
			    s->start.keys[i].key))
			return SGB_ERR_CRYPTO;
		s->start.keys[i].key = NULL;
	}
	return SGB_OK;
}

enum sgb_err server_open(struct session *s)
{
	enum sgb_err err = SGB_ERR_NOMEM;

	proof_watch(s->start.mode == SESSION_MODE_DOOR);
	proof_sign_with(sign_request, s);
	s->bind = ssh_bind_new();
	s->client.ssh = ssh_new();
	s->event = ssh_event_new();
	if (!s->bind || !s->client.ssh || !s->event)
		return err;
	err = set_bind(s);
	if (!err)
		err = set_options(s->client.ssh);
	if (!err)
		err = io_add(SESSION_CLIENT_FD);
	if (err)
		return err;
	s->client.fd = SESSION_CLIENT_FD;
	if (ssh_bind_accept_fd(s->bind, s->client.ssh, SESSION_CLIENT_FD) !=
		SSH_OK)
		return SGB_ERR_CRYPTO;
	leg_watch(s, &s->client);
	ssh_set_blocking(s->client.ssh, 0);
	ssh_set_auth_methods(s->client.ssh, SSH_AUTH_METHOD_PUBLICKEY);
	s->client.state = LEG_HANDSHAKE;
	/* The first call registers the socket with a poll context, which the
	 * event then takes over. */
	if (ssh_handle_key_exchange(s->client.ssh) == SSH_ERROR ||
		ssh_event_add_session(s->event, s->client.ssh) != SSH_OK)
		return SGB_ERR_CLOSED;
	return SGB_OK;
}

/*
 * libssh calls this at 0.6 when the peer's KEXINIT has come and at 1 when the
 * new keys are in use, also later in a connection (0.10 to 0.12). An exchange
 * that the peer begins and never ends would let it make us keep every byte.
 */
static void exchanging(void *arg, float status)
{
	struct leg *leg = arg;

	if (status >= 1.0f) {
		leg->rekeyed |= leg->rekey_since != 0;
		leg->rekey_since = 0;
	} else if (leg->state >= LEG_AUTH && !leg->rekey_since)
		leg->rekey_since = *leg->now;
}

void leg_watch(struct session *s, struct leg *leg)
{
	leg->now = &s->now;
	leg->callbacks.userdata = leg;
	leg->callbacks.connect_status_function = exchanging;
	ssh_callbacks_init(&leg->callbacks);
	ssh_set_callbacks(leg->ssh, &leg->callbacks);
}

static void put_json(struct buf *out, const char *name, const char *value)
{
	const char *c;

	buf_printf(out, "%s\"%s\":\"", out->len > 1 ? "," : "", name);
	for (c = value ? value : ""; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_put_u8(out, '\\');
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			buf_printf(out, "\\u%04x", (unsigned char)*c);
		else
			buf_put_u8(out, (uint8_t)*c);
	}
	buf_put_u8(out, '"');
}

char *leg_algorithms(const struct leg *leg)
{
	struct buf out;
	char *text = NULL;

	buf_init(&out, 4096);
	buf_put_u8(&out, '{');
	put_json(&out, "kex", ssh_get_kex_algo(leg->ssh));
	put_json(&out, "cipher_in", ssh_get_cipher_in(leg->ssh));
	put_json(&out, "cipher_out", ssh_get_cipher_out(leg->ssh));
	put_json(&out, "mac_in", ssh_get_hmac_in(leg->ssh));
	put_json(&out, "mac_out", ssh_get_hmac_out(leg->ssh));
	buf_put_u8(&out, '}');
	buf_put_u8(&out, 0);
	if (!buf_error(&out))
		text = strdup((char *)out.data);
	buf_done(&out);
	return text;
}

static void report_client(struct session *s)
{
	const char *banner = ssh_get_clientbanner(s->client.ssh);
	char *algorithms = leg_algorithms(&s->client);
	struct msg msg;

	msg_init(&msg, MSG_REQ_CLIENT);
	buf_put_cstring(&msg.body, banner ? banner : "");
	buf_put_cstring(&msg.body, algorithms ? algorithms : "{}");
	link_send(s, &msg);
	free(algorithms);
}

static bool shake_hands(struct session *s)
{
	int rc = ssh_handle_key_exchange(s->client.ssh);

	if (rc == SSH_AGAIN)
		return false;
	if (rc != SSH_OK) {
		session_end(s, NULL);
		return true;
	}
	s->client.state = LEG_AUTH;
	report_client(s);
	return true;
}

static void send_banner(struct session *s)
{
	ssh_string text;

	if (!s->start.banner[0])
		return;
	text = ssh_string_from_char(s->start.banner);
	if (text)
		ssh_send_issue_banner(s->client.ssh, text);
	ssh_string_free(text);
}

static void service_message(struct session *s, ssh_message msg)
{
	const char *service = ssh_message_service_service(msg);

	/* RFC 4253 section 10: accept or disconnect, nothing between. Some
	 * clients ask again before each method. */
	if (s->auth.services >= SERVICES_MAX || !service ||
		strcmp(service, "ssh-userauth")) {
		session_end(s, "Service not available.");
		ssh_message_free(msg);
		return;
	}
	ssh_message_service_reply_success(msg);
	ssh_message_free(msg);
	if (!s->auth.services++)
		send_banner(s);
}

static void refuse_message(struct session *s, ssh_message msg)
{
	(void)s;
	ssh_message_reply_default(msg);
	ssh_message_free(msg);
}

static const struct {
	int type;
	bool after_login;
	void (*handle)(struct session *s, ssh_message msg);
} kinds[] = {
	{SSH_REQUEST_SERVICE, false, service_message},
	{SSH_REQUEST_AUTH, false, auth_message},
	{SSH_REQUEST_CHANNEL_OPEN, true, channel_opened},
	{SSH_REQUEST_CHANNEL, true, request_arrived},
	{SSH_REQUEST_GLOBAL, true, back_global},
};

/* A peer that asks faster than anybody works is cut off. */
static bool request_allowed(struct session *s)
{
	if (s->now - s->requests_since >= 1000) {
		s->requests_since = s->now;
		s->requests_left = REQUESTS_A_SECOND;
	}
	if (!s->requests_left) {
		link_report(s, 0, SESSION_REPORT_ANOMALY, 0, 0,
			"too many requests in a second");
		session_end(s, "Too many requests.");
		return false;
	}
	s->requests_left--;
	return true;
}

static void sort_message(struct session *s, ssh_message msg)
{
	int type = ssh_message_type(msg);
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].type != type)
			continue;
		if (s->ending || !request_allowed(s) ||
			kinds[i].after_login != s->auth.done)
			break;
		kinds[i].handle(s, msg);
		return;
	}
	refuse_message(s, msg);
}

static void check_before_login(struct session *s)
{
	if (!s->auth.done && io_received(s->client.fd) > PREAUTH_BYTES_MAX) {
		link_report(s, 0, SESSION_REPORT_ANOMALY, 0, 0,
			"too many bytes before login");
		s->over = true;
	}
}

bool server_pump(struct session *s)
{
	bool progress = false;
	ssh_message msg;

	if (s->client.state == LEG_NONE || s->client.state == LEG_GONE)
		return false;
	if (s->client.state == LEG_HANDSHAKE && !shake_hands(s))
		progress = false;
	while (s->client.state >= LEG_AUTH && s->client.state < LEG_GONE) {
		msg = ssh_message_get(s->client.ssh);
		if (!msg)
			break;
		sort_message(s, msg);
		progress = true;
	}
	check_before_login(s);
	if (!ssh_is_connected(s->client.ssh) || io_ended(s->client.fd) ||
		(ssh_get_status(s->client.ssh) &
			(SSH_CLOSED | SSH_CLOSED_ERROR))) {
		log_put(LOG_DEBUG, "%s: client: %s", s->start.conn_id,
			ssh_get_error(s->client.ssh));
		session_end(s, NULL);
		s->client.state = LEG_GONE;
		progress = true;
	}
	return progress;
}

void server_close(struct session *s, const char *text)
{
	if (!s->client.ssh)
		return;
	if (s->client.state > LEG_HANDSHAKE && s->client.state < LEG_GONE) {
		ssh_session_set_disconnect_message(
			s->client.ssh, text ? text : "Closed.");
		ssh_disconnect(s->client.ssh);
	}
	s->client.state = LEG_GONE;
	io_flush_all();
}
